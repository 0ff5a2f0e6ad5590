"""`hub demo`: a day in three sandbox shops."""

from __future__ import annotations

import signal

import click

from hub import parent
from hub.attach import attached
from hub.i18n import gettext as _
from hub.settings import load


@click.command("demo")
@click.option("--again", is_flag=True, help="Play it although this hub has played it.")
@click.option("--keep", is_flag=True, help="Keep the sandbox shops open until Ctrl-C.")
@click.option(
    "--shop", "shops", multiple=True, metavar="KIND=ADDRESS", hidden=True,
    help="A sandbox that runs already and stays.",
)  # fmt: skip
def command(again: bool, keep: bool, shops: tuple[str, ...]) -> None:
    """Play a day in three sandbox shops against the running hub.

    Orders, repeats, refunds, a redemption and a failed push travel over real HTTP with real
    signatures. Each run makes a programme of its own.
    """
    from hub.demo import play, was_played
    from hub.runtime import Runtime

    parent.end_with_parent()
    with attached(load()) as settings:
        runtime = Runtime.start(settings)
        with runtime.sessions() as session:
            played = was_played(session)
        if played and not again:
            click.echo(_("The demo was played in this hub before; `hub demo --again` plays it anew."))
            return
        base = f"http://127.0.0.1:{settings.port}"
        standing = dict(shop.split("=", 1) for shop in shops)
        play(runtime, base, click.echo, standing=standing, keep=_wait if keep else None)


def _wait() -> None:
    click.echo(_("The sandbox shops stay open until Ctrl-C."))
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
