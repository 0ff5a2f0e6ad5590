"""`hub redeem`: spend a member's points on a reward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

if TYPE_CHECKING:
    from hub.desk.place import Desk
    from hub.redemption.redeem import Payment, Redeemed


@click.command("redeem")
@click.argument("member")
@click.argument("reward", required=False)
@click.option(
    "--points", type=click.IntRange(1), help="Pay with so many points instead: money off a bill."
)
@click.option("--credit", help="Turn so much store credit into a code instead, like 50000.")
@click.option(
    "--quantity", type=click.IntRange(1, 100), default=1, help="So many of the reward, each with a code."
)
@click.option("--currency", help="Of the bill; the programme's own when left out.")
@click.option(
    "--hold", is_flag=True, help="Only hold the points; `hub redemption commit` makes the code."
)
@click.option("--key", help="Makes it safe to repeat: the same key answers with the first redemption.")
@program_option
@json_option
def command(
    member: str, reward: str | None, points: int | None, credit: str | None, quantity: int,
    currency: str | None, hold: bool, key: str | None, program: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Spend points of a MEMBER (phone, e-mail, card or id) on a REWARD; its code goes to all channels."""
    if sum(one is not None for one in (reward, points, credit)) != 1:
        raise click.UsageError(_("name one of REWARD, --points and --credit"))
    if hold and quantity != 1:
        raise click.UsageError(_("--hold is for one at a time"))
    from hub.desk.place import Desk
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        with runtime.sessions.begin() as session:
            found = find_program(session, program)
            who = only_member(session, found, member)
            desk = Desk(runtime, session, found, ACTOR)
            money = currency or found.currency
            with _refusals(desk, reward, key):
                if reward is not None:
                    done = _bought(desk, who.id, reward, quantity, hold=hold, key=key)
                else:
                    payment = _payment(points, credit, money)
                    done = [_paid(desk, who.id, payment, hold=hold, key=key)]
        Doorbell(runtime.settings.redis_url).ring("outbound")
    rows = [{name: getattr(one, name) for name in one.__slots__} for one in done]
    if len(rows) == 1:
        show_one(rows[0], as_json=as_json)
    else:
        show(rows, as_json=as_json)


def _bought(
    desk: Desk, member: int, reward: str, quantity: int, *, hold: bool, key: str | None
) -> list[Redeemed]:
    from hub.desk import rewards

    if hold:
        return [rewards.hold(desk, member, reward, key=key)]
    return rewards.redeem_several(desk, member, reward, quantity, key=key)


def _paid(desk: Desk, member: int, payment: Payment, *, hold: bool, key: str | None) -> Redeemed:
    from hub.desk import rewards

    return (rewards.hold_payment if hold else rewards.pay)(desk, member, payment, key=key)


def _payment(points: int | None, credit: str | None, currency: str) -> Payment:
    from hub.commands.credit import minor_of
    from hub.redemption.redeem import Payment

    return Payment(points or minor_of(credit or "", currency), currency, credit=credit is not None)


@contextmanager
def _refusals(desk: Desk, reward: str | None, key: str | None) -> Iterator[None]:
    """Whatever a redemption is refused with, in words."""
    from hub import words
    from hub.ledger.commands import NotEnoughPoints
    from hub.redemption.limits import NotOffered
    from hub.redemption.redeem import KeyReused, NoSuchReward, NotPayable

    try:
        yield
    except NotOffered as refused:
        raise Refusal(words.of_offer(refused.why)) from None
    except NotPayable as refused:
        raise Refusal(words.of_payment(refused.quote.why)) from None
    except NoSuchReward as refused:
        raise Refusal(_not_offered(desk, reward, str(refused))) from None
    except NotEnoughPoints as refused:
        raise Refusal(
            _(
                "the reward costs {needed} points; {available} are available",
                needed=refused.needed,
                available=refused.available,
            )
        ) from None
    except KeyReused:
        raise Refusal(_("the key {key!r} was used for another redemption", key=key)) from None


def _not_offered(desk: Desk, reward: str | None, asked: str) -> str:
    from hub.desk.rewards import offers
    from hub.redemption.redeem import CREDIT

    if reward is None and asked == CREDIT:
        return _("there is no store credit in this programme ([credit])")
    if reward is None:
        return _("points are not money in this programme ([paying])")
    known = ", ".join(offer.reward.id for offer in offers(desk, 0))
    if not known:
        return _("the programme has no rewards yet")
    return _("there is no reward {reward!r}; there are: {known}", reward=reward, known=known)
