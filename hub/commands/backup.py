"""`hub backup`: database and keys in one file."""

from __future__ import annotations

from pathlib import Path

import click

from hub.attach import attached
from hub.settings import load
from hub.show import json_option, show_one


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Write the database and the encryption keys to FILE (readable by you alone).

    The hub may go on running: the file shows one moment. Keep it where the hub is not, and as
    secret as the hub itself: it holds everything.
    """
    from hub.backup import backup

    with attached(load()) as settings:
        manifest = backup(settings, file)
    size = file.stat().st_size
    show_one({"file": str(file), "bytes": size, **manifest.as_dict()}, as_json=as_json)
