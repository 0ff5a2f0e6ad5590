"""Orders placed long before they were told of wait for a person (rules.md A9).

Columns without defaults and a constraint that is not checked against older rows, which have none of
it: nothing is rewritten, nothing is read.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE channels ADD COLUMN backdating_days integer CHECK (backdating_days > 0)")
    op.execute("ALTER TABLE transactions ADD COLUMN review text")
    op.execute(
        """ALTER TABLE transactions ADD CONSTRAINT transactions_review
               CHECK (review IN ('needed', 'approved', 'declined')) NOT VALID"""
    )
