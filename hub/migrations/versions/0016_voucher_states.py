"""A voucher's states in full, guarded by the database itself; why it leaves, and what was decided about it.

Columns that rewrite nothing, a constraint that is checked afterwards, indexes made without holding up a writer.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE vouchers ADD COLUMN IF NOT EXISTS leaving text, ADD COLUMN IF NOT EXISTS decided text,
    ADD COLUMN IF NOT EXISTS returned boolean NOT NULL DEFAULT false;
ALTER TABLE vouchers DROP CONSTRAINT IF EXISTS vouchers_state_check, DROP CONSTRAINT IF EXISTS vouchers_states;
ALTER TABLE vouchers ADD CONSTRAINT vouchers_states CHECK (
    state IN ('planned', 'live', 'used', 'used_late', 'revoking', 'revoked', 'expiring', 'expired')
    AND (leaving IS NULL OR leaving IN ('cancelled', 'taken_back', 'expired'))
    AND (decided IS NULL OR decided IN ('take_again', 'absorb'))) NOT VALID;
"""

BEFORE = """
UPDATE vouchers v SET returned = (v.state = 'revoked'), leaving = CASE
    WHEN EXISTS (SELECT FROM voucher_uses u WHERE u.voucher_id = v.id) THEN 'cancelled' ELSE 'taken_back' END
WHERE v.state IN ('revoking', 'revoked') AND v.leaving IS NULL
"""

# the pairs of hub/redemption/states.py, as they are in this version
GUARD = """
CREATE OR REPLACE FUNCTION vouchers_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state || '>' || NEW.state <> ALL (ARRAY[
        'planned>live', 'planned>used', 'planned>revoking', 'planned>expiring',
        'live>used', 'live>revoking', 'live>expiring',
        'used>live', 'used>revoking', 'used_late>revoking',
        'revoking>used', 'revoking>revoked', 'revoked>used_late',
        'expiring>used', 'expiring>revoking', 'expiring>expired', 'expired>used_late'])
    THEN
        RAISE EXCEPTION 'a voucher does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS vouchers_move ON vouchers;
CREATE TRIGGER vouchers_move BEFORE UPDATE OF state ON vouchers FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION vouchers_move();
"""
INDEXES = {
    "vouchers_ending": "(expires_at) WHERE state IN ('planned', 'live')",
    "vouchers_expiring": "(expires_at) WHERE state = 'expiring'",
    "vouchers_twice": "(program_id, id) WHERE uses > 1 OR state = 'used_late'",
}


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(GUARD)
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '10min'")
        for name, what in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON vouchers {what}")
        op.execute("SET lock_timeout = '5s'")
    op.execute(BEFORE)
    op.execute("ALTER TABLE vouchers VALIDATE CONSTRAINT vouchers_states")
