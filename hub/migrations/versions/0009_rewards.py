"""Rewards have stock and limits: a row to lock for each, and an index by which they are counted.

A new table, empty, and an index made without holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STOCK = """
CREATE TABLE reward_stock (
    program_id bigint NOT NULL REFERENCES programs,
    reward text NOT NULL,
    PRIMARY KEY (program_id, reward)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON reward_stock TO hub_app;
"""
INDEX = "redemptions_of_reward ON redemptions (program_id, reward, member_id) WHERE state <> 'released'"


def upgrade() -> None:
    op.execute(STOCK)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS redemptions_of_reward")
        op.execute(f"CREATE INDEX CONCURRENTLY {INDEX}")
        op.execute("SET lock_timeout = '5s'")
