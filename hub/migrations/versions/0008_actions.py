"""Points for what members do besides buying: actions, referrals; budgets of campaigns; how lots are used.

New tables, a column without a default, and indexes built without holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE members ADD COLUMN IF NOT EXISTS disabled_at timestamptz;

CREATE TABLE IF NOT EXISTS actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    action text NOT NULL CHECK (action <> ''),
    key text NOT NULL CHECK (key <> ''),
    input_hash text NOT NULL,
    occurred_at timestamptz NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    why text,
    program_version integer NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, key),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX IF NOT EXISTS actions_of_member ON actions (member_id, action, occurred_at);

CREATE TABLE IF NOT EXISTS referrals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    referrer_id bigint NOT NULL,
    friend_id bigint NOT NULL,
    referred_at timestamptz NOT NULL,
    transaction_id bigint,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, friend_id),
    CHECK (referrer_id <> friend_id),
    FOREIGN KEY (program_id, referrer_id) REFERENCES members (program_id, id),
    FOREIGN KEY (program_id, friend_id) REFERENCES members (program_id, id),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id)
);
CREATE INDEX IF NOT EXISTS referrals_of_referrer ON referrals (referrer_id);

CREATE TABLE IF NOT EXISTS budgets (
    program_id bigint NOT NULL REFERENCES programs,
    campaign text NOT NULL,
    given bigint NOT NULL DEFAULT 0 CHECK (given >= 0),
    PRIMARY KEY (program_id, campaign)
);

CREATE TABLE IF NOT EXISTS budget_uses (
    transaction_id bigint NOT NULL,
    campaign text NOT NULL,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    wanted bigint NOT NULL CHECK (wanted >= 0),
    points bigint NOT NULL CHECK (points BETWEEN 0 AND wanted),
    PRIMARY KEY (transaction_id, campaign),
    FOREIGN KEY (program_id, campaign) REFERENCES budgets (program_id, campaign),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX IF NOT EXISTS budget_uses_of_member ON budget_uses (member_id, campaign);

CREATE TABLE IF NOT EXISTS lot_policies (
    program_id bigint NOT NULL REFERENCES programs,
    effective_from timestamptz NOT NULL,
    number integer NOT NULL,
    consume text NOT NULL CHECK (consume IN ('expiry', 'earned')),
    idle_days integer CHECK (idle_days > 0),
    idle_year boolean NOT NULL,
    time_zone text NOT NULL,
    PRIMARY KEY (program_id, number)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON actions, referrals, budgets, budget_uses, lot_policies TO hub_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hub_app;
"""
INDEXES = {
    "entries_of_bonuses": "entries (program_id, subject) WHERE counter = 'issued' AND transaction_id IS NULL",
    "members_by_birthday": "members (program_id, (extract(month FROM birthday) * 100 + extract(day FROM birthday)))"
    " WHERE birthday IS NOT NULL AND alias_of IS NULL",
    "members_by_arrival": "members (program_id, created_at) WHERE alias_of IS NULL",
    "lots_to_expire": "lots (expires_at) WHERE remaining > 0 AND expires_at IS NOT NULL",
}


def upgrade() -> None:
    op.execute(TABLES)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")  # it waits for every transaction that is open now
        for name, what in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # half built by a broken-off run
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {what}")
        op.execute("SET lock_timeout = '5s'")
