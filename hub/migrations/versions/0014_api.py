"""The API's stored answers, one-time codes, what tills do and alerts; lists of the API read along an index.

`idempotency_keys` was never written to: its columns change in no time. New tables, and indexes made without
holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

ANSWERS = """
ALTER TABLE idempotency_keys
    ALTER COLUMN status DROP NOT NULL,
    ALTER COLUMN response DROP NOT NULL,
    ALTER COLUMN response TYPE text USING response::text;
CREATE INDEX IF NOT EXISTS idempotency_keys_old ON idempotency_keys (created_at);
"""

CODES = """
CREATE TABLE IF NOT EXISTS one_time_codes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    way text NOT NULL CHECK (way IN ('sms', 'email')),
    code_hash bytea NOT NULL,
    tries integer NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
    state text NOT NULL CHECK (state IN ('sending', 'sent', 'not_sent', 'replaced', 'used')),
    redemption_id bigint,
    actor text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id),
    FOREIGN KEY (program_id, redemption_id) REFERENCES redemptions (program_id, id)
);
CREATE INDEX IF NOT EXISTS one_time_codes_open ON one_time_codes (member_id) WHERE state IN ('sending', 'sent');
CREATE INDEX IF NOT EXISTS one_time_codes_old ON one_time_codes (expires_at);
"""

TILLS = """
CREATE TABLE IF NOT EXISTS staff (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    ref text NOT NULL CHECK (ref <> ''),
    member_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, ref),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);

CREATE TABLE IF NOT EXISTS cashiers (
    program_id bigint NOT NULL REFERENCES programs,
    cashier text NOT NULL,
    PRIMARY KEY (program_id, cashier)
);

CREATE TABLE IF NOT EXISTS till_acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    cashier text NOT NULL,
    till text,
    kind text NOT NULL CHECK (kind IN ('redeem', 'claim')),
    member_id bigint NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    subject text NOT NULL,
    at timestamptz NOT NULL,
    UNIQUE (program_id, kind, subject),
    FOREIGN KEY (program_id, cashier) REFERENCES cashiers (program_id, cashier),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX IF NOT EXISTS till_acts_of_cashier ON till_acts (program_id, cashier, at);

CREATE TABLE IF NOT EXISTS alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL REFERENCES programs,
    kind text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    times bigint NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    settled_at timestamptz,
    settled_by text
);
CREATE UNIQUE INDEX IF NOT EXISTS alerts_open ON alerts (program_id, kind, subject) WHERE settled_at IS NULL;
CREATE INDEX IF NOT EXISTS alerts_of_subject ON alerts (program_id, kind, subject);

GRANT SELECT, INSERT, UPDATE, DELETE ON one_time_codes, staff, cashiers, till_acts, alerts TO hub_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hub_app;
"""

INDEXES = {
    "actions_of_program": "actions (program_id, id)",
    "members_of_program": "members (program_id, id) WHERE alias_of IS NULL",
}


def upgrade() -> None:
    for part in (ANSWERS, CODES, TILLS):
        op.execute(part)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")  # it waits for every transaction that is open now
        for name, what in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # half built by a broken-off run
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {what}")
        op.execute("SET lock_timeout = '5s'")
