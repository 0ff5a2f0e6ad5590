"""The points of a redemption: taken out of lots under the account's lock, given back, or made credit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import commands
from hub.ledger.accounts import open_accounts
from hub.ledger.commands import Command
from hub.members.view import root_of
from hub.program.paying import Quote
from hub.program.rewards import Reward
from hub.program.rules import Rules
from hub.redemption import voucher
from hub.redemption.limits import check_member, check_points
from hub.redemption.orders import Deed, NotPayable, Order
from hub.redemption.records import Opened


def open_account(session: Session, order: Order, reward: Reward) -> None:
    """A member who never had points may spend store credit, or nothing."""
    if order.credit is not None or not reward.cost:
        open_accounts(session, order.program_id, [root_of(session, order.member_id)])


def take(
    session: Session, order: Order, reward: Reward, opened: Opened, rules: Rules, now: datetime
) -> None:
    """Take the points, or the credit. The account is locked from here to the end of the transaction:
    whatever needs no lock was done before. Raises `NotEnoughPoints`, `NotPayable` and `NotOffered`."""
    account_id = _hold(session, order, reward, opened, rules)
    check_member(session, order.program_id, order.member_id, reward, now, rules.time_zone)
    if order.payment and not order.credit and rules.paying and rules.paying.most_per_day is not None:
        most = rules.paying.most_per_day
        check_points(session, order.program_id, order.member_id, most, now, rules.time_zone)
    if account_id != opened.account_id:
        sql = "UPDATE redemptions SET account_id = :account WHERE id = :id"
        run(session, sql, {"account": account_id, "id": opened.id})


def give_credit(
    session: Session, who: Order | Deed, member_id: int, redemption_id: int, credit: Mapping[str, int]
) -> None:
    """A reward that is store credit is there at once."""
    for currency, amount in credit.items():
        command = Command(
            who.program_id,
            member_id,
            reference=f"redeemed:{redemption_id}:{currency}",
            actor=who.actor,
            chain_key=who.chain_key,
            now=who.now,
            explanation=({"code": "points_to_credit", "points": str(amount)},),
            currency=currency,
        )
        commands.adjust(session, command, amount)


def let_go(
    session: Session,
    deed: Deed,
    redemption_id: int,
    currency: str | None,
    step: Mapping[str, str],
) -> Iterator[int]:
    """Give back what is held, to the very lots it came from and to whoever paid it: of members merged
    and taken apart again, spends stay with the survivor (D8). No grace (D5). Yields the members."""
    subject = f"red:{redemption_id}"
    spent = voucher.spent(session, deed.program_id, [subject])[subject]
    for number, (member_id, points) in enumerate(spent.by, 1):
        command = Command(
            deed.program_id,
            member_id,
            reference=f"release:{redemption_id}:{number}",
            actor=deed.actor,
            chain_key=deed.chain_key,
            now=deed.now,
            explanation=({**step, "points": str(points)},),
            currency=currency,
        )
        commands.give_back(session, command, points, subject, counter="held")
        yield member_id


def _hold(session: Session, order: Order, reward: Reward, opened: Opened, rules: Rules) -> int:
    """The id of the account, which is locked then in any case."""
    if not reward.cost:
        sql = """SELECT a.id FROM members m JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
                 WHERE m.id = :member FOR NO KEY UPDATE OF a"""
        return int(run(session, sql, {"member": order.member_id})[0].id)
    command = Command(
        order.program_id,
        order.member_id,
        reference=f"hold:{opened.id}",
        actor=order.actor,
        chain_key=order.chain_key,
        now=order.now,
        explanation=(_explained(order, reward),),
        currency=order.credit.currency if order.credit else None,
    )
    held = commands.hold(session, command, reward.cost, f"red:{opened.id}")
    paying = rules.paying if order.payment and not order.credit else None
    if paying and held.available + reward.cost < paying.least_balance:
        raise NotPayable(Quote(0, 0, "balance_too_small"))
    return held.account_id


def _explained(order: Order, reward: Reward) -> dict[str, Any]:
    if order.payment is None:
        return {"code": "redeemed", "points": str(-reward.cost), "reward": reward.id}
    currency = order.payment.currency
    if order.payment.credit:
        step = {"code": "credit_to_code", "points": str(-reward.cost)}
        return {**step, "amount": reward.cost, "currency": currency}
    return {
        "code": "paid_with_points",
        "points": str(-reward.cost),
        "amount": reward.amounts[currency],
        "currency": currency,
    }
