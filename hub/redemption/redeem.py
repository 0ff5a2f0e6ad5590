"""Buying a reward with points in one step: hold, code and commit in one transaction, idempotent by key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from hub.ledger.commands import NotEnoughPoints
from hub.outbox.channels import Channel
from hub.program.rewards import Reward
from hub.program.rules import Rules
from hub.redemption import records, taking
from hub.redemption.asking import ask
from hub.redemption.issuing import Bought, Issued, issue
from hub.redemption.limits import lock_stock
from hub.redemption.orders import (
    CREDIT,
    POINTS,
    KeyReused,
    NoSuchReward,
    NotPayable,
    Order,
    Payment,
    Redeemed,
)
from hub.redemption.records import Opened, find
from hub.redemption.wanted import wanted
from hub.transactions import standing

__all__ = [
    "CREDIT",
    "POINTS",
    "KeyReused",
    "NoSuchReward",
    "NotPayable",
    "Order",
    "Payment",
    "Redeemed",
    "find",
    "redeem",
    "redeem_several",
]


def redeem(session: Session, order: Order, rules: Rules, channels: Iterable[Channel]) -> Redeemed:
    """Spend points on a reward and plan its code for every channel.

    Raises `NoSuchReward`, `NotPayable`, `NotOffered` (limits, stock, validity, tier), `NotEnoughPoints`
    and `KeyReused`; whatever it refuses with, the caller rolls back. The same key again answers with the
    first redemption.
    """
    digest = order.digest()
    asked = ask(session, order)
    if asked.used:
        return records.earlier(session, order, digest)  # also when the reward is offered no more
    reward = wanted(session, order, rules, asked)
    asked.refuse_early(reward.cost)
    lock_stock(session, order.program_id, reward)
    taking.open_account(session, order, reward)
    opened = records.insert(session, order, reward, state="committed", digest=digest, now=asked.now)
    if opened is None:
        return records.earlier(session, order, digest)
    issued = _issue(session, order, reward, opened, rules, channels, asked.now)
    taking.take(session, order, reward, opened, rules, asked.now)
    taking.give_credit(session, order, order.member_id, opened.id, reward.credit)
    standing.look_again(session, rules, [order.member_id])
    return _redeemed(order, reward, opened, issued)


def redeem_several(
    session: Session, order: Order, rules: Rules, channels: Iterable[Channel], quantity: int
) -> list[Redeemed]:
    """So many of one reward, each with a code of its own, or none: what `redeem` raises, for all of
    them together."""
    known = list(channels)
    done: list[Redeemed] = []
    for number in range(1, quantity + 1):
        key = order.key if order.key is None or number == 1 else f"{order.key}#{number}"
        try:
            one = redeem(session, replace(order, key=key, quantity=quantity), rules, known)
        except NotEnoughPoints as refused:
            spent = sum(other.points for other in done)
            needed, available = refused.needed * quantity, refused.available + spent
            raise NotEnoughPoints(needed, available, refused.pending, refused.vests_at) from None
        done.append(one)
    return done


def _issue(
    session: Session, order: Order, reward: Reward, opened: Opened, rules: Rules,
    channels: Iterable[Channel], now: datetime,
) -> Issued:  # fmt: skip
    """Its code, before anybody has to wait for the account: a refusal undoes it."""
    events = ("held", "committed")
    bought = Bought(order.program_id, opened.id, order.member_id, reward.terms(), order.actor, events)
    return issue(session, bought, rules.code_prefix, channels, now)


def _redeemed(order: Order, reward: Reward, opened: Opened, issued: Issued) -> Redeemed:
    return Redeemed(
        opened.public_id,
        "committed",
        reward.id,
        reward.cost,
        issued.public_id,
        issued.code,
        issued.state,
        issued.expires_at,
        currency=order.credit.currency if order.credit else None,
    )
