"""`hub inspect`: what recorded messages mean."""

from __future__ import annotations

from pathlib import Path

import click

from hub.commands.ground import find_connector
from hub.i18n import gettext as _
from hub.show import as_line


@click.command("inspect")
@click.argument("kind")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--secret", help="The webhook secret: signatures are checked with it.")
@click.option("--topic", help="The platform's topic, for bodies without headers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (it always is).")
def command(
    kind: str, paths: tuple[Path, ...], secret: str | None, topic: str | None, as_json: bool
) -> None:
    """Show what recorded messages of a connector KIND mean, one JSON object a line.

    PATHS are x.headers files with x.body beside them, bare bodies (with --topic), or folders. No
    database is needed.
    """
    del as_json
    from hub.inspect import find, inspect
    from hub.settings import load

    connector = find_connector(kind, load().connectors)
    shown = 0
    for shown, message in enumerate(find(paths), 1):  # noqa: B007
        click.echo(as_line(inspect(connector, message, secret=secret, topic=topic)))
    if not shown:
        click.echo(_("There is no recorded message in what was named."), err=True)
