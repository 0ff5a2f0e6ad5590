"""`hub worker`: one worker."""

from __future__ import annotations

import click

from hub.commands.process import process


@click.command("worker")
def command() -> None:
    """Process deliveries in both directions, until Ctrl-C."""
    with process("worker") as settings:
        from hub.worker import run

        run(settings)
