"""What `hub member credit` does: store credit shown, given and taken."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from hub.commands.ground import ACTOR, find_program, ground
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import show, show_one


def show_held(text: str, program: str | None, *, as_json: bool) -> None:
    """What a member has, by currency, and how it came about, newest first."""
    from hub import words
    from hub.commands.member import only_member
    from hub.members.credit import held, movements

    with ground() as runtime, runtime.sessions() as session:
        member = only_member(session, find_program(session, program), text)
        has = [_in_money(one) for one in held(session, member.id, runtime.clock())]
        rows = [
            {
                "recorded_at": entry.recorded_at,
                "amount": words.money(entry.amount, entry.currency),
                "balance": words.money(entry.balance_after, entry.currency),
                "why": words.of_entry(entry.counter, entry.amount, entry.explanation),
                "order": entry.number,
            }
            for entry in movements(session, member.id)
        ]
    show(has, as_json=as_json, empty=_("No store credit."))
    show(rows, as_json=as_json)


def give(
    text: str, amount: str, currency: str | None, reason: str, key: str | None, program: str | None,
    *, as_json: bool,
) -> None:  # fmt: skip
    """Give (+) or take (-) so much; the amount in the currency's major units."""
    from hub.commands.member import only_member
    from hub.desk.credit import adjust
    from hub.desk.place import carry_out
    from hub.ids import new_id
    from hub.ledger.commands import NotEnoughPoints, ReferenceConflict

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        money = currency or found.currency
        minor = minor_of(amount, money)
        try:
            done = carry_out(
                runtime, found, ACTOR,
                lambda desk: adjust(
                    desk, member.id, minor, money, reason=reason, key=key or new_id("adj")
                ),
            )  # fmt: skip
        except NotEnoughPoints:
            raise Refusal(_("there is not so much store credit")) from None
        except ReferenceConflict:
            raise Refusal(_("the key {key!r} was used for another adjustment", key=key)) from None
    show_one(
        {
            "member": member.public_id,
            "currency": money,
            "balance": done.balance,
            "repeated": done.repeated,
        },
        as_json=as_json,
    )


def minor_of(amount: str, currency: str) -> int:
    """Minor units of an amount as it was typed. Raises `click.UsageError`."""
    from hub.money import NotMoney, to_minor_exact

    try:
        minor = to_minor_exact(Decimal(amount), currency)
    except (NotMoney, InvalidOperation):
        raise click.UsageError(
            _("{amount} is no amount of {currency}", amount=amount, currency=currency)
        ) from None
    if not minor:
        raise click.UsageError(_("the amount must not be 0"))
    return minor


def _in_money(held: Any) -> dict[str, Any]:
    from hub import words

    return {
        "currency": held.currency,
        "balance": words.money(held.balance, held.currency),
        "available": words.money(held.available, held.currency),
        "pending": words.money(held.pending, held.currency),
    }


def collect_card(text: str, code: str, program: str | None, *, as_json: bool) -> None:
    """The money of a gift card becomes a member's store credit."""
    from hub import words
    from hub.commands.member import only_member
    from hub.desk.gift_cards import collect
    from hub.desk.place import carry_out
    from hub.redemption.gift_cards import NoGiftCard, NotCollectable

    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            member = only_member(session, found, text)
        try:
            done = carry_out(runtime, found, ACTOR, lambda desk: collect(desk, member.id, code))
        except NoGiftCard:
            raise Refusal(_("There is no gift card with this code.")) from None
        except NotCollectable as refused:
            raise Refusal(words.of_code(refused.why)) from None
    amount = words.money(done.amount, done.currency)
    row = {
        "member": member.public_id,
        "amount": amount,
        "voucher": done.voucher,
        "changed": not done.repeated,
    }
    show_one(row, as_json=as_json)
