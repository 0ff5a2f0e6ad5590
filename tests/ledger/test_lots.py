"""Lots by replay: a pure function of grants and spends, whatever the order they are told in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.ledger.lots import Grant, Return, Spend, payer_key, payer_of, replay

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def day(number: float) -> datetime:
    return NOON + timedelta(days=number)


def grant(key: str, amount: int, at: float = 0, until: float | None = None, wait: float = 0) -> Grant:
    return Grant(key, amount, day(at), day(at + wait), None if until is None else day(until))


def test_d1_the_soonest_expiry_is_spent_first_then_the_older_sale() -> None:
    grants = [grant("a", 10, 0), grant("b", 10, 1, until=50), grant("c", 10, 0, until=60)]
    book = replay(grants, [Spend("s", 25, day(5))], day(6))
    assert {k: lot.remaining for k, lot in book.lots.items()} == {"a": 5, "b": 0, "c": 0}


def test_d1_a_late_message_about_an_earlier_sale_changes_who_paid() -> None:
    spend = [Spend("s", 10, day(5))]
    assert replay([grant("a", 10, 0)], spend, day(6)).lots["a"].remaining == 0
    book = replay([grant("a", 10, 0), grant("b", 10, 1, until=9)], spend, day(6))
    assert (book.lots["a"].remaining, book.lots["b"].remaining) == (10, 0)


def test_d3_a_credit_pays_what_is_owed_first() -> None:
    book = replay([grant("a", 30, 9)], [Spend("s", 50, day(5))], day(10))
    assert (book.debt, book.lots["a"].remaining, book.balance) == (20, 0, -20)


def test_d3_no_debt_stands_beside_pending_points() -> None:
    book = replay([grant("a", 30, 0, wait=100)], [Spend("s", 20, day(5))], day(6))
    assert (book.debt, book.pending(day(6)), book.available(day(6))) == (0, 10, 0)


def test_d4_what_is_held_cannot_expire() -> None:
    held = replay([grant("a", 30, 0, until=10)], [Spend("s", 30, day(5))], day(20))
    assert (held.lots["a"].expired, held.balance) == (0, 0)


def test_validity_is_half_open() -> None:
    at_the_end = replay([grant("a", 30, 0, until=10)], [], day(10))
    assert (at_the_end.lots["a"].expired, at_the_end.available(day(10))) == (30, 0)
    assert replay([grant("a", 30, 0, until=10)], [], day(9.99)).balance == 30


def test_a_return_goes_to_the_lots_it_came_from() -> None:
    grants = [grant("a", 10, 0, until=50), grant("b", 10, 0)]
    book = replay(grants, [Spend("s", 15, day(5), (Return(15, day(6)),))], day(7))
    assert {k: lot.remaining for k, lot in book.lots.items()} == {"a": 10, "b": 10}


def test_d5_points_released_after_their_lot_expired_are_gone_without_grace() -> None:
    book = replay(
        [grant("a", 10, 0, until=10)], [Spend("s", 10, day(5), (Return(10, day(20)),))], day(21)
    )
    assert (book.balance, book.lots["a"].expired) == (0, 10)


def test_d5_points_the_merchant_gave_back_live_on_in_a_child_lot_and_only_once() -> None:
    first = Spend("s1", 10, day(5), (Return(10, day(20), day(30)),))
    book = replay([grant("a", 10, 0, until=10)], [first], day(21))
    assert (book.balance, [lot.parent for lot in book.lots.values()]) == (10, [None, "a"])
    second = Spend("s2", 10, day(25), (Return(10, day(40), day(60)),))
    again = replay([grant("a", 10, 0, until=10)], [first, second], day(41))
    assert (again.balance, len(again.lots)) == (0, 2)


_grants = st.builds(
    lambda n, amount, at, wait, length: grant(
        f"g{n}", amount, at, None if length is None else at + wait + length, wait
    ),
    st.integers(0, 10_000),
    st.integers(0, 50),
    st.integers(0, 30),
    st.sampled_from([0, 0, 3]),
    st.sampled_from([None, 1, 5, 20]),
)
_spends = st.builds(
    lambda n, amount, at, back, after, grace: Spend(
        f"s{n}",
        amount,
        day(at),
        (Return(min(back, amount), day(at + after), day(at + after + 5) if grace else None),)
        if back
        else (),
    ),
    st.integers(0, 10_000),
    st.integers(1, 60),
    st.integers(0, 30),
    st.integers(0, 40),
    st.integers(0, 20),
    st.booleans(),
)


@settings(max_examples=3 * settings().max_examples)
@given(
    st.lists(_grants, max_size=6, unique_by=lambda g: g.key),
    st.lists(_spends, max_size=5, unique_by=lambda s: s.key),
    st.integers(60, 120),
    st.randoms(use_true_random=False),
)
def test_points_are_neither_made_nor_lost_and_order_does_not_matter(
    grants: list[Grant], spends: list[Spend], now: int, chance: Random
) -> None:
    book = replay(grants, spends, day(now))
    chance.shuffle(grants)
    chance.shuffle(spends)
    assert replay(grants, spends, day(now)) == book
    expired = sum(lot.expired for lot in book.lots.values())
    assert book.balance == sum(g.amount for g in grants) - sum(s.net for s in spends) - expired
    used = sum(use.amount for use in book.uses)
    assert used + book.debt == sum(s.net for s in spends)
    for lot in book.lots.values():
        mine = sum(use.amount for use in book.uses if use.lot == lot.key)
        assert lot.granted == lot.remaining + lot.expired + lot.moved + mine
        assert min(lot.remaining, lot.expired, lot.moved) >= 0
        assert lot.parent is None or book.lots[lot.parent].parent is None
    assert not book.debt or not any(lot.remaining for lot in book.lots.values())


def test_points_are_there_from_the_moment_they_are_available_until_before_they_expire() -> None:
    book = replay([grant("a", 10, at=0, wait=2, until=5)], [], day(0))
    seen = {at: (book.available(day(at)), book.pending(day(at))) for at in (0, 1.9, 2, 4.9, 5, 6)}
    assert seen == {0: (0, 10), 1.9: (0, 10), 2: (10, 0), 4.9: (10, 0), 5: (0, 0), 6: (0, 0)}


def test_what_is_for_ever_stays_available_beside_what_is_not() -> None:
    book = replay([grant("a", 10, until=5), grant("b", 7), grant("c", 3, wait=9)], [], day(0))
    assert (book.available(day(1)), book.pending(day(1))) == (17, 3)
    assert (book.available(day(5)), book.pending(day(5))) == (7, 3)
    assert (book.available(day(9)), book.pending(day(9))) == (10, 0)


# --- spends taken again, payers, inactivity ------------------------------------------------------


def test_what_is_taken_again_undoes_the_latest_returns_first() -> None:
    early, late = Return(3, day(6)), Return(4, day(7), day(40))
    spend = Spend("s", 10, day(5), (early, late))
    assert spend.taken_again(0) == spend
    assert spend.taken_again(1).returns == (early, replace(late, amount=3))
    assert spend.taken_again(4).returns == (early,)
    assert spend.taken_again(6).returns == (replace(early, amount=1),)
    again = spend.taken_again(9)
    assert (again.amount, again.returns, again.net) == (12, (), 12)
    assert [spend.taken_again(n).net for n in range(9)] == list(range(3, 12))


def test_a_payer_is_read_out_of_a_key() -> None:
    assert payer_key("Ann & Co", "r:1") == "payer:Ann & Co:r:1"
    keys = ("payer:Ann & Co:r:1", "payer:b:", "adjust:r", "sale:1:2", "payers:x:1", "payer")
    assert [payer_of(key) for key in keys] == ["Ann & Co", "b", None, None, None, ""]


def test_a_payer_takes_back_their_own_first_and_then_what_ends_soonest() -> None:
    own, others = payer_key("x", "1"), payer_key("y", "1")
    grants = [grant(own, 5, 1), grant(others, 5, 0, until=30), grant("mine", 5, 0, until=20)]
    book = replay(grants, [Spend(payer_key("x", "back"), 8, day(5))], day(6))
    assert {k: lot.remaining for k, lot in book.lots.items()} == {own: 0, others: 5, "mine": 2}
    assert [book.available(day(6), payer) for payer in (None, "x", "y", "z")] == [7, 0, 5, 0]


def test_a_pending_lot_is_taken_from_last_also_where_it_ends_first() -> None:
    grants = [grant("soon", 5, 0, until=9, wait=7), grant("open", 5, 0, until=90)]
    book = replay(grants, [Spend("s", 5, day(5))], day(6))
    assert (book.lots["open"].remaining, book.lots["soon"].remaining) == (0, 5)
    at_once = replay([grant("soon", 5, 0, until=9, wait=5), grant("open", 5, 0, until=90)],
                     [Spend("s", 5, day(5))], day(6))  # fmt: skip
    assert at_once.lots["soon"].remaining == 0


def test_what_is_returned_to_several_lots_lives_on_by_lot_and_by_return() -> None:
    grants = [grant("a", 4, 0, until=10), grant("b", 5, 0, until=12), grant("c", 9, 0, until=80)]
    returns = (Return(6, day(20), day(50)), Return(2, day(21)), Return(5, day(22), day(60)))
    book = replay(grants, [Spend("s", 13, day(5), returns)], day(30))
    children = {k: (lot.granted, lot.parent) for k, lot in book.lots.items() if lot.parent}
    assert children == {"a~s~0": (4, "a"), "b~s~0": (2, "b"), "b~s~2": (3, "b")}
    assert [book.lots[k].expires_at for k in ("a~s~0", "b~s~2")] == [day(50), day(60)]
    assert book.lots["c"].remaining == 9


def test_a_grant_of_nothing_is_no_lot() -> None:
    assert replay([grant("a", 0, 0)], [], day(1)).lots == {}
