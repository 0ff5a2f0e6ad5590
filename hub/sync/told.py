"""What a rehearsal or a replay came to, in sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hub import words
from hub.i18n import gettext as _
from hub.i18n import ngettext

REPLAY_WORDS: Mapping[str, str] = {
    "channel_paused": "The channel is paused; it goes out when the channel is resumed.",
    "channel_disconnected": "The channel is disconnected; nothing is sent to it.",
    "channel_down": "The channel is down; it goes out when the channel is tried again.",
}
"""Why a push would wait, beside the reasons that every delivery has."""

ACTION_WORDS: Mapping[str, str] = {
    "create_code": "create the code {about}",
    "revoke_code": "take the code {about} back",
    "set_balance": "show the balance {about}",
    "fetch": "ask the channel for {about}",
}
"""What a push would do, with what it is about."""

ITEM_WORDS: Mapping[str, str] = {
    "planned": "Not replayed yet.",
    "released": "On its way.",
    "left_alone": "It was due already, so it was left alone.",
    "changed": "Done; it changed something.",
    "right": "It was right already.",
    "waiting": "Waits.",
    "failing": "Still fails.",
}
"""How one delivery of a replay stands."""

FORECAST_WORDS: Mapping[str, str] = {
    "right": "Is already right.",
    "left_alone": "Is being processed anyhow.",
    "unsure": "Was not rehearsed.",
}
BECAUSE_WORDS: Mapping[str, str] = {
    "fails": "Would still fail: {why}",
    "waits": "Would wait: {why}",
    "passes": "Would go through without points: {why}",
}
"""What would become of one delivery."""


def forecast(summary: Mapping[str, Any], own: Mapping[str, str] = words.NO_WORDS) -> str:
    """ "312 messages. If replayed now: 298 would give 4,120 points to 281 members, 12 are already
    right, 2 would still fail (...)." `summary` is `Rehearsal.summary`, `own` the words of the
    channels' codes."""
    total = ngettext("{n} message.", "{n} messages.", summary["total"], n=words.number(summary["total"]))
    parts = [part for part in _parts(summary, own) if part]
    said = ", ".join(parts)
    if not summary["of"]:
        told = _("It could not be rehearsed just now; try it again.")
    elif not parts:
        told = _("Nothing would happen.")
    elif summary["of"] < summary["total"]:
        of = words.number(summary["of"])
        told = _("About, from {of} that were rehearsed: {said}.", of=of, said=said)
    else:
        told = _("If replayed now: {said}.", said=said)
    return f"{total} {told}"


def _parts(summary: Mapping[str, Any], own: Mapping[str, str]) -> list[str]:
    sent = summary["sent"]
    moved = summary["changes"] - sum(sent.values())
    return [
        _points(summary, moved) if moved else "",
        *(_sent(what, count) for what, count in sent.items()),
        _why(summary, "passes", own),
        _many("right", summary["right"]),
        _why(summary, "waits", own),
        _why(summary, "fails", own),
        _many("left_alone", summary["left_alone"]),
    ]


def _points(summary: Mapping[str, Any], count: int) -> str:
    n = words.number(count)
    given, taken = words.points(summary["given"]), words.points(summary["taken"])
    to, of = _members(summary["given_to"]), _members(summary["taken_from"])
    if summary["given"] and summary["taken"]:
        return _(
            "{n} would give {given} to {to} and take {taken} from {of}",
            n=n, given=given, to=to, taken=taken, of=of,
        )  # fmt: skip
    if summary["taken"]:
        return _("{n} would take {taken} from {of}", n=n, taken=taken, of=of)
    if summary["given"]:
        return _("{n} would give {given} to {to}", n=n, given=given, to=to)
    return _("{n} would move points, and the sums stay as they are", n=n)


def _members(count: int) -> str:
    return ngettext("{n} member", "{n} members", count, n=words.number(count))


def _sent(what: str, count: int) -> str:
    n = words.number(count)
    match what:
        case "create_code":
            return ngettext("{n} would create a code", "{n} would create codes", count, n=n)
        case "revoke_code":
            return ngettext("{n} would take a code back", "{n} would take codes back", count, n=n)
        case "set_balance":
            return ngettext("{n} would show a balance", "{n} would show balances", count, n=n)
        case _:
            return ngettext("{n} would ask its channel", "{n} would ask their channel", count, n=n)


def _many(kind: str, count: int) -> str:
    if not count:
        return ""
    n = words.number(count)
    match kind:
        case "right":
            return ngettext("{n} is already right", "{n} are already right", count, n=n)
        case "passes":
            return _("{n} would go through without points", n=n)
        case "waits":
            return _("{n} would wait", n=n)
        case "fails":
            return _("{n} would still fail", n=n)
        case _:
            return ngettext(
                "{n} is being processed anyhow", "{n} are being processed anyhow", count, n=n
            )


def _why(summary: Mapping[str, Any], kind: str, own: Mapping[str, str]) -> str:
    """A count with its reasons; the counts of reasons are said where there are several."""
    said = _many(kind, summary[kind])
    reasons = [r for r in summary["reasons"] if r["kind"] == kind]
    if not said or not reasons:
        return said
    texts = [reason(r["code"], r["fault"], r["detail"], own).rstrip(".") for r in reasons[:3]]
    if len(reasons) > 1:
        counted = zip(reasons, texts, strict=False)
        texts = [f"{words.number(r['count'])}: {text}" for r, text in counted]
    return f"{said} ({'; '.join(texts)})"


def reason(
    code: str, fault: str | None, detail: str | None, own: Mapping[str, str] = words.NO_WORDS
) -> str:
    """A fault, a reason or an outcome in a sentence."""
    if fault:
        return words.of_fault(code, fault, detail, own)
    if code in REPLAY_WORDS:
        return _(REPLAY_WORDS[code])
    table = words.WAITING_WORDS.get(code) or words.OUTCOME_WORDS.get(code)
    return _(table) if table else words.of_reason(code, own)


def one(
    given: Mapping[str, Any],
    own: Mapping[str, str] = words.NO_WORDS,
    *,
    names: Mapping[str, str] = words.NO_WORDS,
) -> str:
    """What was forecast of one delivery; `names` are those of the members it speaks of."""
    kind = str(given.get("kind"))
    if kind == "changes" and given.get("what"):
        action = _(ACTION_WORDS[given["what"]], about=given.get("about", ""))
        return _("Would {action}.", action=action)
    if kind == "changes":
        moves = given.get("moves") or [(given.get("member"), given.get("points", 0))]
        return " ".join(_moves(int(points), names.get(m, m) if m else None) for m, points in moves)
    if kind not in BECAUSE_WORDS:
        return _(FORECAST_WORDS.get(kind, FORECAST_WORDS["unsure"]))
    code = given.get("code") or given.get("reason") or given.get("outcome") or ""
    return _(BECAUSE_WORDS[kind], why=reason(code, given.get("fault"), given.get("detail"), own))


def _moves(points: int, member: str | None) -> str:
    who = member or _("a new member")
    amount = words.points(abs(points))
    if points > 0:
        return _("Would give {points} to {member}.", points=amount, member=who)
    if points < 0:
        return _("Would take {points} from {member}.", points=amount, member=who)
    return _("Would move points from one member to another.")


def moment(text: str) -> datetime:
    """The time in a stored forecast."""
    return datetime.fromisoformat(text)
