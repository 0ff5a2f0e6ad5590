"""What shops sold before they were connected: fetched, tried, brought in, and what it counts for.

New columns without defaults and new tables, empty: nothing is rewritten, nothing waits for them.
"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE channels ADD COLUMN history_from timestamptz;
ALTER TABLE channels ADD COLUMN history_until timestamptz;
ALTER TABLE channels ADD COLUMN history_counts text;
ALTER TABLE transactions ADD COLUMN tier_points bigint;
ALTER TABLE channels ADD CONSTRAINT channels_history
    CHECK (history_counts IN ('points', 'tiers')
           AND (history_counts IS NULL) = (history_from IS NULL)
           AND (history_counts IS NULL) = (history_until IS NULL)) NOT VALID;
"""

BACKFILLS = """
CREATE TABLE backfills (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    actor text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    counts text NOT NULL CHECK (counts IN ('points', 'tiers')),
    state text NOT NULL DEFAULT 'fetching'
        CHECK (state IN ('fetching', 'trying', 'tried', 'bringing', 'done', 'stopped')),
    paused boolean NOT NULL DEFAULT false,
    fence bigint NOT NULL DEFAULT 0,
    bookmark text NOT NULL DEFAULT '',
    expected bigint,
    seen bigint NOT NULL DEFAULT 0,
    known bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL DEFAULT 0,
    place bigint NOT NULL DEFAULT 0,
    forecast jsonb NOT NULL DEFAULT '{}',
    next_at timestamptz NOT NULL DEFAULT now(),
    failures integer NOT NULL DEFAULT 0,
    fault text,
    code text,
    detail text,
    note text,
    created_at timestamptz NOT NULL DEFAULT now(),
    step_from timestamptz NOT NULL DEFAULT now(),
    step_base bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    cleared_at timestamptz,
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id)
);
CREATE UNIQUE INDEX backfills_open ON backfills (channel_id) WHERE state NOT IN ('done', 'stopped');
CREATE INDEX backfills_of_channel ON backfills (channel_id, id);

CREATE TABLE backfill_items (
    backfill_id bigint NOT NULL REFERENCES backfills,
    delivery_id bigint NOT NULL REFERENCES deliveries,
    placed_at timestamptz,
    who text NOT NULL DEFAULT '',
    external_id text,
    place bigint,
    group_place bigint,
    PRIMARY KEY (backfill_id, delivery_id)
);
CREATE INDEX backfill_items_by_place ON backfill_items (backfill_id, place);
CREATE INDEX backfill_items_by_group ON backfill_items (backfill_id, group_place);
CREATE INDEX backfill_items_of_delivery ON backfill_items (delivery_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON backfills, backfill_items TO hub_app;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(BACKFILLS)
