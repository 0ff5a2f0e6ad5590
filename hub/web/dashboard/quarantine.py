"""Quarantine: messages with a bad signature, why, and verifying them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from hub import words
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.outbox import channels, masking
from hub.outbox.channels import Channel
from hub.sync import quarantine as held
from hub.sync.doorbell import Doorbell
from hub.sync.quarantine import Checked
from hub.web.dashboard.cards import words_of
from hub.web.dashboard.deliveries import download, exactly
from hub.web.dashboard.visit import action, page, runtime, visit

CHECK_WORDS: Mapping[str, str] = {
    "enters": "It verifies now.",
    "ping": "It was only a ping; there is nothing to process.",
}
_SHOWN = 50
"""Messages of a channel that are shown; what is done to all is done to all."""
_PREVIEW = 4000
"""Bytes of a body that are shown."""


@page("/quarantine", "look")
def quarantine() -> str:
    """A channel after the other: what did not verify, why, and whether it would now."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        its = channels.of_program(session, here.program.id)
        kept = {channel.id: held.of_channel(session, channel) for channel in its}
    shown = [
        _channel(channel, held.check(hub, channel, kept[channel.id]))
        for channel in its
        if kept[channel.id]
    ]
    return render_template(
        "quarantine/list.html",
        channels=shown,
        days=hub.settings.quarantine_days,
        rows=hub.settings.quarantine_rows,
        may_verify=here.may("support"),
    )


@page("/quarantine/<int:held_id>/body", "look")
def quarantine_body(held_id: int) -> Response:
    """The bytes as they came, to be kept as a file."""
    with runtime().sessions() as session:
        found = held.one(session, visit().program.id, held_id)
    if found is None:
        abort(404)
    return download(bytes(found.body), f"quarantine-{held_id}")


@action("/quarantine/verify", "support")
def quarantine_verify() -> AnyResponse:
    """Verify the ticked ones, or all of a channel, by the settings of now."""
    hub, here = runtime(), visit()
    with hub.sessions.begin() as session:
        channel = channels.by_public_id(session, request.form.get("channel", ""))
        if channel is None or channel.program_id != here.program.id:
            abort(404)
        ids = None if request.form.get("which") == "all" else _ticked()
        found = held.verify_again(session, hub, channel, ids=ids, actor=here.actor)
    Doorbell(hub.settings.redis_url).ring("inbound")
    _say(channel, found)
    return redirect(url_for("dashboard.quarantine"), 303)


def _ticked() -> list[int]:
    given = request.form.getlist("message")
    return [int(i) for i in given if i.isascii() and i.isdigit() and len(i) < 19]


def _say(channel: Channel, found: Sequence[Checked]) -> None:
    """What came of it, a sentence a kind."""
    if not found:
        flash(_("Choose at least one message."), "warning")
    known = sum(c.known for c in found)
    entered = sum(c.ending == "enters" for c in found) - known
    if entered:
        n = words.number(entered)
        text = ngettext(
            "{n} message has entered the inbox.", "{n} messages have entered the inbox.", entered, n=n
        )
        flash(text, "success")
    if known:
        n = words.number(known)
        text = ngettext(
            "{n} message was in the inbox already; it counts once.",
            "{n} messages were in the inbox already; they count once.",
            known,
            n=n,
        )
        flash(text, "info")
    why = Counter((c.code or "", c.detail) for c in found if c.ending == "refused")
    for (code, detail), count in why.items():
        reason = words.of_fault(code, "merchant", detail, words_of(channel.kind))
        text = ngettext(
            "{n} message still does not verify: {why}",
            "{n} messages still do not verify: {why}",
            count,
            n=words.number(count),
            why=reason,
        )
        flash(text, "warning")


def _channel(channel: Channel, found: Sequence[Checked]) -> dict[str, Any]:
    own = words_of(channel.kind)
    good = sum(c.ending == "enters" for c in found)
    n = words.number(len(found))
    if good == len(found):
        now = ngettext("It verifies now.", "All {n} verify now.", good, n=n)
    elif good:
        now = _("{good} of {n} verify now.", good=words.number(good), n=n)
    else:
        now = _("None of them verifies with the secret the channel has now.")
    return {
        "channel": channel,
        "messages": [_message(checked, own) for checked in found[:_SHOWN]],
        "good": good,
        "count": len(found),
        "now": now,
        "why": _main_reason(found, own),
    }


def _main_reason(found: Sequence[Checked], own: Mapping[str, str]) -> str:
    """What most of those that do not verify lack: the setting to correct."""
    why = Counter((c.code or "", c.detail) for c in found if c.ending == "refused")
    if not why:
        return ""
    ((code, detail), _count), *_others = why.most_common(1)
    return words.of_fault(code, "merchant", detail, own)


def _message(checked: Checked, own: Mapping[str, str]) -> dict[str, Any]:
    message = checked.held
    what = _(CHECK_WORDS[checked.ending]) if checked.ending in CHECK_WORDS else ""
    if checked.code:
        what = words.of_fault(checked.code, "merchant", checked.detail, own)
    body = bytes(message.body)
    return {
        "id": message.id,
        "received_at": message.received_at,
        "what": what,
        "said": exactly(checked.detail, what),
        "code": checked.code,
        "badge": "done" if checked.ending == "enters" else "failed",
        "was": words.of_fault(message.code, "merchant", message.detail, own),
        "headers": masking.headers(message.headers),
        "body": body[:_PREVIEW].decode("utf-8", "replace"),
        "cut": len(body) > _PREVIEW,
        "size": len(body),
    }
