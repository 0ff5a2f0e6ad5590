"""`hub take-back`: take an unused code back, so that its points return."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one


@click.command("take-back")
@click.argument("code")
@program_option
@json_option
def command(code: str, program: str | None, as_json: bool) -> None:
    """Take an unused CODE back from every channel; its points return once all have confirmed."""
    from hub.desk.place import Desk
    from hub.desk.rewards import take_back
    from hub.redemption.taking_back import AlreadyUsed
    from hub.redemption.uses import redemption_of
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        with runtime.sessions.begin() as session:
            found = find_program(session, program)
            redemption = redemption_of(session, found.id, code)
            if redemption is None:
                raise Refusal(_("there is no code {code!r}", code=code))
            try:
                state = take_back(Desk(runtime, session, found, ACTOR), redemption)
            except AlreadyUsed:
                raise Refusal(_("An order used this code; refund or cancel that order.")) from None
        Doorbell(runtime.settings.redis_url).ring("outbound")
    show_one({"code": code, "redemption": redemption, "state": state}, as_json=as_json)
