"""How a channel's connection is kept, in sentences: what asking has found, what is wrong, and why it is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from hub import words
from hub.alerts import Alert
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.outbox.connections import Connection
from hub.sync import silence, watch
from hub.sync.silence import Quiet

CHANNEL_ALERTS = frozenset({watch.ILL, watch.MENDED, watch.DRIFT, silence.KIND})
"""Kinds of alerts whose subject is a channel."""

CAUSE_WORDS: Mapping[str, str] = {
    "subscription_gone": "Its subscriptions were gone or switched off; the hub has made them anew.",
    "messages_lost": "The shop says all is well, yet it has orders that no message told of; they were fetched.",
    "nothing_found": "The hub has found no cause: perhaps it is just a quiet time. Make a small order and look.",
}
"""Likely causes of a silence, beside the codes of a channel's health."""


def sentence(alert: Alert, own: Mapping[str, str]) -> str:
    """One alert about a channel; `own` are the words of its connector."""
    detail = alert.detail
    name = str(detail.get("channel", ""))
    if alert.kind == watch.MENDED:
        return _(
            "{channel}: subscriptions were gone or switched off, and the hub has put them right ({topics}). "
            "Was the hub not reachable?",
            channel=name,
            topics=_few([str(topic) for topic in detail.get("topics", ())]),
        )
    if alert.kind in (watch.ILL, watch.DRIFT):
        why = words.of_fault(str(detail["code"]), None, str(detail.get("why", "")), own)
        return f"{name}: {why}"
    since = _(
        "{channel} has sent nothing since {time}; usually something comes about every {interval} at this hour.",
        channel=name,
        time=words.moment(datetime.fromisoformat(str(detail["since"])), str(detail.get("zone", "UTC"))),
        interval=words.duration(timedelta(minutes=float(detail.get("minutes") or 60))),
    )
    return f"{since} {cause(str(detail['cause']), str(detail.get('why', '')), own)}"


def _few(topics: Sequence[str]) -> str:
    """The first three; the log and the audit have all."""
    return ", ".join(topics[:3]) + (", …" if len(topics) > 3 else "")


def cause(code: str, detail: str, own: Mapping[str, str]) -> str:
    """Why it is silent, as far as the platform could be asked."""
    if code in CAUSE_WORDS:
        return _(CAUSE_WORDS[code])
    return words.of_fault(code, "channel", detail, own)


def asked(kept: Connection | None, now: datetime, zone: str) -> str:
    """What asking has brought, in two sentences."""
    if kept is None or kept.asked_at is None:
        return _("It has not been asked yet for what changed.")
    told = _("Asked {ago} for what changed there.", ago=words.ago(kept.asked_at, now, zone))
    found = kept.last_found
    news = ngettext("{n} message was news.", "{n} messages were news.", found, n=words.number(found))
    if not found:
        news = _("There was nothing that the hub did not know.")
    return f"{told} {news}"


def missed(kept: Connection | None) -> str:
    """What no message had told of, ever; "" where there is nothing."""
    if kept is None or not kept.missed:
        return ""
    n = kept.missed
    return ngettext(
        "Found by asking so far: {n} change that no message had told of.",
        "Found by asking so far: {n} changes that no message had told of.",
        n,
        n=words.number(n),
    )


def usual(quiet: Quiet | None) -> str:
    """How often something comes at this time of the day; "" while too little is known, or at night."""
    if quiet is None or quiet.gap > timedelta(hours=12):
        return ""
    return _(
        "At this hour something usually comes about every {interval}.",
        interval=words.duration(quiet.gap),
    )
