"""The first schema: programs, channels, deliveries, members, transactions, ledger, redemption, audit.

Revision ID: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TENANTS = """
CREATE TABLE programs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name text NOT NULL CHECK (name <> ''),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    time_zone text NOT NULL,
    region text NOT NULL CHECK (region ~ '^[A-Z]{2}$'),
    locale text NOT NULL DEFAULT 'en',
    starts_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE program_versions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL REFERENCES programs,
    number integer NOT NULL,
    effective_from timestamptz NOT NULL,
    document jsonb NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, number),
    UNIQUE (program_id, effective_from)
);

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    email text NOT NULL UNIQUE,
    name text NOT NULL DEFAULT '',
    password_hash text NOT NULL,
    locale text NOT NULL DEFAULT 'en',
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE memberships (
    program_id bigint NOT NULL REFERENCES programs,
    user_id bigint NOT NULL REFERENCES users,
    role text NOT NULL CHECK (role IN ('owner', 'marketing', 'support', 'cashier', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, user_id)
);

CREATE TABLE api_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL REFERENCES programs,
    name text NOT NULL,
    secret_hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE channels (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL REFERENCES programs,
    kind text NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    token text NOT NULL UNIQUE,
    settings jsonb NOT NULL DEFAULT '{}',
    secrets bytea NOT NULL,
    state jsonb NOT NULL DEFAULT '{}',
    state_version bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'disconnected')),
    shop_identity text,
    shares_shop boolean NOT NULL DEFAULT false,
    allow_private boolean NOT NULL DEFAULT false,
    down_until timestamptz,
    down_count integer NOT NULL DEFAULT 0,
    down_code text,
    down_detail text,
    pings bigint NOT NULL DEFAULT 0,
    last_inbound_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, id),
    UNIQUE (program_id, name)
);
CREATE UNIQUE INDEX channels_one_active_shop ON channels (kind, shop_identity)
    WHERE shop_identity IS NOT NULL AND NOT shares_shop AND status <> 'disconnected';

CREATE TABLE hub_secrets (
    name text PRIMARY KEY,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    token bigint NOT NULL DEFAULT 1,
    until timestamptz NOT NULL
);
"""

DELIVERIES = """
CREATE SEQUENCE lease_tokens;

CREATE TABLE deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    topic text NOT NULL,
    key text NOT NULL,
    subject text NOT NULL DEFAULT '',
    number text NOT NULL DEFAULT '',
    source text NOT NULL DEFAULT 'webhook',
    headers jsonb NOT NULL DEFAULT '{}',
    body bytea NOT NULL,
    body_hash bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    duplicates integer NOT NULL DEFAULT 0,
    last_duplicate_at timestamptz,
    conflicts_with bigint,
    generation integer NOT NULL DEFAULT 1,
    priority smallint NOT NULL DEFAULT 5,
    state text NOT NULL DEFAULT 'due'
        CHECK (state IN ('due', 'working', 'done', 'waiting', 'failed', 'parked', 'settled')),
    due_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    lease_token bigint,
    attempts integer NOT NULL DEFAULT 0,
    outcome text,
    reason text,
    fault text CHECK (fault IN ('merchant', 'channel', 'payload', 'hub')),
    code text,
    detail text,
    finished_at timestamptz,
    UNIQUE (channel_id, direction, key),
    UNIQUE (program_id, id),
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id),
    CHECK ((state = 'working') = (lease_token IS NOT NULL)),
    CHECK (state NOT IN ('failed', 'parked') OR code IS NOT NULL)
) WITH (fillfactor = 85);
ALTER TABLE deliveries ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX deliveries_due ON deliveries (direction, priority, due_at) WHERE state = 'due';
CREATE INDEX deliveries_working ON deliveries (lease_until) WHERE state = 'working';
CREATE INDEX deliveries_waiting ON deliveries (channel_id, subject) WHERE state = 'waiting';
CREATE INDEX deliveries_attention ON deliveries (program_id, id) WHERE state IN ('failed', 'parked');

CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES deliveries,
    program_id bigint NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    milliseconds integer NOT NULL DEFAULT 0,
    worker text NOT NULL,
    outcome text NOT NULL,
    fault text,
    code text,
    detail text,
    exchanges jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX attempts_of_delivery ON attempts (delivery_id, id);

CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    code text NOT NULL,
    detail text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id)
);
CREATE INDEX quarantine_of_channel ON quarantine (channel_id, id);
"""

MEMBERS = """
CREATE TABLE members (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL REFERENCES programs,
    alias_of bigint,
    name text NOT NULL DEFAULT '',
    birthday date,
    address jsonb NOT NULL DEFAULT '{}',
    locale text,
    profile_as_of timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, id),
    FOREIGN KEY (program_id, alias_of) REFERENCES members (program_id, id),
    CHECK (alias_of <> id)
);
CREATE INDEX members_aliases ON members (alias_of) WHERE alias_of IS NOT NULL;

CREATE TABLE identities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('customer', 'card', 'phone', 'email')),
    scope bigint NOT NULL DEFAULT 0,
    value text NOT NULL CHECK (value <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    gone_at timestamptz,
    UNIQUE (program_id, kind, scope, value),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id) DEFERRABLE INITIALLY DEFERRED,
    CHECK ((kind = 'customer') = (scope <> 0))
);
CREATE INDEX identities_of_member ON identities (member_id);

CREATE TABLE consents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    channel_id bigint,
    what text NOT NULL,
    given boolean NOT NULL,
    at timestamptz NOT NULL,
    wording text NOT NULL DEFAULT '',
    UNIQUE NULLS NOT DISTINCT (member_id, what, channel_id, at),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id),
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id)
);

CREATE TABLE merge_suggestions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL,
    other_id bigint NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    UNIQUE (member_id, other_id, reason),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id),
    FOREIGN KEY (program_id, other_id) REFERENCES members (program_id, id),
    CHECK (member_id < other_id)
);
"""

TRANSACTIONS = """
CREATE TABLE transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    external_id text NOT NULL,
    number text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'unknown'
        CHECK (state IN ('unknown', 'draft', 'pending', 'paid', 'fulfilled', 'cancelled', 'refunded', 'deleted')),
    test boolean NOT NULL DEFAULT false,
    currency text,
    placed_at timestamptz,
    member_id bigint,
    goods_net bigint NOT NULL DEFAULT 0,
    goods_tax bigint NOT NULL DEFAULT 0,
    shipping bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    eligible bigint NOT NULL DEFAULT 0 CHECK (eligible >= 0),
    points bigint NOT NULL DEFAULT 0 CHECK (points >= 0),
    why text,
    explanation jsonb NOT NULL DEFAULT '[]',
    codes text[] NOT NULL DEFAULT '{}',
    waiting_for text,
    ambiguous boolean NOT NULL DEFAULT false,
    line_facts jsonb NOT NULL DEFAULT '{}',
    program_version integer,
    normaliser_version integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (channel_id, external_id),
    UNIQUE (program_id, id),
    FOREIGN KEY (program_id, channel_id) REFERENCES channels (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX transactions_of_member ON transactions (member_id, placed_at) WHERE member_id IS NOT NULL;
CREATE INDEX transactions_with_codes ON transactions USING gin (codes) WHERE codes <> '{}';
CREATE INDEX transactions_waiting ON transactions (channel_id) WHERE waiting_for IS NOT NULL;

CREATE TABLE suspected_twins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    transaction_id bigint NOT NULL,
    other_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    UNIQUE (transaction_id, other_id),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id),
    FOREIGN KEY (program_id, other_id) REFERENCES transactions (program_id, id),
    CHECK (transaction_id < other_id)
);

CREATE TABLE contributions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id bigint NOT NULL REFERENCES transactions,
    delivery_id bigint REFERENCES deliveries,
    kind text NOT NULL CHECK (kind IN ('snapshot', 'refund', 'gone', 'tombstone', 'refund_tombstone')),
    ref text NOT NULL DEFAULT '',
    version bigint NOT NULL,
    as_of timestamptz NOT NULL,
    raw_hash text NOT NULL,
    normaliser_version integer NOT NULL,
    body jsonb,
    UNIQUE (transaction_id, kind, ref, raw_hash)
);

CREATE TABLE products (
    channel_id bigint NOT NULL REFERENCES channels,
    external_id text NOT NULL,
    sku text,
    categories text[] NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    known_since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, external_id)
);
"""

LEDGER = """
CREATE SEQUENCE movements;

CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    member_id bigint NOT NULL UNIQUE,
    balance bigint NOT NULL DEFAULT 0,
    debt bigint NOT NULL DEFAULT 0 CHECK (debt >= 0),
    CHECK (balance + debt >= 0),
    seq bigint NOT NULL DEFAULT 0,
    head text NOT NULL DEFAULT '',
    last_recorded_at timestamptz,
    high_water_at timestamptz,
    settled_at timestamptz NOT NULL DEFAULT now(),
    next_settle_at timestamptz,
    UNIQUE (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX accounts_to_settle ON accounts (next_settle_at) WHERE next_settle_at IS NOT NULL;

CREATE TABLE entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    account_id bigint NOT NULL,
    seq bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0 AND abs(amount) <= 9007199254740992),
    counter text NOT NULL
        CHECK (counter IN ('issued', 'held', 'redeemed', 'expired', 'forgiven', 'adjusted', 'member')),
    movement_id bigint NOT NULL,
    reference text NOT NULL,
    input_hash text NOT NULL,
    member_id bigint NOT NULL,
    transaction_id bigint,
    subject text NOT NULL,
    occurred_at timestamptz NOT NULL,
    available_at timestamptz,
    expires_at timestamptz,
    recorded_at timestamptz NOT NULL,
    balance_after bigint NOT NULL,
    corrects bigint REFERENCES entries,
    actor text NOT NULL,
    explanation jsonb NOT NULL DEFAULT '[]',
    prev_hash text NOT NULL,
    hashed text NOT NULL,
    hash text NOT NULL,
    UNIQUE (account_id, seq),
    UNIQUE (program_id, reference),
    FOREIGN KEY (program_id, account_id) REFERENCES accounts (program_id, id),
    FOREIGN KEY (program_id, transaction_id) REFERENCES transactions (program_id, id)
);
CREATE INDEX entries_of_commands ON entries (program_id, subject) WHERE counter <> 'issued';
CREATE INDEX entries_of_transaction ON entries (transaction_id) WHERE transaction_id IS NOT NULL;

CREATE TABLE lots (
    account_id bigint NOT NULL REFERENCES accounts,
    key text NOT NULL,
    granted bigint NOT NULL CHECK (granted >= 0),
    remaining bigint NOT NULL CHECK (remaining >= 0),
    expired bigint NOT NULL DEFAULT 0 CHECK (expired >= 0),
    moved bigint NOT NULL DEFAULT 0 CHECK (moved >= 0),
    placed_at timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    expires_at timestamptz,
    parent text,
    generation integer NOT NULL DEFAULT 1,
    PRIMARY KEY (account_id, key),
    CHECK (remaining + expired + moved <= granted)
);

CREATE TABLE lot_uses (
    account_id bigint NOT NULL,
    lot text NOT NULL,
    spend text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (account_id, lot, spend),
    FOREIGN KEY (account_id, lot) REFERENCES lots (account_id, key)
);

CREATE TABLE postings (
    transaction_id bigint NOT NULL REFERENCES transactions,
    account_id bigint NOT NULL REFERENCES accounts,
    posted bigint NOT NULL CHECK (posted >= 0),
    forgiven bigint NOT NULL DEFAULT 0 CHECK (forgiven >= 0),
    n integer NOT NULL,
    member_id bigint NOT NULL,
    placed_at timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (transaction_id, account_id)
);
CREATE INDEX postings_of_account ON postings (account_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
"""

REDEMPTION = """
CREATE TABLE redemptions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    account_id bigint NOT NULL,
    member_id bigint NOT NULL,
    reward text NOT NULL,
    reward_terms jsonb NOT NULL,
    points bigint NOT NULL CHECK (points > 0),
    state text NOT NULL CHECK (state IN ('held', 'committed', 'released')),
    idempotency_key text,
    input_hash text NOT NULL,
    hold_until timestamptz,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, id),
    UNIQUE (program_id, idempotency_key),
    FOREIGN KEY (program_id, account_id) REFERENCES accounts (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX redemptions_holds ON redemptions (hold_until) WHERE state = 'held';
CREATE INDEX redemptions_of_member ON redemptions (member_id, id);

CREATE TABLE redemption_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint NOT NULL,
    redemption_id bigint NOT NULL,
    event text NOT NULL,
    actor text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (program_id, redemption_id) REFERENCES redemptions (program_id, id)
);
CREATE INDEX redemption_events_of ON redemption_events (redemption_id, id);

CREATE TABLE vouchers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id text NOT NULL UNIQUE,
    program_id bigint NOT NULL,
    redemption_id bigint NOT NULL UNIQUE,
    member_id bigint NOT NULL,
    code text NOT NULL,
    code_key text NOT NULL,
    state text NOT NULL CHECK (state IN ('planned', 'live', 'used', 'expired', 'revoked', 'revoking')),
    starts_at timestamptz NOT NULL,
    expires_at timestamptz,
    uses integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (program_id, id),
    UNIQUE (program_id, code_key),
    FOREIGN KEY (program_id, redemption_id) REFERENCES redemptions (program_id, id),
    FOREIGN KEY (program_id, member_id) REFERENCES members (program_id, id)
);
CREATE INDEX vouchers_of_member ON vouchers (member_id, id);

CREATE TABLE voucher_channels (
    voucher_id bigint NOT NULL REFERENCES vouchers,
    channel_id bigint NOT NULL REFERENCES channels,
    state text NOT NULL CHECK (state IN ('planned', 'live', 'failed', 'revoking', 'revoked', 'used')),
    external_id text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (voucher_id, channel_id)
);

CREATE TABLE voucher_uses (
    voucher_id bigint NOT NULL REFERENCES vouchers,
    transaction_id bigint NOT NULL REFERENCES transactions,
    present boolean NOT NULL,
    wins boolean NOT NULL DEFAULT false,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (voucher_id, transaction_id)
);
"""

AUDIT = """
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program_id bigint REFERENCES programs,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_of_subject ON audit (program_id, subject, id);

CREATE TABLE idempotency_keys (
    program_id bigint NOT NULL REFERENCES programs,
    key text NOT NULL,
    request_hash text NOT NULL,
    status integer NOT NULL,
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, key)
);
"""

APPEND_ONLY = ("entries", "audit", "program_versions", "redemption_events")


def upgrade() -> None:
    for part in (TENANTS, DELIVERIES, MEMBERS, TRANSACTIONS, LEDGER, REDEMPTION, AUDIT):
        op.execute(part)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute("GRANT USAGE ON SCHEMA public TO hub_app")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO hub_app")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hub_app")
    for table in APPEND_ONLY:
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM hub_app")
