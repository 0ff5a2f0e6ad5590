"""Alerts in a sentence each: what a person should look at, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.orm import Session

from hub import words
from hub.alerts import Alert
from hub.audit import actor_names
from hub.desk import connections, told_by_shops
from hub.i18n import gettext as _

_LIMIT_WORDS = {
    "redemptions": "{cashier} wanted to redeem more than {limit} times in an hour and was stopped.",
    "points": "{cashier} wanted to redeem more than {limit} points in an hour and was stopped.",
    "claims": "{cashier} wanted to give away more than {limit} orders of guests in an hour and was stopped.",
}


def sentences(
    session: Session,
    found: Sequence[Alert],
    own: Callable[[str], Mapping[str, str]] = lambda _kind: words.NO_WORDS,
) -> list[str]:
    """What each of them says, in the language in force; `own` knows what the codes of a kind of channel
    mean."""
    names = actor_names(session, {_cashier(alert) for alert in found})
    return [_told(alert, own, names[_cashier(alert)]) for alert in found]


def _told(alert: Alert, own: Callable[[str], Mapping[str, str]], cashier: str) -> str:
    if alert.kind in told_by_shops.KINDS:
        return told_by_shops.sentence(alert)
    if is_of_channel(alert):
        return connections.sentence(alert, own(str(alert.detail.get("kind", ""))))
    return _sentence(alert, cashier)


def is_of_channel(alert: Alert) -> bool:
    """Whether it is about a connection, and not about a person at a till."""
    return alert.kind in connections.CHANNEL_ALERTS


def _cashier(alert: Alert) -> str:
    """A key or a user has a name; a cashier is called as the till does."""
    told = str(alert.detail.get("cashier") or alert.subject)
    return told if told.startswith(("key:", "user:")) else f"cashier:{told}"


def _sentence(alert: Alert, cashier: str) -> str:
    detail = alert.detail
    if alert.kind == "cashier_limit":
        limit = words.number(int(detail["limit"]))
        said = _(_LIMIT_WORDS[detail["what"]], cashier=cashier, limit=limit)
    elif alert.kind == "own_sale":
        said = _(
            "{cashier} rang up a sale of their own ({order}), which gave them {points}.",
            cashier=cashier,
            order=alert.subject,
            points=words.points(int(detail["points"])),
        )
    elif alert.kind == "own_sale_refused":
        said = _(
            "{cashier} rang up a sale of their own ({order}); it gave no points.",
            cashier=cashier,
            order=alert.subject,
        )
    elif alert.kind == "own_claim":
        said = _(
            "{cashier} wanted to give the order {order} to themselves and was stopped.",
            cashier=cashier,
            order=alert.subject,
        )
    elif alert.kind == "own_refused":
        said = _("{cashier} wanted to redeem points of their own and was stopped.", cashier=cashier)
    else:
        said = _(
            "{cashier} redeemed points of their own ({redemption}).",
            cashier=cashier,
            redemption=alert.subject,
        )
    if alert.times > 1:
        said += " " + _("{n} times so far.", n=words.number(alert.times))
    return said
