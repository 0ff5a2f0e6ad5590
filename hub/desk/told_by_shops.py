"""What shops pass on of people, or say of themselves, in a sentence each."""

from __future__ import annotations

from datetime import datetime

from hub import words
from hub.alerts import Alert
from hub.i18n import gettext as _

KINDS = frozenset({"uninstalled", "data_request"})


def sentence(alert: Alert) -> str:
    """One alert of these kinds."""
    detail = alert.detail
    if alert.kind == "uninstalled":
        return _(
            "{channel} threw the hub's app out. It is paused; orders and points stay. Connect the shop again to go on.",
            channel=detail["channel"],
        )
    day = words.day(datetime.fromisoformat(detail["until"]), "UTC")
    if not detail["members"]:
        return _(
            "A customer of {channel} ({customer}) asks what is kept of them: nothing is. Tell them so by {day}.",
            channel=detail["channel"],
            customer=detail["customer"],
            day=day,
        )
    return _(
        "A customer of {channel} asks what is kept of them. Send them the file on the page of {members} by {day}.",
        channel=detail["channel"],
        members=", ".join(detail["members"]),
        day=day,
    )
