"""`hub secrets`: changing the key that encrypts what channels and the ledger keep secret."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, ground
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show_one


@click.group("secrets")
def command() -> None:
    """The key that encrypts channels' secrets."""


@command.command("rotate")
@json_option
def rotate(as_json: bool) -> None:
    """Encrypt all secrets with a new key.

    The new key is put first in the keys file, and the hub may go on running: its processes take it up.
    When it is broken off, call it again and it goes on. With keys in HUB_KEYS put the new one first
    there and restart the hub before. The old key still opens backups: `hub secrets drop-old` takes it
    out when nothing needs it any more.
    """
    from hub import rekeying
    from hub.audit import record

    with ground() as runtime:
        added = rekeying.add_key(runtime)
        count = sum(rekeying.rekey(runtime))
        with runtime.sessions.begin() as session:
            record(session, None, ACTOR, "secrets.rotated", "keys", {"values": count})
        row = {"new_key": added, "values": count, "old": rekeying.outdated(runtime)}
    show_one(row, as_json=as_json)


@command.command("drop-old")
@json_option
def drop_old(as_json: bool) -> None:
    """Take the old keys out of the keys file, when the newest opens everything.

    Backups made before can no longer be read without them: keep the old file with those backups.
    """
    from hub import rekeying
    from hub.audit import record

    with ground() as runtime:
        if runtime.settings.keys:
            raise Refusal(_("the keys come from HUB_KEYS; take the old ones out there"))
        left = rekeying.outdated(runtime)
        if left:
            raise Refusal(
                _("{n} secrets are still encrypted with an old key; `hub secrets rotate` first", n=left)
            )
        dropped = rekeying.drop_old_keys(runtime)
        with runtime.sessions.begin() as session:
            record(session, None, ACTOR, "secrets.old_keys_dropped", "keys", {"keys": dropped})
    show_one({"dropped": dropped}, as_json=as_json)
