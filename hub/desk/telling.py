"""Alerts in a sentence each: what a person should look at, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from hub import words
from hub.alerts import Alert
from hub.audit import actor_names
from hub.i18n import gettext as _

_LIMIT_WORDS = {
    "redemptions": "{cashier} wanted to redeem more than {limit} times in an hour and was stopped.",
    "points": "{cashier} wanted to redeem more than {limit} points in an hour and was stopped.",
    "claims": "{cashier} wanted to give away more than {limit} orders of guests in an hour and was stopped.",
}


def sentences(session: Session, found: Sequence[Alert]) -> list[str]:
    """What each of them says, in the language in force."""
    names = actor_names(session, {_cashier(alert) for alert in found})
    return [_sentence(alert, names[_cashier(alert)]) for alert in found]


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
    elif alert.kind == "own_claim":
        said = _(
            "{cashier} wanted to give the order {order} to themselves and was stopped.",
            cashier=cashier,
            order=alert.subject,
        )
    else:
        said = _(
            "{cashier} redeemed points of their own ({redemption}).",
            cashier=cashier,
            redemption=alert.subject,
        )
    if alert.times > 1:
        said += " " + _("{n} times so far.", n=words.number(alert.times))
    return said
