"""Codes on their way back are found at once, however many there are of the others.

An index made without holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS vouchers_revoking")
        op.execute(
            "CREATE INDEX CONCURRENTLY vouchers_revoking ON vouchers (id) WHERE state = 'revoking'"
        )
        op.execute("SET lock_timeout = '5s'")
