"""A programme that rewards actions and referrals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.market import Market, market

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "points": {"expire_after_days": 30},
    "actions": [
        {"id": "review", "name": "A review", "points": 20, "most_per_day": 2, "most_per_month": 3},
        {"id": "born", "name": "Birthday", "points": 100, "by": "birthday"},
        {"id": "hello", "name": "Welcome", "points": 50, "by": "sign_up"},
        {"id": "tet", "name": "Tết", "points": 8, "windows": [{"from": "2026-02-17", "until": "2026-02-19"}]},
    ],
    "referral": {"referrer": 500, "friend": 250, "minimum": {"VND": "100000"}, "within_days": 10},
}  # fmt: skip


@pytest.fixture
def place(database: str, redis_url: str, tmp_path: Path) -> Iterator[Market]:
    with market(database, redis_url, tmp_path, DOCUMENT, zone="Asia/Ho_Chi_Minh") as opened:
        yield opened
