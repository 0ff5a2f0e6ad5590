"""Who of the staff was which member until when; the few sales that are refused as one's own are found at once.

A column without a default, a new table, an index made without holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BEFORE = """
ALTER TABLE staff ADD COLUMN IF NOT EXISTS since timestamptz;
CREATE TABLE IF NOT EXISTS staff_before (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    ref text NOT NULL,
    member_id bigint NOT NULL,
    since timestamptz,
    until timestamptz NOT NULL,
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX IF NOT EXISTS staff_before_names ON staff_before (program_id, ref);
GRANT SELECT, INSERT, UPDATE, DELETE ON staff_before TO hub_app;
"""


def upgrade() -> None:
    op.execute(BEFORE)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS own_sales")
        op.execute("CREATE INDEX CONCURRENTLY own_sales ON transactions (id) WHERE why = 'own_sale'")
        op.execute("SET lock_timeout = '5s'")
