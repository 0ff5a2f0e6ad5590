"""Points that wait until the order is handed over, and until the return window has ended after that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from hub.canonical import SaleState
from hub.members import view
from hub.program import document as documents
from hub.program.expiry import NOT_YET, availability
from tests.market import NOON, Market, Told, market, open_market

DOCUMENT = {
    "earn": {"per": {"VND": "10000"}},
    "points": {
        "available_from": "fulfilled", "available_after_days": 5, "expire_after_days": 30,
        "expire_last_day": "excluded",
    },
}  # fmt: skip
PAID = Told("a", 100_000)
SENT = replace(PAID, state=SaleState.FULFILLED, version=2)


@pytest.fixture
def place(database: str, redis_url: str, tmp_path: Path) -> Iterator[Market]:
    with market(database, redis_url, tmp_path, DOCUMENT) as opened:
        yield opened


def lot(place: Market) -> tuple[datetime, datetime | None]:
    (row,) = place.rows(
        """SELECT l.available_at, l.expires_at FROM lots l JOIN accounts a ON a.id = l.account_id
           WHERE a.program_id = :program AND l.remaining > 0"""
    )
    return row.available_at, row.expires_at


def test_points_are_pending_without_a_day_until_the_order_is_handed_over(place: Market) -> None:
    place.sell(PAID)
    assert lot(place) == (NOT_YET, None)
    now = datetime.now(UTC)
    with place.runtime.sessions() as session:
        points = view.balance(session, place.member(), now)
        (shown,) = view.lots(session, place.member())
        assert (points["balance"], points["available"], points["pending"]) == (10, 0, 10)
        assert shown["available_at"] is None
        assert view.outlook(session, place.member(), now)["vests_at"] is None
    place.sell(SENT)
    day = NOON.replace(hour=0)
    assert lot(place) == (day + timedelta(days=5), day + timedelta(days=35))
    place.assert_clean()


def test_an_order_that_was_not_handed_over_after_all_waits_again(place: Market) -> None:
    place.sell(PAID, SENT, replace(PAID, version=3))
    assert lot(place) == (NOT_YET, None)
    place.assert_clean()


def test_in_whatever_order_messages_come_points_wait_for_the_same_day(place: Market) -> None:
    later = replace(SENT, version=3)
    ends = set()
    for told in permutations([PAID, SENT, later]):
        here = open_market(place.runtime, DOCUMENT)
        here.sell(*told)
        here.assert_clean()
        ends.add(lot(here))
    day = NOON.replace(hour=0)
    assert ends == {(day + timedelta(days=5), day + timedelta(days=35))}


def test_a_hand_over_before_the_sale_makes_nothing_earlier() -> None:
    of = documents.rules(
        {"earn": DOCUMENT["earn"], "points": {"available_from": "fulfilled"}},
        number=1, effective_from=NOON, time_zone="UTC",
    )  # fmt: skip
    assert availability(of, NOON, NOON - timedelta(days=1)) == (NOON, None)
    assert availability(of, NOON, NOON + timedelta(days=1)) == (NOON + timedelta(days=1), None)
    assert availability(of, NOON) == (NOT_YET, None)
