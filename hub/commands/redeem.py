"""`hub redeem`: spend a member's points on a reward."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.member import only_member
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one


@click.command("redeem")
@click.argument("member")
@click.argument("reward")
@click.option("--key", help="Makes it safe to repeat: the same key answers with the first redemption.")
@program_option
@json_option
def command(member: str, reward: str, key: str | None, program: str | None, as_json: bool) -> None:
    """Spend points of a MEMBER (phone, e-mail, card or id) on a REWARD; its code goes to all channels."""
    from hub.desk.place import Desk
    from hub.desk.rewards import offers, redeem
    from hub.ledger.commands import NotEnoughPoints
    from hub.redemption.redeem import KeyReused, NoSuchReward
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        with runtime.sessions.begin() as session:
            found = find_program(session, program)
            who = only_member(session, found, member)
            desk = Desk(runtime, session, found, ACTOR)
            try:
                done = redeem(desk, who.id, reward, key=key)
            except NoSuchReward:
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
    show_one({name: getattr(done, name) for name in done.__slots__}, as_json=as_json)
