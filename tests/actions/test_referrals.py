"""Who brings a friend who buys gets points, and so does the friend: targets over the friend's sales."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from hub.actions.referrals import NotReferable
from hub.canonical import CustomerRef, SaleState
from hub.desk import actions
from hub.desk.place import carry_out
from hub.ledger import merging
from hub.ledger.merging import Merge
from hub.members.resolve import Mention, resolve
from tests.actions.conftest import DOCUMENT
from tests.histories import count_history
from tests.market import ANN, BOB, EVE, NOON, Market, Told, market

FIRST = Told("b1", 100_000, BOB, NOON + timedelta(days=1))
CANCELLED = replace(FIRST, state=SaleState.CANCELLED, version=2)


def people(place: Market, *phones: str) -> list[int]:
    with place.runtime.sessions.begin() as session:
        mentions = [
            Mention.of(CustomerRef(phones=(phone,)), channel_id=0, region="VN") for phone in phones
        ]
        found = resolve(session, place.program.id, mentions)
        return [member for m in mentions if (member := found.find(m)) is not None]


def refer(place: Market, referrer: str = ANN, friend: str = BOB) -> bool:
    """Tell of a referral at noon; whether it had been told before."""
    one, other = people(place, referrer, friend)
    told = carry_out(
        place.runtime, place.program, "test", lambda desk: actions.refer(desk, one, other, at=NOON)
    )
    return told.repeated


def test_both_get_their_points_after_the_friends_first_order(place: Market) -> None:
    refer(place)
    assert (place.balance(ANN), place.balance(BOB)) == (0, 0)
    place.sell(FIRST)
    assert (place.balance(ANN), place.balance(BOB)) == (500, 260)
    place.sell(Told("b2", 100_000, BOB, NOON + timedelta(days=2)))
    assert (place.balance(ANN), place.balance(BOB)) == (500, 270)
    place.assert_clean()


def test_a_refund_takes_both_sides_back_and_a_paid_order_brings_them_again(place: Market) -> None:
    refer(place)
    place.sell(FIRST, CANCELLED)
    assert (place.balance(ANN), place.balance(BOB)) == (0, 0)
    place.sell(replace(FIRST, version=3))
    assert (place.balance(ANN), place.balance(BOB)) == (500, 260)
    entries = place.entries()
    place.sell(replace(FIRST, version=4))
    assert place.entries() == entries
    place.assert_clean()


@pytest.mark.parametrize(
    "order",
    [
        replace(FIRST, amount=99_999),
        replace(FIRST, at=NOON + timedelta(days=10)),
        replace(FIRST, at=NOON - timedelta(seconds=1)),
        replace(FIRST, state=SaleState.PENDING),
        replace(FIRST, phone=EVE),
    ],
    ids=["too small", "too late", "before", "unpaid", "somebody else's"],
)
def test_an_order_that_does_not_qualify_brings_nobody_anything(place: Market, order: Told) -> None:
    refer(place)
    place.sell(order)
    assert place.balance(ANN) == 0
    assert place.balance(BOB) <= 10


def test_an_order_that_counts_for_tiers_alone_brings_nobody_anything_and_is_the_first_all_the_same(
    place: Market,
) -> None:
    refer(place)
    place.sell(FIRST)
    assert (place.balance(ANN), place.balance(BOB)) == (500, 260)
    count_history(place.runtime, place.program, until=NOON + timedelta(days=2))
    place.sell(replace(FIRST, version=2))
    assert (place.balance(ANN), place.balance(BOB)) == (0, 0)
    place.sell(Told("b2", 100_000, BOB, NOON + timedelta(days=3)))
    assert (place.balance(ANN), place.balance(BOB)) == (0, 10)
    place.assert_clean()


def test_only_the_first_order_counts_unless_any_may(
    place: Market, database: str, redis_url: str, tmp_path: Path
) -> None:
    small = replace(FIRST, name="b0", amount=50_000, at=NOON + timedelta(hours=1))
    refer(place)
    place.sell(small, FIRST)
    assert place.balance(ANN) == 0
    lenient = DOCUMENT | {"referral": {**DOCUMENT["referral"], "order": "any"}}  # type: ignore[dict-item]
    with market(database, redis_url, tmp_path, lenient) as other:
        refer(other)
        other.sell(small, FIRST)
        assert other.balance(ANN) == 500


def test_in_whatever_order_things_are_told_both_end_with_the_same(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    """The referral, the first order, its cancellation, a later order that is first then."""
    second = Told("b2", 200_000, BOB, NOON + timedelta(days=2))
    ends = set()
    moments: list[Told | None] = [None, FIRST, CANCELLED, second]
    for told in permutations(moments):
        with market(database, redis_url, tmp_path, DOCUMENT) as place:
            for one in told:
                if isinstance(one, Told):
                    place.sell(one)
                else:
                    refer(place)
            ends.add((place.balance(ANN), place.balance(BOB)))
            place.assert_clean()
    assert ends == {(500, 270)}


def test_a_friend_is_brought_once_and_nobody_brings_themselves(place: Market) -> None:
    assert not refer(place)
    assert refer(place)
    with pytest.raises(NotReferable, match="friend_of_another"):
        refer(place, EVE, BOB)
    with pytest.raises(NotReferable, match="own_friend"):
        refer(place, ANN, ANN)


def test_an_order_that_moves_to_somebody_else_takes_the_referral_with_it(place: Market) -> None:
    refer(place)
    place.sell(FIRST)
    place.sell(replace(FIRST, phone=EVE, version=2))
    assert (place.balance(ANN), place.balance(BOB), place.balance(EVE)) == (0, 0, 10)
    place.assert_clean()


def test_a_referrer_who_was_merged_still_gives_back_what_is_taken_back(place: Market) -> None:
    refer(place)
    place.sell(FIRST, Told("e", 100_000, EVE))
    ann, eve = people(place, ANN, EVE)
    with place.runtime.sessions.begin() as session:
        merging.merge(session, Merge(place.program.id, ann, eve, "test", place.runtime.chain_key))
    assert place.balance(EVE) == 510
    place.sell(CANCELLED)
    assert place.balance(EVE) == 10
    place.assert_clean()


CREDIT = {
    "earn": DOCUMENT["earn"],
    "referral": {
        "referrer_credit": {"VND": "50000", "USD": "2"}, "friend_credit": {"VND": "20000"},
        "minimum": {"VND": "100000"},
    },
}  # fmt: skip


def credit(place: Market, phone: str) -> dict[str, int]:
    """Store credit by currency."""
    rows = place.rows(
        "SELECT currency, balance FROM accounts WHERE holder_id = :member AND balance <> 0",
        member=place.member(phone),
    )
    return {row.currency: row.balance for row in rows}


def test_both_sides_may_get_store_credit_and_lose_it_with_the_order(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with market(database, redis_url, tmp_path, CREDIT) as place:
        refer(place)
        place.sell(FIRST)
        assert (credit(place, ANN), credit(place, BOB)) == ({"VND": 50_000}, {"VND": 20_000})
        assert (place.balance(ANN), place.balance(BOB)) == (0, 10)
        entries = place.entries()
        place.sell(replace(FIRST, version=2))
        assert place.entries() == entries
        place.sell(replace(CANCELLED, version=3))
        assert (credit(place, ANN), credit(place, BOB)) == ({}, {})
        place.sell(replace(FIRST, version=4))
        assert credit(place, ANN) == {"VND": 50_000}
        place.assert_clean()


def test_nobody_has_a_wallet_who_was_given_no_credit(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with market(database, redis_url, tmp_path, CREDIT) as place:
        refer(place)
        place.sell(replace(FIRST, amount=50_000))
        assert place.rows("SELECT 1 FROM accounts WHERE holder_id IS NOT NULL") == []
