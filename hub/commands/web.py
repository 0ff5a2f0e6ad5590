"""`hub web`: the web server alone."""

from __future__ import annotations

import click

from hub.commands.process import process


@click.command("web")
def command() -> None:
    """Serve the web, until Ctrl-C."""
    with process("web") as settings:
        from hub.serve import run

        run(settings)
