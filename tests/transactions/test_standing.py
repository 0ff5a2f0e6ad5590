"""Tiers of members on a real database: at the sale, in any order, by two workers, undone by refunds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.sync import process
from tests.counter import Counter
from tests.hubs import Hub, running_hub
from tests.statements import counted

PHONE = "+84912345678"
TIERS: dict[str, Any] = {
    "currency": "VND",
    "levels": [
        {"id": "member", "name": "Member", "from": 0},
        {"id": "gold", "name": "Gold", "from": "1000000", "multiplier": "2"},
    ],
}
DOCUMENT: dict[str, Any] = {"earn": {"points": 1, "per": {"VND": "10000"}}, "tiers": TIERS}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Counter:
    return Counter(hub)


def day(number: int) -> str:
    return f"2026-03-{number:02}T05:00:00Z"


def points(hub: Hub) -> dict[str, int]:
    return {r.external_id: r.points for r in hub.rows("SELECT external_id, points FROM transactions")}


def history(hub: Hub) -> list[tuple[str, str]]:
    rows = hub.rows("SELECT at, tier, why FROM tier_history ORDER BY n")
    return [(row.tier, row.why) for row in rows]


def tier(hub: Hub) -> str:
    (row,) = hub.rows("SELECT tier FROM tier_standings")
    return str(row.tier)


def test_the_tier_before_the_order_decides(hub: Hub, till: Counter) -> None:
    for number in (1, 2):
        till.sell(number, 1_000_000, day(number))
        till.work()
    assert points(hub) == {"sale-1": 100, "sale-2": 200}
    assert (history(hub), tier(hub)) == ([("member", "reached"), ("gold", "reached")], "gold")
    hub.assert_clean()


def test_two_sales_of_one_batch_come_out_as_one_after_the_other(hub: Hub, till: Counter) -> None:
    """Told of in the wrong order, even."""
    till.sell(2, 1_000_000, day(2))
    till.sell(1, 1_000_000, day(1))
    till.work()
    assert points(hub) == {"sale-1": 100, "sale-2": 200}
    assert hub.rows("SELECT 1 FROM sale_contexts WHERE late") == []


def test_a_sale_told_of_late_is_marked_and_the_others_stay_as_they_are(hub: Hub, till: Counter) -> None:
    for number in (2, 1):
        till.sell(number, 1_000_000, day(number))
        till.work()
    assert points(hub) == {"sale-1": 100, "sale-2": 100}
    (late,) = hub.rows(
        "SELECT t.external_id FROM sale_contexts c JOIN transactions t ON t.id = c.transaction_id WHERE c.late"
    )
    assert late.external_id == "sale-1"


def test_a_later_refund_takes_the_tier_but_prices_no_sale_anew(hub: Hub, till: Counter) -> None:
    for number in (1, 2):
        till.sell(number, 1_000_000, day(number))
        till.work()
    till.take_back(1, 1_000_000)
    till.take_back(2, 500_000)
    till.work()
    assert points(hub) == {"sale-1": 0, "sale-2": 100}, "half of the doubled points are left"
    assert tier(hub) == "member"
    assert history(hub) == [("member", "reached")]
    hub.assert_clean()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_arrival_gives_the_same_history(
    hub: Hub, till: Counter, order: tuple[int, ...]
) -> None:
    told = [
        lambda: till.sell(1, 600_000, day(1)),
        lambda: till.sell(2, 600_000, day(2)),
        lambda: till.take_back(1, 100_000),
    ]
    for one in order:
        told[one]()
        till.work()
    (row,) = hub.rows("SELECT at, count AS counted FROM tier_history WHERE tier = 'gold'")
    assert (row.at.isoformat(), row.counted) == ("2026-03-02T05:00:00+00:00", 1_100_000)


def test_working_again_writes_nothing(hub: Hub, till: Counter) -> None:
    till.sell(1, 1_000_000, day(1))
    till.work()
    state = "SELECT xmin, * FROM {}"
    tables = ("tier_history", "tier_standings", "sale_contexts", "entries")
    before = [hub.rows(state.format(t)) for t in tables]
    till.sell(1, 1_000_000, day(1))
    till.work()
    assert [hub.rows(state.format(t)) for t in tables] == before


def test_two_workers_with_a_batch_each_agree_with_one(hub: Hub, till: Counter) -> None:
    """The first batch is not committed yet when the second begins: it waits for the account."""
    import threading

    from hub.sync.process import Batch

    for number in (1, 2):
        till.sell(number, 1_000_000, day(number))
    with hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE deliveries SET due_at = now()")
    both = process.claim(hub.runtime)
    assert len(both) == 2
    first, second = ([d for d in both if f"sale-{n}".encode() in d.body] for n in (1, 2))
    with hub.runtime.sessions() as session:
        works = [Batch.read(hub.runtime, session, hub.program.id, batch) for batch in (first, second)]
    with hub.runtime.sessions.begin() as session:
        works[0].meet(session)
    done = threading.Event()

    def other() -> None:
        with hub.runtime.sessions.begin() as session:
            directory = works[1].meet(session)
        with hub.runtime.sessions.begin() as session:
            works[1].post(session, directory, 0.0)
        done.set()

    with hub.runtime.sessions.begin() as session:
        directory = works[0].meet(session)
        works[0].post(session, directory, 0.0)
        thread = threading.Thread(target=other)
        thread.start()
        assert not done.wait(0.5), "it waits for the lock"
    thread.join(timeout=20)
    assert points(hub) == {"sale-1": 100, "sale-2": 200}
    hub.assert_clean()


def test_points_of_earlier_sales_of_the_batch_count_for_a_tier_by_points(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    tiers = {
        "by": "points_earned",
        "levels": [{"id": "gold", "name": "Gold", "from": 150, "multiplier": "2"}],
    }
    with running_hub(
        database, redis_url, tmp_path, document={**DOCUMENT, "tiers": tiers}, slug="points"
    ) as hub:
        till = Counter(hub)
        for number in (1, 2, 3, 4):
            till.sell(number, 1_000_000, day(number))
        till.work()
        assert points(hub) == {"sale-1": 100, "sale-2": 100, "sale-3": 200, "sale-4": 200}
        assert tier(hub) == "gold"


def test_a_paid_membership_is_a_tier_until_it_is_given_back(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    tiers = {
        "currency": "VND",
        "levels": [{"id": "club", "name": "Club", "multiplier": "3"}],
        "memberships": [{"tier": "club", "skus": ["CARD"], "months": 12}],
    }
    with running_hub(
        database, redis_url, tmp_path, document={**DOCUMENT, "tiers": tiers}, slug="club"
    ) as hub:
        till = Counter(hub)
        line = {
            "id": "1",
            "kind": "goods",
            "name": "Card",
            "sku": "CARD",
            "quantity": 1,
            "unit_price": "10000",
            "net": "10000",
        }
        till.sell(1, 10_000, "2025-03-01T05:00:00Z", lines=[line])
        till.work()
        till.sell(2, 100_000, "2025-03-02T05:00:00Z")
        till.sell(3, 100_000, "2026-03-02T05:00:00Z")
        till.work()
        assert points(hub) == {"sale-1": 1, "sale-2": 30, "sale-3": 10}
        till.take_back(1, 10_000)
        till.sell(4, 100_000, "2025-03-03T05:00:00Z")
        till.work()
        assert points(hub)["sale-4"] == 10


def test_a_sale_given_to_somebody_else_counts_there(hub: Hub, till: Counter) -> None:
    """A guest's order is claimed: the tier comes with it, and goes when it is taken back."""
    from hub.desk import claims
    from hub.desk.place import carry_out

    till.sell(1, 10_000, day(1))
    till.sell(2, 1_000_000, day(2), phone="")
    till.work()
    (guest,) = hub.rows("SELECT public_id FROM transactions WHERE member_id IS NULL")
    (ann,) = hub.rows("SELECT id FROM members")
    carry_out(hub.runtime, hub.program, "test", lambda d: claims.claim(d, guest.public_id, ann.id))
    assert tier(hub) == "gold"
    carry_out(hub.runtime, hub.program, "test", lambda d: claims.release(d, guest.public_id))
    assert tier(hub) == "member"


def test_two_members_who_are_one_have_the_tier_of_both(hub: Hub, till: Counter) -> None:
    from hub.desk import merging
    from hub.desk.place import carry_out

    till.sell(1, 600_000, day(1))
    till.sell(2, 600_000, day(2), phone="0912345679")
    till.work()
    one, other = (row.id for row in hub.rows("SELECT id FROM members ORDER BY id"))
    carry_out(hub.runtime, hub.program, "test", lambda d: merging.merge(d, other, one))
    assert tier(hub) == "gold"
    assert history(hub) == [("member", "reached"), ("gold", "reached")]
    till.sell(3, 100_000, day(3), phone="0912345679")
    till.work()
    assert points(hub)["sale-3"] == 20
    carry_out(hub.runtime, hub.program, "test", lambda d: merging.unmerge(d, other, one))
    assert [row.tier for row in hub.rows("SELECT tier FROM tier_standings")] == ["member", "member"]
    hub.assert_clean()


def test_a_balance_that_is_spent_is_looked_at_again(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    """The tier is right at once for whoever asks; what is stored follows with the next sweep."""
    from hub.desk import tiers as desk_tiers
    from hub.desk.place import Desk, carry_out
    from hub.program import store
    from hub.redemption.redeem import Order, redeem
    from hub.sync import standings

    levels = [{"id": "member", "name": "Member", "from": 0}, {"id": "gold", "name": "Gold", "from": 100}]
    document = {
        "earn": DOCUMENT["earn"],
        "tiers": {"by": "points_balance", "leave": "at_once", "levels": levels},
        "rewards": [{"id": "tea", "name": "Tea", "cost": 50, "perk": "A tea"}],
    }
    with running_hub(database, redis_url, tmp_path, document=document, slug="tea") as hub:
        till = Counter(hub)
        till.sell(1, 1_000_000, day(1))
        till.work()
        assert tier(hub) == "gold"
        (ann,) = hub.rows("SELECT id FROM members")

        def buy(desk: Desk) -> str | None:
            rules = store.versions(desk.session, desk.program)[0]
            order = Order(desk.program.id, ann.id, "tea", "test", hub.runtime.chain_key)
            redeem(desk.session, order, rules, [])
            return desk_tiers.of(desk, ann.id).progress.tier

        assert carry_out(hub.runtime, hub.program, "test", buy) == "member"
        assert standings.review_due(hub.runtime) == 1
        assert (tier(hub), standings.review_due(hub.runtime)) == ("member", 0)


def test_a_programme_without_tiers_is_not_asked_about_them(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    """Not one statement more for who does not use them."""
    with running_hub(
        database, redis_url, tmp_path, document={"earn": DOCUMENT["earn"]}, slug="plain"
    ) as hub:
        till = Counter(hub)
        with counted() as asked:
            till.sell(1, 1_000_000, day(1))
            till.work()
        assert points(hub) == {"sale-1": 100}
        assert any("INSERT INTO entries" in statement for statement in asked)
        words = (
            "tier_history",
            "tier_standings",
            "tier_acts",
            "sale_contexts",
            "sale_memberships",
            "member_tags",
        )
        assert [s for s in asked if any(word in s for word in words)] == []
