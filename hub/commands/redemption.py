"""`hub redemption`: what becomes of points that are held for a reward."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one

if TYPE_CHECKING:
    from hub.desk.place import Desk
    from hub.redemption.redeem import Redeemed


@click.group("redemption")
def command() -> None:
    """Points that are held (`hub redeem --hold`): turn them into a code, or let them go."""


@command.command()
@click.argument("redemption")
@program_option
@json_option
def commit(redemption: str, program: str | None, as_json: bool) -> None:
    """Make the code of a REDEMPTION (red_...) that is held; it goes to all channels."""
    from hub.desk import rewards

    _do(rewards.commit, redemption, program, as_json=as_json)


@command.command()
@click.argument("redemption")
@program_option
@json_option
def void(redemption: str, program: str | None, as_json: bool) -> None:
    """Let the points of a REDEMPTION (red_...) go: back to the lots they came from."""
    from hub.desk import rewards

    _do(rewards.release, redemption, program, as_json=as_json)


def _do(
    deed: Callable[[Desk, str], Redeemed], redemption: str, program: str | None, *, as_json: bool
) -> None:
    from hub import words
    from hub.desk.place import Desk
    from hub.redemption.orders import AlreadyCommitted, HoldEnded, NoSuchRedemption
    from hub.sync.doorbell import Doorbell

    with ground() as runtime:
        try:
            with runtime.sessions.begin() as session:
                found = find_program(session, program)
                done = deed(Desk(runtime, session, found, ACTOR), redemption)
        except NoSuchRedemption:
            raise Refusal(_("there is no redemption {id!r}", id=redemption)) from None
        except HoldEnded as ended:
            raise Refusal(words.of_hold(ended.why)) from None
        except AlreadyCommitted:
            raise Refusal(words.of_hold("already_committed")) from None
        Doorbell(runtime.settings.redis_url).ring("outbound")
    show_one({name: getattr(done, name) for name in done.__slots__}, as_json=as_json)
