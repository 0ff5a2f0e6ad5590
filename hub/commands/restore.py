"""`hub restore`: fill an empty hub from a backup."""

from __future__ import annotations

from pathlib import Path

import click

from hub.attach import attached
from hub.settings import load
from hub.show import json_option, show_one


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Fill an empty hub from the backup FILE; a hub that holds anything is refused.

    Messages to channels that were waiting when the backup was made are not sent by themselves:
    what the channels have seen since is not known.
    """
    from hub.backup import restore
    from hub.sync.sweep import after_restore

    with attached(load(), create=True) as settings:
        manifest = restore(settings, file, after_restore)
    show_one({"restored": str(file), **manifest.as_dict()}, as_json=as_json)
