"""`hub sweep`: the sweeper."""

from __future__ import annotations

import os

import click

from hub.commands.process import NICE, process


@click.command("sweep")
def command() -> None:
    """Ring for what is due and free what is stuck, until Ctrl-C."""
    with process("sweep") as settings:
        from hub.sync.sweep import run

        os.nice(NICE)
        run(settings)
