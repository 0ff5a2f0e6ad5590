"""Members and orders are found by any scrap; a guest's order can be given to a member.

Revision ID: 0005

The indexes are built in this transaction, not concurrently: who waits for the migrations' advisory
lock holds a snapshot, and a concurrent build would wait for that one in turn. The inbox is not held
up: none of these tables is written when a message is received. Workers that run meanwhile wait, and
try a batch again for longer than this takes.
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
CREATE FUNCTION hub_plain(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(
        ' ' || lower({unaccent}.unaccent('{unaccent}.unaccent'::regdictionary, normalize(name, NFC))),
        '[[:punct:][:space:]]+', ' ', 'g')
$$
"""

# (program_id + 0): as a plain column it would be a beginning that the workers' look-up by the unique key
# fits too, and on a table without statistics the planner took it, for a thousand times the work
MEMBERS = """
CREATE INDEX members_by_name ON members USING gin (program_id {btree_gin}.int8_ops, hub_plain(name) {pg_trgm}.gin_trgm_ops);
CREATE INDEX members_by_beginning ON members (program_id, (hub_plain(name)) COLLATE "C");
CREATE INDEX members_newest ON members (program_id, id DESC) WHERE alias_of IS NULL;
CREATE INDEX identities_by_value ON identities ((program_id + 0), kind, value COLLATE "C");
CREATE INDEX identities_by_last_digits ON identities (program_id, (reverse(value)) COLLATE "C") WHERE kind = 'phone';
CREATE INDEX merge_suggestions_of_other ON merge_suggestions (other_id) WHERE settled_at IS NULL;
"""

ORDERS = """
ALTER TABLE transactions ADD COLUMN total bigint, ADD COLUMN claim_member_id bigint;
ALTER TABLE transactions ADD CONSTRAINT transactions_claim_member FOREIGN KEY (program_id, claim_member_id)
    REFERENCES members (program_id, id) NOT VALID;
ALTER TABLE transactions VALIDATE CONSTRAINT transactions_claim_member;
CREATE INDEX transactions_newest ON transactions (program_id, (coalesce(placed_at, created_at)) DESC, id DESC);
CREATE INDEX transactions_of_channel ON transactions (channel_id, (coalesce(placed_at, created_at)) DESC, id DESC);
CREATE INDEX transactions_in_state ON transactions (program_id, state, (coalesce(placed_at, created_at)) DESC, id DESC);
CREATE INDEX transactions_without_points ON transactions (program_id, (coalesce(placed_at, created_at)) DESC, id DESC)
    WHERE points = 0 OR member_id IS NULL;
CREATE INDEX transactions_by_number ON transactions (program_id, (lower(ltrim(number, '#'))) COLLATE "C", id DESC)
    WHERE number <> '';
CREATE INDEX transactions_by_total ON transactions
    (program_id, (coalesce(total, goods_net + goods_tax + shipping)), (coalesce(placed_at, created_at)) DESC, id DESC);
CREATE INDEX suspected_twins_of_other ON suspected_twins (other_id);
"""


def upgrade() -> None:
    schemas = {row.name: row.schema for row in op.get_bind().execute(text(
        "SELECT e.extname AS name, quote_ident(n.nspname) AS schema FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace"
    ))}
    op.execute(f"GRANT USAGE ON SCHEMA {schemas['unaccent']} TO hub_app")
    for part in (PLAIN.format(**schemas), MEMBERS.format(**schemas), ORDERS):
        op.execute(part)
