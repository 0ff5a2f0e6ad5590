"""`hub worker`: one worker."""

from __future__ import annotations

import os

import click

from hub.commands.process import NICE, process


@click.command("worker")
def command() -> None:
    """Process deliveries in both directions, until Ctrl-C."""
    with process("worker") as settings:
        from hub.worker import run

        os.nice(NICE)
        run(settings)
