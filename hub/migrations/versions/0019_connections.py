"""How each channel's connection is kept: what it was asked for, what was found, how often it speaks, its allowances.

New tables, empty: nothing waits for them.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CONNECTIONS = """
CREATE TABLE connections (
    channel_id bigint PRIMARY KEY REFERENCES channels,
    program_id bigint NOT NULL,
    fence bigint NOT NULL DEFAULT 0,
    ask_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz,
    upto timestamptz,
    looked_back_at timestamptz,
    seen bigint NOT NULL DEFAULT 0,
    found bigint NOT NULL DEFAULT 0,
    missed bigint NOT NULL DEFAULT 0,
    last_seen integer NOT NULL DEFAULT 0,
    last_found integer NOT NULL DEFAULT 0,
    last_missed integer NOT NULL DEFAULT 0,
    ask_failures integer NOT NULL DEFAULT 0,
    ask_code text,
    ask_detail text,
    reread_at timestamptz NOT NULL DEFAULT now(),
    reread_after bigint NOT NULL DEFAULT 0,
    installed_at timestamptz,
    watch_at timestamptz NOT NULL DEFAULT now(),
    watched_at timestamptz,
    watch_ok boolean,
    watch_code text,
    watch_detail text,
    mended bigint NOT NULL DEFAULT 0,
    mended_at timestamptz,
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id)
);

CREATE TABLE arrivals (
    channel_id bigint NOT NULL REFERENCES channels,
    hour timestamptz NOT NULL,
    minutes bit(60) NOT NULL,
    PRIMARY KEY (channel_id, hour)
);

CREATE TABLE marks (
    name text PRIMARY KEY,
    place bigint NOT NULL
);

CREATE TABLE allowances (
    channel_id bigint NOT NULL REFERENCES channels,
    name text NOT NULL,
    available double precision NOT NULL,
    at timestamptz NOT NULL,
    rate double precision NOT NULL,
    most double precision NOT NULL,
    reserved double precision NOT NULL DEFAULT 0,
    reserved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, name)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON connections, arrivals, marks, allowances TO hub_app;
"""


def upgrade() -> None:
    op.execute(CONNECTIONS)
