"""Orders are listed and found along indexes, and never another program's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id
from hub.members import search
from hub.transactions import browse
from hub.transactions.browse import BadPlace, Found, Place, Wish
from tests.people import Ground, add, new_channel, new_ground, new_member, new_program

MONDAY = datetime(2026, 11, 16, 3, tzinfo=UTC)
A_DAY = timedelta(days=1)


@pytest.fixture
def ground(session: Session) -> Ground:
    return new_ground(session)


@pytest.fixture
def order(session: Session, ground: Ground) -> Callable[..., int]:
    """An order placed on Monday for 250,000."""

    def order(number: str, **more: Any) -> int:
        columns = {
            "program_id": ground.program, "channel_id": ground.channel, "external_id": number or "x",
            "number": number, "placed_at": MONDAY, "total": 250_000, "currency": "VND", "state": "paid",
        } | more  # fmt: skip
        return add(session, "transactions", public_id=new_id("txn"), **columns)

    return order


def ask(session: Session, ground: Ground, words: str = "", **wish: Any) -> Found:
    return browse.find(session, ground.program, "VN", "VND", Wish(words, **wish))


def hits(found: Found) -> list[tuple[int, str]]:
    return [(o["id"], o["by"]) for o in found.orders]


# --- found by any scrap --------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["#HD-1001", "hd-1001", "HD-1001 ", "##HD-1001"])
def test_a_number_is_found_however_it_is_typed(
    session: Session, ground: Ground, order: Callable[..., int], words: str
) -> None:
    wanted = order("#HD-1001")
    order("#HD-10012")
    assert hits(ask(session, ground, words))[0] == (wanted, "number")


def test_the_beginning_of_a_number_is_enough(
    session: Session, ground: Ground, order: Callable[..., int]
) -> None:
    wanted = order("HD-1001")
    assert hits(ask(session, ground, "hd-10")) == [(wanted, "number_begins")]


@pytest.mark.parametrize("words", ["250000", "250.000 đ", "250k", "₫250,000"])
def test_an_amount_is_found_and_a_day_narrows_it(
    session: Session, ground: Ground, order: Callable[..., int], words: str
) -> None:
    monday, tuesday = order("1"), order("2", placed_at=MONDAY + A_DAY)
    assert hits(ask(session, ground, words)) == [(tuesday, "amount"), (monday, "amount")]
    day = {"since": MONDAY, "until": MONDAY + A_DAY}
    assert hits(ask(session, ground, words, **day)) == [(monday, "amount")]


def test_on_a_known_day_an_amount_may_be_about_right(
    session: Session, ground: Ground, order: Callable[..., int]
) -> None:
    order("far", total=300_000)
    near, nearer = order("near", total=270_000), order("nearer", total=249_000)
    found = ask(session, ground, "250k", since=MONDAY, until=MONDAY + A_DAY)
    assert hits(found) == [(nearer, "about"), (near, "about")]
    assert hits(ask(session, ground, "250k")) == []


def test_a_customer_is_found_by_phone_and_by_name_also_when_merged(
    session: Session, ground: Ground, order: Callable[..., int]
) -> None:
    add(
        session, "identities", program_id=ground.program, member_id=ground.ann, kind="phone",
        value="+84901234567",
    )  # fmt: skip
    old = new_member(session, ground.program, "Ann cũ")
    run(session, "UPDATE members SET alias_of = :ann WHERE id = :old", {"ann": ground.ann, "old": old})
    one, other = order("1", member_id=ground.ann), order("2", member_id=old)
    order("3")
    for words in ("0901 234 567", "ann"):
        assert {i for i, by in hits(ask(session, ground, words)) if by == "customer"} == {one, other}
    mine = browse.page(session, ground.program, Wish(member_id=ground.ann))
    assert {o["id"] for o in mine.orders} == {one, other}
    assert {o["member_name"] for o in mine.orders} == {"Ann"}


def test_a_code_is_found_in_any_case(
    session: Session, ground: Ground, order: Callable[..., int]
) -> None:
    wanted = order("1", codes=["HUB-ABCDE-2345-6789"])
    assert hits(ask(session, ground, "hub-abcde-2345-6789")) == [(wanted, "code")]


def test_a_number_whose_message_was_ignored_or_failed_is_said(session: Session, ground: Ground) -> None:
    for key, state in (("a", {"state": "done", "outcome": "ignored", "reason": "test_order"}),
                       ("b", {"state": "failed", "code": "no_currency", "fault": "payload"})):  # fmt: skip
        add(
            session, "deliveries", program_id=ground.program, channel_id=ground.channel, key=key,
            direction="inbound", topic="t", number="#1001", body=b"", body_hash=b"", **state,
        )  # fmt: skip
    found = ask(session, ground, "1001")
    assert found.orders == []
    assert [m["code"] or m["reason"] for m in found.messages] == ["no_currency", "test_order"]


@pytest.mark.parametrize("words", ["%", "_", "''", "\x00", "#", "", "☃", "x" * 5000, "txn_nobody", "\\"])
def test_odd_texts_find_nothing_and_break_nothing(
    session: Session, ground: Ground, order: Callable[..., int], words: str
) -> None:
    order("1001")
    found = ask(session, ground, words)
    assert (found.orders, list(found.messages)) == ([], [])


def test_another_programs_orders_are_nobodys_business(
    session: Session, ground: Ground, order: Callable[..., int]
) -> None:
    theirs = new_program(session, "theirs")
    till = new_channel(session, theirs)
    order("1001", program_id=theirs, channel_id=till, codes=["HUB-1"])
    (row,) = run(session, "SELECT public_id FROM transactions")
    for words in ("1001", "10", "250k", "HUB-1", row.public_id):
        assert ask(session, ground, words).orders == []
    assert browse.page(session, ground.program, Wish()).orders == []


# --- lists ---------------------------------------------------------------------------------------


def test_filters_go_together(session: Session, ground: Ground, order: Callable[..., int]) -> None:
    shop = new_channel(session, ground.program, name="Shop")
    order("1", points=25, member_id=ground.ann)
    guest = order("2", points=25)
    order("3", points=0, state="cancelled", channel_id=shop)
    wish = Wish(nothing=True)
    assert len(browse.page(session, ground.program, wish).orders) == 2
    found = browse.page(session, ground.program, replace(wish, channel_id=ground.channel))
    assert [o["id"] for o in found.orders] == [guest]
    found = browse.page(session, ground.program, replace(wish, state="paid", since=MONDAY))
    assert [o["id"] for o in found.orders] == [guest]
    assert browse.page(session, ground.program, replace(wish, until=MONDAY)).orders == []


@pytest.mark.parametrize(
    "typed", ["", "1", "1-", "-1", "a-b", "1-2-3", "9" * 40 + "-1", "1-" + "9" * 40]
)
def test_a_place_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(BadPlace):
        Place.read(typed)


# --- at size -------------------------------------------------------------------------------------

_MANY = """
INSERT INTO transactions (public_id, program_id, channel_id, external_id, number, placed_at, total, points, state,
                          member_id, codes)
SELECT 'txn_' || n, c.program_id, c.id, n::text, '#' || n, timestamptz '2026-01-01' + n * interval '17 minutes',
       10000 * (n % 97), CASE WHEN n % 20 = 0 THEN 0 ELSE n % 97 END,
       CASE WHEN n % 50 = 0 THEN 'cancelled' ELSE 'paid' END, m.id,
       CASE WHEN n % 1000 = 0 THEN ARRAY['HUB-' || n] ELSE '{}' END
FROM generate_series(1, 20000) AS n
JOIN channels c ON c.id = (CAST(:channels AS bigint[]))[1 + n % 5]
LEFT JOIN LATERAL (SELECT id FROM members WHERE program_id = c.program_id AND n % 3 > 0
                   ORDER BY id LIMIT 1 OFFSET n % 40) m ON true
"""


@pytest.fixture
def year(session: Session, ground: Ground, owner: Engine) -> Ground:
    """20,000 orders of four programs over a year; ours has two channels."""
    programs = [ground.program, *(new_program(session, f"other-{n}") for n in range(3))]
    tills = [ground.channel, *(new_channel(session, p) for p in programs[1:])]
    tills.append(new_channel(session, ground.program, name="Shop"))
    for program in programs:
        for n in range(50):
            new_member(session, program, f"Member {n}")
    run(session, _MANY, {"channels": tills})
    session.commit()
    with owner.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
    return ground


@pytest.fixture
def plans(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The plan of every statement, as it was carried out."""
    seen: list[dict[str, Any]] = []

    def explained(session: Session, statement: str, values: Any = None) -> Any:
        if re.match(r"\s*SELECT", statement):
            plan = run(session, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)[0][0]
            seen.append((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        return run(session, statement, values)

    monkeypatch.setattr(browse, "run", explained)
    monkeypatch.setattr(search, "run", explained)
    return seen


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def wasteful(plans: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Nodes that read the table from end to end, or sort more than a tenth of it."""
    return [
        (node["Node Type"], node.get("Relation Name"), node["Actual Rows"])
        for plan in plans
        for node in nodes(plan)
        if (node["Node Type"] == "Seq Scan" and node["Relation Name"] == "transactions")
        or (node["Node Type"].endswith("Sort") and node["Plans"][0]["Actual Rows"] > 2000)
    ]


def test_no_list_and_no_search_reads_or_sorts_twenty_thousand_orders(
    session: Session, year: Ground, plans: list[dict[str, Any]]
) -> None:
    june = datetime(2026, 6, 1, tzinfo=UTC)
    (shop,) = run(session, "SELECT id FROM channels WHERE name = 'Shop'")
    wishes = {
        "all": Wish(),
        "nothing": Wish(nothing=True),
        "state": Wish(state="cancelled"),
        "no such state": Wish(state="deleted"),
        "channel": Wish(channel_id=shop.id),
        "day": Wish(since=june, until=june + A_DAY),
        "nothing that day": Wish(nothing=True, since=june, until=june + A_DAY),
        "channel and state": Wish(channel_id=shop.id, state="cancelled"),
        "member": Wish(member_id=year.ann),
    }
    for name, wish in wishes.items():
        plans.clear()
        first = browse.page(session, year.program, wish)
        if first.older:
            browse.page(session, year.program, wish, first.older)
        assert plans
        assert wasteful(plans) == [], name
    for words in (
        "#4004",
        "40",
        "txn_4004",
        "250k",
        "HUB-5000",
        "Member 7",
        "0901234567",
        "nothing like it",
    ):
        plans.clear()
        browse.find(session, year.program, "VN", "VND", Wish(words))
        browse.find(session, year.program, "VN", "VND", Wish(words, since=june, until=june + A_DAY))
        assert plans
        assert wasteful(plans) == [], words


def test_pages_show_every_order_once_newest_first(session: Session, year: Ground) -> None:
    seen: list[Any] = []
    place: Place | None = None
    for _ in range(200):
        one = browse.page(session, year.program, Wish(nothing=True), place, limit=50)
        seen += [(o["at"], o["id"]) for o in one.orders]
        if one.older is None:
            break
        place = Place.read(str(one.older))
    (row,) = run(
        session,
        "SELECT count(*) AS n FROM transactions WHERE program_id = :p AND (points = 0 OR member_id IS NULL)",
        {"p": year.program},
    )
    assert len(seen) == len(set(seen)) == row.n
    assert seen == sorted(seen, reverse=True)
