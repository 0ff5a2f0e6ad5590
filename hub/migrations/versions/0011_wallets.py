"""Store credit: accounts in money, one for each member and currency, in the same book as points.

Points accounts keep their `member_id`; an account in money has a holder and a currency instead, so that
no statement about points ever meets one. Redemptions may cost nothing: a coupon that is given. Columns without defaults, constraints that are checked
afterwards, an index made without holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE accounts ADD COLUMN IF NOT EXISTS holder_id bigint, ADD COLUMN IF NOT EXISTS currency text;
ALTER TABLE accounts ALTER COLUMN member_id DROP NOT NULL;
ALTER TABLE accounts DROP CONSTRAINT IF EXISTS accounts_holder, DROP CONSTRAINT IF EXISTS accounts_whose;
ALTER TABLE accounts ADD CONSTRAINT accounts_holder FOREIGN KEY (program_id, holder_id)
    REFERENCES members (program_id, id) NOT VALID;
ALTER TABLE accounts ADD CONSTRAINT accounts_whose CHECK (
    (member_id IS NOT NULL AND holder_id IS NULL AND currency IS NULL)
    OR (member_id IS NULL AND holder_id IS NOT NULL AND currency IS NOT NULL)) NOT VALID;
ALTER TABLE redemptions ADD COLUMN IF NOT EXISTS currency text;
ALTER TABLE redemptions DROP CONSTRAINT IF EXISTS redemptions_points_check;
ALTER TABLE redemptions ADD CONSTRAINT redemptions_points_check CHECK (points >= 0) NOT VALID;
"""
INDEX = "wallets ON accounts (holder_id, currency) WHERE holder_id IS NOT NULL"


def upgrade() -> None:
    op.execute(COLUMNS)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS wallets")
        op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {INDEX}")
        op.execute("SET lock_timeout = '5s'")
    op.execute("ALTER TABLE accounts VALIDATE CONSTRAINT accounts_holder")
    op.execute("ALTER TABLE accounts VALIDATE CONSTRAINT accounts_whose")
    op.execute("ALTER TABLE redemptions VALIDATE CONSTRAINT redemptions_points_check")
