"""Tiers: who bought (stored with each sale's first credit, rules.md B2), what people decide about tiers,
tags, and the tiers that follow from all that.

New tables, empty, and a column without a default: nothing that exists is rewritten or read.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CONTEXTS = """
CREATE TABLE sale_contexts (
    transaction_id bigint NOT NULL,
    member_id bigint NOT NULL,
    program_id bigint NOT NULL,
    tier text,
    segments text[] NOT NULL,
    birthday text[] NOT NULL,
    late boolean NOT NULL,
    stale boolean NOT NULL DEFAULT false,
    resolved_at timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, member_id),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX sale_contexts_late ON sale_contexts (program_id, member_id) WHERE late;
CREATE INDEX sale_contexts_of_member ON sale_contexts (member_id);

CREATE TABLE sale_memberships (
    transaction_id bigint NOT NULL,
    program_id bigint NOT NULL,
    tier text NOT NULL,
    pieces integer NOT NULL CHECK (pieces >= 0),
    PRIMARY KEY (transaction_id, tier),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id)
);
"""

STANDINGS = """
ALTER TABLE members ADD COLUMN joined_at timestamptz;

CREATE TABLE member_tags (
    member_id bigint NOT NULL,
    program_id bigint NOT NULL,
    tag text NOT NULL CHECK (tag <> '' AND length(tag) <= 100),
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (member_id, tag),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX member_tags_of_program ON member_tags (program_id, tag);

CREATE TABLE tier_acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('set', 'guarantee', 'release', 'count', 'review')),
    tier text,
    until timestamptz,
    amount bigint NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    reference text NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL,
    UNIQUE (program_id, reference),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX tier_acts_of_member ON tier_acts (member_id, at);

CREATE TABLE tier_standings (
    member_id bigint PRIMARY KEY,
    program_id bigint NOT NULL,
    tier text,
    count bigint NOT NULL,
    due_at timestamptz,
    updated_at timestamptz NOT NULL,
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX tier_standings_due ON tier_standings (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX tier_standings_of_program ON tier_standings (program_id, tier);

CREATE TABLE tier_history (
    member_id bigint NOT NULL,
    n integer NOT NULL,
    program_id bigint NOT NULL,
    at timestamptz NOT NULL,
    tier text,
    why text NOT NULL,
    count bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, n),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);

CREATE TABLE tier_walks (
    program_id bigint PRIMARY KEY REFERENCES programs,
    version integer NOT NULL,
    after_member bigint NOT NULL
);
"""

TABLES = (
    "sale_contexts", "sale_memberships", "member_tags", "tier_acts", "tier_standings", "tier_history", "tier_walks",
)  # fmt: skip


def upgrade() -> None:
    op.execute(CONTEXTS)
    op.execute(STANDINGS)
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO hub_app")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hub_app")
    op.execute("REVOKE UPDATE, DELETE ON tier_acts FROM hub_app")
    op.execute(
        "CREATE TRIGGER tier_acts_append_only BEFORE UPDATE OR DELETE ON tier_acts "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
