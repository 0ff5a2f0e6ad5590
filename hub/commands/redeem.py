"""`hub redeem`: spend a member's points on a reward."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one


@click.command("redeem")
@click.argument("member")
@click.argument("reward", required=False)
@click.option(
    "--points", type=click.IntRange(1), help="Pay with so many points instead: money off a bill."
)
@click.option(
    "--quantity", type=click.IntRange(1, 100), default=1, help="So many of the reward, each with a code."
)
@click.option("--currency", help="Of the bill; the programme's own when left out.")
@click.option("--key", help="Makes it safe to repeat: the same key answers with the first redemption.")
@program_option
@json_option
def command(
    member: str, reward: str | None, points: int | None, quantity: int, currency: str | None, key: str | None,
    program: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Spend points of a MEMBER (phone, e-mail, card or id) on a REWARD; its code goes to all channels."""
    if (reward is None) == (points is None):
        raise click.UsageError(_("name either a REWARD or --points"))
    from hub import words
    from hub.desk.place import Desk
    from hub.desk.rewards import offers, pay, redeem_several
    from hub.ledger.commands import NotEnoughPoints
    from hub.redemption.limits import NotOffered
    from hub.redemption.redeem import KeyReused, NoSuchReward, NotPayable, Payment
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        with runtime.sessions.begin() as session:
            found = find_program(session, program)
            who = only_member(session, found, member)
            desk = Desk(runtime, session, found, ACTOR)
            try:
                if points is None:
                    done = redeem_several(desk, who.id, reward or "", quantity, key=key)
                else:
                    payment = Payment(points, currency or found.currency)
                    done = [pay(desk, who.id, payment, key=key)]
            except NotOffered as refused:
                raise Refusal(words.of_offer(refused.why)) from None
            except NotPayable as refused:
                raise Refusal(words.of_payment(refused.quote.why)) from None
            except NoSuchReward:
                if points is not None:
                    raise Refusal(_("points are not money in this programme ([paying])")) from None
                known = ", ".join(offer.reward.id for offer in offers(desk, 0))
                if not known:
                    raise Refusal(_("the programme has no rewards yet")) from None
                raise Refusal(
                    _("there is no reward {reward!r}; there are: {known}", reward=reward, known=known)
                ) from None
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
        Doorbell(runtime.settings.redis_url).ring("outbound")
    rows = [{name: getattr(one, name) for name in one.__slots__} for one in done]
    if len(rows) == 1:
        show_one(rows[0], as_json=as_json)
    else:
        show(rows, as_json=as_json)
