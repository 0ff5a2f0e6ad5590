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
    from hub.ledger.commands import NotEnoughPoints
    from hub.outbox import channels
    from hub.program import store
    from hub.program.rules import in_force
    from hub.redemption.redeem import KeyReused, NoSuchReward, Order, redeem
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        with runtime.sessions.begin() as session:
            found = find_program(session, program)
            who = only_member(session, found, member)
            rules = in_force(store.versions(session, found), runtime.clock())
            order = Order(found.id, who.id, reward, ACTOR, runtime.chain_key, key=key)
            try:
                done = redeem(session, order, rules, channels.of_program(session, found.id))
            except NoSuchReward:
                if not rules.rewards:
                    raise Refusal(_("the programme has no rewards yet")) from None
                known = ", ".join(rules.rewards)
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
