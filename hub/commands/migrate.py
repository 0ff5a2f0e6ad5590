"""`hub migrate`: bring the database to this version's schema."""

from __future__ import annotations

import click

from hub.attach import attached
from hub.i18n import gettext as _
from hub.settings import load
from hub.show import json_option, show


@click.command("migrate")
@json_option
def command(as_json: bool) -> None:
    """Bring the database to this version's schema; shows what ran.

    Forward only. DATABASE_URL must name the owner of the database.
    """
    from hub.migrate import upgrade

    with attached(load(), create=True) as settings:
        ran = upgrade(settings.database_url)
    show(
        [{"migration": revision} for revision in ran],
        as_json=as_json,
        empty=_("The database is up to date."),
    )
