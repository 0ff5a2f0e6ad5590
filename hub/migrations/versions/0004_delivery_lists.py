"""Lists of deliveries that stay fast at any size, and replays that have an address and survive a restart.

Revision ID: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = {
    # finding an order by its number; written once a message, when it is understood
    "deliveries_of_number": "(program_id, number, id) WHERE number <> ''",
    # everything about one sale, voucher or member: an order's timeline, and the free text
    "deliveries_of_subject": "(program_id, subject, id) WHERE subject <> ''",
    # what failed or is retried, by code: groups, and the rows of one. Healthy traffic never touches the rest
    "deliveries_of_code": "(program_id, code, id) WHERE code IS NOT NULL",
    # the same in the order of lists: by whose move it is, and for words of the detail
    "deliveries_with_fault": "(program_id, id) WHERE code IS NOT NULL",
    # what waits for its sale or a look-up
    "deliveries_that_wait": "(program_id, id) WHERE state = 'waiting'",
}

REPLAYS = """
CREATE TABLE replays (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL REFERENCES programs,
    actor text NOT NULL,
    wish jsonb NOT NULL DEFAULT '{}',
    more_matched boolean NOT NULL DEFAULT false,
    forecast jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'running', 'paused', 'stopped', 'done')),
    pace integer NOT NULL CHECK (pace > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    paced_from timestamptz,
    paced_count integer NOT NULL DEFAULT 0,
    UNIQUE (program_id, id)
);
CREATE INDEX replays_running ON replays (id) WHERE state = 'running';

CREATE TABLE replay_items (
    replay_id bigint NOT NULL,
    program_id bigint NOT NULL,
    place integer NOT NULL,
    delivery_id bigint NOT NULL,
    forecast jsonb,
    state text NOT NULL DEFAULT 'planned'
        CHECK (state IN ('planned', 'released', 'left_alone', 'changed', 'right', 'waiting', 'failing')),
    released_at timestamptz,
    ended_at timestamptz,
    outcome text,
    reason text,
    fault text,
    code text,
    detail text,
    PRIMARY KEY (replay_id, place),
    UNIQUE (replay_id, delivery_id),
    FOREIGN KEY (program_id, replay_id) REFERENCES replays (program_id, id) ON DELETE CASCADE,
    FOREIGN KEY (program_id, delivery_id) REFERENCES deliveries (program_id, id)
);
CREATE INDEX replay_items_planned ON replay_items (replay_id, place) WHERE state = 'planned';
CREATE INDEX replay_items_released ON replay_items (replay_id) WHERE state = 'released';
CREATE INDEX replay_items_of_delivery ON replay_items (delivery_id);
"""


def upgrade() -> None:
    """The indexes first, each by itself and without holding up a writer: what a broken-off run left
    half built is dropped and built anew. CONCURRENTLY only waits for transactions older than itself,
    and nobody waits behind it, so it may wait longer than other statements."""
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        for name, what in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON deliveries {what}")
        op.execute("SET lock_timeout = '5s'")
    op.execute(REPLAYS)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON replays, replay_items TO hub_app")
