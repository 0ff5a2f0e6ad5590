"""Who bought, stored with each sale's first credit: tier, segments, birthday (rules.md B2).

A new table, empty: nothing that exists is rewritten or read.
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
    resolved_at timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, member_id),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX sale_contexts_late ON sale_contexts (program_id, member_id) WHERE late;
GRANT SELECT, INSERT, UPDATE, DELETE ON sale_contexts TO hub_app;
"""


def upgrade() -> None:
    op.execute(CONTEXTS)
