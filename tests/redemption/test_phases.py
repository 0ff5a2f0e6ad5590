"""Points are held, then their code is issued or they are let go: exactly one of these, once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.desk import credit
from hub.ledger.commands import NotEnoughPoints
from hub.ledger.merging import Merge, merge
from hub.redemption import phases
from hub.redemption.orders import (
    AlreadyCommitted,
    Deed,
    HoldEnded,
    KeyReused,
    NoSuchRedemption,
)
from hub.sync import lapsing
from tests.market import ANN, BOB
from tests.spending import DOCUMENT, Spending, spending

DAY = timedelta(days=1)


@pytest.fixture
def rig(database: str, redis_url: str, tmp_path: Path) -> Iterator[Spending]:
    with spending(database, redis_url, tmp_path) as rig:
        yield rig


def late(rig: Spending) -> None:
    """Whatever is held was to be let go a second ago."""
    with rig.runtime.sessions.begin() as session:
        session.execute(text("UPDATE redemptions SET hold_until = now() - interval '1 second'"))


def test_what_is_held_is_gone_from_the_balance_and_has_no_code(rig: Spending) -> None:
    rig.gift(30)
    held = rig.hold()
    assert (held.state, held.points, held.code, rig.balance()) == ("held", 20, "", 10)
    assert held.hold_until is not None
    assert held.hold_until - datetime.now(UTC) < timedelta(minutes=15)
    assert rig.market.rows("SELECT id FROM vouchers") == []
    with pytest.raises(NotEnoughPoints) as refused:
        rig.hold()
    assert (refused.value.needed, refused.value.available) == (20, 10)
    rig.release(held.id)


def test_a_refused_hold_leaves_nothing_behind(rig: Spending) -> None:
    rig.gift(19)
    entries = rig.market.entries()
    for _ in range(2):
        with pytest.raises(NotEnoughPoints):
            rig.hold(key="k")
    assert rig.market.rows("SELECT id FROM redemptions") == []
    assert (rig.balance(), rig.market.entries()) == (19, entries)


def test_a_commit_issues_one_code_for_every_shop_however_often_it_is_asked_for(rig: Spending) -> None:
    rig.gift(20)
    held = rig.hold()
    first, again = rig.commit(held.id), rig.commit(held.id)
    assert (first.state, first.voucher_state, first.repeated) == ("committed", "planned", False)
    assert (again.code, again.repeated) == (first.code, True)
    rig.push()
    states = rig.market.rows("SELECT state FROM voucher_channels")
    assert [row.state for row in states] == ["live", "live"]
    assert (rig.balance(), rig.lots()) == (0, [])
    assert rig.events(held.id) == ["held", "committed", "live"]
    assert rig.audit(held.id) == ["redemption.held", "redemption.made"]


def test_points_let_go_are_in_the_lots_they_came_from_to_the_day(rig: Spending) -> None:
    rig.gift(15, lives=DAY)
    rig.gift(15, lives=9 * DAY)
    before = rig.lots()
    held = rig.hold()
    assert [left for left, _ in rig.lots()] == [10]
    assert rig.release(held.id).state == "released"
    assert rig.lots() == before
    entries = rig.market.entries()
    assert rig.release(held.id).repeated
    assert (rig.market.entries(), rig.lots()) == (entries, before)
    assert rig.events(held.id) == ["held", "hold_released"]
    assert rig.audit(held.id) == ["redemption.held", "redemption.released"]


def test_a_hold_ends_by_itself_and_is_committed_no_more(rig: Spending) -> None:
    rig.gift(20)
    held = rig.hold()
    rig.sweep()
    assert rig.balance() == 0
    late(rig)
    with pytest.raises(HoldEnded) as refused:
        rig.commit(held.id)
    assert refused.value.why == "hold_expired"
    rig.sweep()
    assert (rig.balance(), rig.events(held.id)) == (20, ["held", "hold_expired"])
    with pytest.raises(HoldEnded, match="hold_expired"):
        rig.commit(held.id)
    entries = rig.market.entries()
    rig.sweep()
    assert rig.market.entries() == entries


def test_the_programme_says_how_long(database: str, redis_url: str, tmp_path: Path) -> None:
    document = {**DOCUMENT, "redeem": {"hold_minutes": 120, "code_prefix": "TRA"}}
    with spending(database, redis_url, tmp_path, document) as rig:
        rig.gift(20)
        held = rig.hold()
        rig.sweep(datetime.now(UTC) + timedelta(minutes=119))
        assert rig.balance() == 0
        assert rig.commit(held.id).code.startswith("TRA-")


def test_what_is_let_go_gets_no_code_and_what_has_one_is_not_let_go(rig: Spending) -> None:
    rig.gift(40)
    let_go, bought = rig.hold(), rig.hold()
    rig.release(let_go.id)
    rig.commit(bought.id)
    with pytest.raises(HoldEnded, match="hold_released"):
        rig.commit(let_go.id)
    with pytest.raises(AlreadyCommitted):
        rig.release(bought.id)
    late(rig)
    rig.sweep()
    assert rig.balance() == 20


def test_a_redemption_of_nobody_is_not_there(rig: Spending) -> None:
    for deed in (rig.commit, rig.release):
        with pytest.raises(NoSuchRedemption):
            deed("red_nobody")


def test_a_key_stands_for_one_hold_and_for_nothing_else(rig: Spending) -> None:
    rig.gift(60)
    first = rig.hold(key="till-1")
    assert (rig.hold(key="till-1").id, rig.balance()) == (first.id, 40)
    rig.commit(first.id)
    assert rig.hold(key="till-1").state == "committed"
    with pytest.raises(KeyReused):
        rig.redeem(key="till-1")


def test_points_that_expire_while_they_are_held_are_gone_when_they_are_let_go(rig: Spending) -> None:
    """Expiry cannot touch what is held (D4), and a release brings no grace (D5)."""
    rig.gift(20, lives=timedelta(seconds=1))
    held = rig.hold()
    rig.sweep(datetime.now(UTC) + timedelta(seconds=5))
    assert rig.balance() == 0
    with rig.runtime.sessions.begin() as session:
        later = datetime.now(UTC) + timedelta(seconds=5)
        deed = Deed(rig.program.id, held.id, "test", rig.runtime.chain_key, later)
        phases.release(session, deed)
    assert rig.balance() == 0
    assert {c.counter for c in rig.market.rows("SELECT counter FROM entries")} == {
        "adjusted", "held", "expired",
    }  # fmt: skip


def test_what_is_held_goes_back_to_whoever_the_member_has_become(rig: Spending) -> None:
    rig.meet(BOB)
    rig.gift(20)
    held = rig.hold()
    with rig.runtime.sessions.begin() as session:
        ann, bob = rig.market.member(ANN), rig.market.member(BOB)
        merge(session, Merge(rig.program.id, ann, bob, "test", rig.runtime.chain_key))
    rig.release(held.id)
    assert (rig.balance(ANN), rig.balance(BOB)) == (20, 20)


def test_of_a_commit_a_release_and_the_end_of_the_hold_exactly_one_happens(rig: Spending) -> None:
    """Three threads each round, told to begin together; the end of the hold is the sweeper's own code."""
    rig.gift(20 * 8)

    def attempt(deed: str, redemption: str) -> str | None:
        try:
            if deed == "commit":
                return None if rig.commit(redemption).repeated else deed
            if deed == "release":
                return None if rig.release(redemption).repeated else deed
            lapsing.let_go(rig.runtime)
        except (HoldEnded, AlreadyCommitted):
            return None
        return None

    spent = 0
    with ThreadPoolExecutor(3) as pool:
        for _ in range(8):
            held = rig.hold()
            with rig.runtime.sessions.begin() as session:
                session.execute(
                    text(
                        """UPDATE redemptions SET hold_until = clock_timestamp() + interval '4 milliseconds'
                           WHERE state = 'held'"""
                    )
                )
            done = list(pool.map(attempt, ["commit", "release", "end"], [held.id] * 3))
            late(rig)
            rig.sweep()
            ends = [e for e in rig.events(held.id) if e != "held"]
            assert len(ends) == 1
            assert [d for d in done if d] in ([], ["commit"], ["release"])
            spent += 20 * (ends == ["committed"])
            assert rig.balance() == 160 - spent
    assert len(rig.market.rows("SELECT id FROM vouchers")) * 20 == spent


def test_no_key_of_an_operator_stands_in_the_way_of_credit_that_points_buy(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    reward = {"id": "r", "name": "R", "cost": 20, "credit": {"VND": "50000"}}
    document = {**DOCUMENT, "credit": {}, "rewards": [reward]}
    with spending(database, redis_url, tmp_path, document) as rig:
        rig.gift(100)
        member = rig.market.member()
        (last,) = rig.market.rows("SELECT coalesce(max(id), 0) AS id FROM redemptions")
        for number in range(last.id, last.id + 4):
            key = f"red:{number}:VND"
            rig.do(
                partial(credit.adjust, member_id=member, amount=1, currency="VND", reason="x", key=key)
            )
        assert rig.redeem().points == 20
