"""Leases that ran out are counted apart from attempts, channels are pushed to in turns, and a merge
that a channel reported is remembered until its customers are known.

The tables may be large and live: columns come with constant defaults (no rewrite), and the indexes on
deliveries are built without stopping writers. Each step may run again after a run that broke off: what
stands outside a transaction is not rolled back with the rest.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = """
ALTER TABLE deliveries ADD COLUMN IF NOT EXISTS lost integer NOT NULL DEFAULT 0;
ALTER TABLE channels ADD COLUMN IF NOT EXISTS pushed_at timestamptz;

CREATE TABLE IF NOT EXISTS customer_merges (
    channel_id bigint NOT NULL REFERENCES channels,
    gone_external_id text NOT NULL,
    kept_external_id text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, gone_external_id, kept_external_id)
);
CREATE INDEX IF NOT EXISTS customer_merges_kept ON customer_merges (channel_id, kept_external_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON customer_merges TO hub_app;
"""
INDEXES = {
    "deliveries_to_push": "(channel_id, priority, due_at) WHERE state = 'due' AND direction = 'outbound'",
    "deliveries_suspect": "(direction, due_at) WHERE state = 'due' AND lost >= 3",
}


def upgrade() -> None:
    op.execute(COLUMNS)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '2min'")  # it waits for every transaction that is open now
        for name, what in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # half built by a broken-off run
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON deliveries {what}")
        op.execute("SET lock_timeout = '5s'")
