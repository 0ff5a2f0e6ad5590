"""What orders bring besides points: which order has brought which reward, and what is still to be done.

A new table, empty: nothing waits for it.
"""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ORDERS = """
CREATE TABLE order_rewards (
    transaction_id bigint NOT NULL REFERENCES transactions,
    reward text NOT NULL,
    wanted boolean NOT NULL,
    due boolean NOT NULL DEFAULT true,
    given integer NOT NULL DEFAULT 0 CHECK (given >= 0),
    redemption_id bigint REFERENCES redemptions,
    PRIMARY KEY (transaction_id, reward)
);
CREATE INDEX order_rewards_due ON order_rewards (transaction_id, reward) WHERE due;
GRANT SELECT, INSERT, UPDATE, DELETE ON order_rewards TO hub_app;
"""


def upgrade() -> None:
    op.execute(ORDERS)
