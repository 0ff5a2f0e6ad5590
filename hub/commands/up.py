"""`hub up`: start everything and keep it running."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from hub import log
from hub.settings import load


@click.command("up")
@click.option("--demo", is_flag=True, help="Then play the demo against it.")
def command(demo: bool) -> None:
    """Start everything and keep it running, until Ctrl-C.

    Starts PostgreSQL and Valkey (unless DATABASE_URL and REDIS_URL name others), migrates the
    database, then starts the web server, the workers and the sweeper, and starts them again when
    they die.
    """
    from hub.supervise import up

    settings = load()
    if settings.log_format == "auto":
        style = "console" if sys.stderr.isatty() else "json"
        settings = replace(settings, log_format=style)
    log.configure(settings.log_level, settings.log_format, process="up")
    up(settings, click.echo, demo=demo)
