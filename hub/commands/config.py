"""`hub config`: the settings in force, secrets masked."""

from __future__ import annotations

import click

from hub.settings import load, shown
from hub.show import json_option, show


@click.command("config")
@json_option
def command(as_json: bool) -> None:
    """Show the settings in force and where they come from; secrets are masked."""
    show(shown(load()), as_json=as_json)
