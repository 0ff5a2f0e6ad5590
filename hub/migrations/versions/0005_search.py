"""Members and orders are found by any scrap; a guest's order can be given to a member.

Revision ID: 0005
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# unaccent is only STABLE since its dictionary could be edited; nobody edits ours. Everything is named
# with its schema: extensions may live in any, and a restore runs with an empty search_path.
PLAIN = """
CREATE OR REPLACE FUNCTION hub_plain(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(
        ' ' || lower({unaccent}.unaccent('{unaccent}.unaccent'::regdictionary, normalize(name, NFC))),
        '[[:punct:][:space:]]+', ' ', 'g')
$$
"""

# what a broken-off run has made already is left as it is
COLUMNS = """
ALTER TABLE transactions ADD COLUMN IF NOT EXISTS total bigint, ADD COLUMN IF NOT EXISTS claim_member_id bigint;
ALTER TABLE transactions DROP CONSTRAINT IF EXISTS transactions_claim_member;
ALTER TABLE transactions ADD CONSTRAINT transactions_claim_member FOREIGN KEY (program_id, claim_member_id)
    REFERENCES members (program_id, id) NOT VALID;
"""
VALIDATE = "ALTER TABLE transactions VALIDATE CONSTRAINT transactions_claim_member"

WHEN = "(coalesce(placed_at, created_at)) DESC, id DESC"
INDEXES = {
    "members_by_name": "members USING gin (program_id {btree_gin}.int8_ops, hub_plain(name) {pg_trgm}.gin_trgm_ops)",
    "members_by_beginning": 'members (program_id, (hub_plain(name)) COLLATE "C")',
    "members_newest": "members (program_id, id DESC) WHERE alias_of IS NULL",
    # (program_id + 0): as a plain column it would be a beginning that the workers' look-up by the unique key
    # fits too, and on a table without statistics the planner took it, for a thousand times the work
    "identities_by_value": 'identities ((program_id + 0), kind, value COLLATE "C")',
    "identities_by_last_digits": "identities (program_id, (reverse(value)) COLLATE \"C\") WHERE kind = 'phone'",
    "merge_suggestions_of_other": "merge_suggestions (other_id) WHERE settled_at IS NULL",
    "transactions_newest": f"transactions (program_id, {WHEN})",
    "transactions_of_channel": f"transactions (channel_id, {WHEN})",
    "transactions_in_state": f"transactions (program_id, state, {WHEN})",
    "transactions_without_points": f"transactions (program_id, {WHEN}) WHERE points = 0 OR member_id IS NULL",
    "transactions_by_number":
        "transactions (program_id, (lower(ltrim(number, '#'))) COLLATE \"C\", id DESC) WHERE number <> ''",
    "transactions_by_total":
        f"transactions (program_id, (coalesce(total, goods_net + goods_tax + shipping)), {WHEN})",
    "suspected_twins_of_other": "suspected_twins (other_id)",
}


def upgrade() -> None:
    """The indexes one by one and without holding up a writer, as in 0004."""
    schemas = {row.name: row.schema for row in op.get_bind().execute(text(
        "SELECT e.extname AS name, quote_ident(n.nspname) AS schema FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace"
    ))}
    op.execute(f"GRANT USAGE ON SCHEMA {schemas['unaccent']} TO hub_app")
    op.execute(PLAIN.format(**schemas))
    op.execute(COLUMNS)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        for name, what in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {what.format(**schemas)}")
        op.execute("SET lock_timeout = '5s'")
    op.execute(VALIDATE)
