"""Who bought, resolved once under the account's lock and stored with the sale (rules.md B2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.counter import Counter
from tests.hubs import Hub, running_hub

PHONE = "+84912345678"
DOUBLE_BIRTHDAYS = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "multipliers": [{"factor": "2", "birthday": "month"}],
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOUBLE_BIRTHDAYS) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Counter:
    return Counter(hub)


def contexts(hub: Hub) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in hub.rows(
            """SELECT t.external_id, c.birthday, c.late FROM sale_contexts c
               JOIN transactions t ON t.id = c.transaction_id ORDER BY 1"""
        )
    ]


def test_points_double_in_the_month_of_the_birthday(hub: Hub, till: Counter) -> None:
    till.tell_of(birthday="1990-11-15")
    till.sell(1, 100_000, "2026-10-31T16:59:59Z")
    till.sell(2, 100_000, "2026-10-31T17:00:00Z")  # November in Vietnam
    till.work()
    points = {
        row.external_id: row.points for row in hub.rows("SELECT external_id, points FROM transactions")
    }
    assert points == {"sale-1": 10, "sale-2": 20}
    assert hub.balance(phone=PHONE) == 30
    hub.assert_clean()


def test_a_birthday_told_of_in_the_same_batch_counts_for_its_sale(hub: Hub, till: Counter) -> None:
    till.sell(1, 100_000, "2026-11-02T00:00:00Z")
    till.tell_of(birthday="1990-11-15")
    till.work()
    assert hub.balance(phone=PHONE) == 20


def test_a_birthday_that_the_sale_itself_tells_counts_unless_a_record_knows_better(
    hub: Hub, till: Counter
) -> None:
    till.sell(
        1, 100_000, "2026-11-02T00:00:00Z", customer={"phone": "0912345678", "birthday": "1990-11-15"}
    )
    till.work()
    assert hub.balance(phone=PHONE) == 20
    till.sell(
        2, 100_000, "2026-05-02T00:00:00Z", customer={"phone": "0912345678", "birthday": "1990-05-15"}
    )
    till.work()
    assert hub.balance(phone=PHONE) == 30, "the first that was told stays"


def test_a_guest_is_nobody_and_earns_as_the_bill_alone_says(hub: Hub, till: Counter) -> None:
    till.sell(1, 100_000, "2026-11-02T00:00:00Z", phone="")
    till.work()
    (row,) = hub.rows("SELECT points, member_id FROM transactions")
    assert (row.points, row.member_id, contexts(hub)) == (10, None, [])


def test_what_was_so_at_the_sale_serves_its_refund(hub: Hub, till: Counter) -> None:
    """The till corrects the birthday afterwards: the sale keeps the one it was judged by."""
    till.tell_of(birthday="1990-11-15")
    till.sell(1, 100_000, "2026-11-02T00:00:00Z")
    till.work()
    till.tell_of(birthday="1990-05-15")
    till.take_back(1, 50_000)
    till.work()
    assert hub.balance(phone=PHONE) == 10
    assert contexts(hub) == [("sale-1", ["month"], False)]
    hub.assert_clean()


def test_working_twice_changes_nothing(hub: Hub, till: Counter) -> None:
    till.tell_of(birthday="1990-11-15")
    till.sell(1, 100_000, "2026-11-02T00:00:00Z")
    till.work()
    before = hub.rows("SELECT id FROM entries"), contexts(hub)
    till.sell(1, 100_000, "2026-11-02T00:00:00Z")
    till.work()
    assert (hub.rows("SELECT id FROM entries"), contexts(hub)) == before
    assert hub.states()[-1] == ("done", "no_change", None)


def test_a_programme_that_does_not_ask_who_stores_nothing(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    plain = {"earn": DOUBLE_BIRTHDAYS["earn"]}
    with running_hub(database, redis_url, tmp_path, document=plain, slug="plain") as hub:
        till = Counter(hub)
        till.sell(1, 100_000, "2026-11-02T00:00:00Z")
        till.work()
        assert (hub.balance(phone=PHONE), contexts(hub)) == (10, [])
