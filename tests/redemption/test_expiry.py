"""A code's day passes: channels let go of it, what they may still tell is waited for, then points are settled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hub.canonical import SaleState
from hub.connector import Command, Receipt
from hub.errors import ChannelDown
from hub.redemption.leaving import ASKED_WAIT, FEED_WAIT, UNREAD_WAIT
from tests.model_shop import ModelShop
from tests.spending import DOCUMENT, Spending, spending

DAY = timedelta(days=1)


@contextmanager
def opened(database: str, redis_url: str, data: Path, **redeem: Any) -> Iterator[Spending]:
    rewards = [{**DOCUMENT["rewards"][0], "valid_days": 1}]
    document = {**DOCUMENT, "rewards": rewards, "redeem": redeem}
    with spending(database, redis_url, data, document) as rig:
        rig.gift(20, lives=3 * DAY)
        rig.gift(15, lives=9 * DAY)
        yield rig


@pytest.fixture
def rig(database: str, redis_url: str, tmp_path: Path) -> Iterator[Spending]:
    with opened(database, redis_url, tmp_path) as rig:
        yield rig


def state(rig: Spending) -> tuple[str, str]:
    (row,) = rig.market.rows(
        "SELECT v.state, r.state AS spent FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id"
    )
    return row.state, row.spent


def expire(rig: Spending, after: timedelta = DAY + FEED_WAIT + timedelta(seconds=5)) -> datetime:
    """The sweeper's rounds, and what channels are told, until so long after now."""
    at = datetime.now(UTC) + after
    rig.sweep(at)
    rig.push()
    rig.sweep(at)
    return at


def test_points_of_a_code_that_nobody_used_are_back_in_their_lots(rig: Spending) -> None:
    before = rig.lots()
    rig.redeem()
    rig.push()
    rig.sweep(datetime.now(UTC) + DAY - timedelta(seconds=60))
    assert state(rig) == ("live", "committed")
    expire(rig, DAY + timedelta(seconds=5))
    assert state(rig) == ("expiring", "committed")
    places = rig.market.rows("SELECT state FROM voucher_channels")
    assert {row.state for row in places} == {"revoked"}
    expire(rig, DAY + FEED_WAIT - timedelta(seconds=60))
    assert (state(rig), rig.balance()) == (("expiring", "committed"), 15)
    at = expire(rig)
    assert (state(rig), rig.lots()) == (("expired", "released"), before)
    entries = rig.market.entries()
    rig.sweep(at)
    assert rig.market.entries() == entries


def test_points_are_lost_where_the_programme_says_so(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with opened(database, redis_url, tmp_path, unused="lost") as rig:
        code = rig.redeem().code
        rig.push()
        expire(rig)
        assert (state(rig), rig.balance()) == (("expired", "committed"), 15)
        rig.tell("late", code)
        assert (state(rig), rig.balance()) == (("used_late", "committed"), 16)


def test_a_channel_that_has_not_confirmed_holds_the_points_up(
    rig: Spending, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.redeem()
    rig.push()
    well = ModelShop.push

    def push(shop: ModelShop, command: Command) -> Receipt:
        if command.action == "revoke_code" and shop.channel.settings is not None:
            raise ChannelDown("away", "it does not answer")
        return well(shop, command)

    monkeypatch.setattr(ModelShop, "push", push)
    expire(rig)
    assert state(rig) == ("expiring", "committed")
    monkeypatch.undo()
    with rig.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET down_until = NULL"))
        session.execute(text("UPDATE deliveries SET due_at = now(), code = NULL WHERE state = 'due'"))
    expire(rig)
    assert state(rig) == ("expired", "released")


def test_a_message_that_is_not_read_yet_holds_the_points_up_for_a_week_at_most(rig: Spending) -> None:
    rig.redeem()
    rig.push()
    with rig.runtime.sessions.begin() as session:
        session.execute(
            text(
                """UPDATE deliveries SET state = 'failed', fault = 'payload', code = 'bad'
                   WHERE id = (SELECT min(id) FROM deliveries)"""
            )
        )
    expire(rig)
    assert state(rig) == ("expiring", "committed")
    expire(rig, DAY + UNREAD_WAIT + timedelta(seconds=5))
    assert state(rig)[0] == "expired"
    with rig.runtime.sessions.begin() as session:
        session.execute(
            text(
                "UPDATE deliveries SET state = 'done', fault = NULL, code = NULL WHERE state = 'failed'"
            )
        )


def test_an_order_that_is_told_of_while_it_is_waited_for_keeps_the_points_spent(rig: Spending) -> None:
    code = rig.redeem().code
    rig.push()
    expire(rig, DAY + timedelta(seconds=5))
    rig.tell("a", code)
    expire(rig)
    assert (state(rig), rig.balance()) == (("used", "committed"), 16)


@pytest.mark.parametrize(("policy", "points"), [("take_again", 16), ("absorb", 36), ("flag", 36)])
def test_an_order_that_is_told_of_too_late_is_settled_by_the_policy_of_double_uses(
    database: str, redis_url: str, tmp_path: Path, policy: str, points: int
) -> None:
    with opened(database, redis_url, tmp_path, double_use=policy) as rig:
        code = rig.redeem().code
        rig.push()
        expire(rig)
        assert rig.balance() == 35
        rig.tell("late", code)
        assert (state(rig)[0], rig.balance()) == ("used_late", points)
        rig.tell("late", code, state=SaleState.CANCELLED)
        expire(rig)
        assert (state(rig), rig.balance()) == (("revoked", "released"), 35)


def test_a_code_open_again_after_its_day_is_not_made_anew(
    rig: Spending, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = rig.redeem().code
    rig.push()
    rig.tell("a", code)
    expire(rig)
    assert state(rig)[0] == "used"
    rig.tell("a", code, state=SaleState.CANCELLED)
    sent: list[str] = []

    def push(_shop: ModelShop, command: Command) -> Receipt:
        sent.append(command.action)
        return Receipt()

    monkeypatch.setattr(ModelShop, "push", push)
    expire(rig)
    assert state(rig) == ("expired", "released")
    assert "create_code" not in sent


def asked(rig: Spending, shop: int, after: timedelta) -> None:
    """A shop is asked what changed there, to the end, so long after now."""
    with rig.runtime.sessions.begin() as session:
        session.execute(
            text(
                """INSERT INTO connections (channel_id, program_id, asked_at, ask_at, watch_at, reread_at)
                   VALUES (:id, :program, :at, :never, :never, :never)
                   ON CONFLICT (channel_id) DO UPDATE SET asked_at = excluded.asked_at"""
            ),
            {"id": rig.market.shops[shop].id, "program": rig.program.id, "at": datetime.now(UTC) + after,
             "never": datetime.now(UTC) + 99 * DAY},
        )  # fmt: skip


def test_shops_that_are_asked_need_not_be_waited_for(rig: Spending) -> None:
    rig.redeem()
    rig.push()
    soon = DAY + ASKED_WAIT + timedelta(seconds=30)
    asked(rig, 0, soon)
    expire(rig, soon)
    assert state(rig) == ("expiring", "committed"), "the other shop may still tell"
    asked(rig, 1, DAY + ASKED_WAIT - timedelta(seconds=30))
    expire(rig, soon)
    assert state(rig) == ("expiring", "committed"), "that round may have begun before the last moment"
    asked(rig, 1, soon)
    expire(rig, soon)
    assert state(rig) == ("expired", "released")


def test_a_shop_that_does_not_answer_when_it_is_asked_holds_the_points_up_for_a_week_at_most(
    rig: Spending,
) -> None:
    rig.redeem()
    rig.push()
    asked(rig, 0, DAY - timedelta(hours=2))
    expire(rig)
    assert state(rig) == ("expiring", "committed")
    expire(rig, DAY + UNREAD_WAIT + timedelta(seconds=30))
    assert state(rig) == ("expired", "released")
