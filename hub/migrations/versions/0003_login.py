"""Login: sessions that can be revoked, and what throttles guessing.

Revision ID: 0003

New tables only: nothing that is there is locked for longer than the foreign key takes.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LOGIN = """
CREATE TABLE user_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX user_sessions_open ON user_sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX user_sessions_ended ON user_sessions (ends_at);
CREATE INDEX memberships_of_user ON memberships (user_id);

CREATE TABLE login_throttle (
    bucket bytea PRIMARY KEY,
    tries integer NOT NULL,
    last_try_at timestamptz NOT NULL,
    blocked_until timestamptz
) WITH (fillfactor = 70);
CREATE INDEX login_throttle_old ON login_throttle (last_try_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON user_sessions, login_throttle TO hub_app;
"""


def upgrade() -> None:
    op.execute(LOGIN)
