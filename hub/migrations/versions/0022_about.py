"""Whom a message of a channel's history is about, by all their keys: a person who is forgotten while it waits does
not come back with it.

A column with a constant default: nothing is rewritten. It has no index, since forgetting is rare.
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE backfill_items ADD COLUMN IF NOT EXISTS about text[] NOT NULL DEFAULT '{}'")
