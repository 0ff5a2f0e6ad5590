"""Shops that are being asked to let the hub in; channels' memory encrypted; how long a secret that was
replaced is still honoured; members whose data was erased.

New columns have constant defaults, so no table is rewritten, and the new tables are empty.
"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE channels ADD COLUMN sealed_state bytea NOT NULL DEFAULT '';
ALTER TABLE channels ADD COLUMN previous_secret_until timestamptz;
ALTER TABLE members ADD COLUMN forgotten_at timestamptz;
"""

HANDSHAKES = """
CREATE TABLE handshakes (
    state_hash bytea PRIMARY KEY,
    program_id bigint NOT NULL REFERENCES programs,
    channel_id bigint,
    kind text NOT NULL,
    way text NOT NULL,
    name text NOT NULL,
    sealed bytea NOT NULL,
    actor text NOT NULL,
    began_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    taken_at timestamptz,
    code text,
    fault text,
    detail text,
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id)
);
CREATE INDEX handshakes_old ON handshakes (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON handshakes TO hub_app;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(HANDSHAKES)
