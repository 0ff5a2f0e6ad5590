"""What a channel sold before it was connected: choose, watch, see what it would come to, bring it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import words
from hub.bulk import run
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.outbox.channels import Channel
from hub.sync import backfills
from hub.sync.backfills import Backfill, Counts, NotPossible
from hub.sync.trying import Figures
from hub.web.dashboard import channel_form as form
from hub.web.dashboard.cards import label_of, words_of
from hub.web.dashboard.visit import action, page, runtime, visit

BACKFILL_STATE_WORDS: Mapping[str, str] = {
    "fetching": "Fetching what the shop has. Nothing is posted.",
    "trying": "Trying what it would come to. Nothing is posted.",
    "tried": "Tried. Nothing is posted until you bring it in.",
    "bringing": "Bringing it in. New orders go first.",
    "done": "Brought in.",
    "stopped": "Stopped. What was only fetched is erased.",
}
COUNTS_WORDS: Mapping[str, str] = {
    "points": "Old orders give points, by the rules of their time.",
    "tiers": "Old orders count for tiers only, and give no points.",
}
NOTHING_WORDS = "Leave them out. You can still have them brought in later."
DEEDS: Mapping[str, Callable[..., None]] = {
    "bring": backfills.bring,
    "pause": backfills.pause,
    "resume": backfills.go_on,
    "stop": backfills.stop,
}


def offered(its: Channel) -> bool:
    """Whether the page of a channel leads to its history."""
    connector = form.kind_or_none(its.kind)
    return its.status != "disconnected" and connector is not None and backfills.can(connector)


@page("/channels/<channel>/choose", "own")
def channel_choose(channel: str) -> str | Response:
    """A step of connecting: what older orders count for. Where there is nothing to choose, the next one."""
    its = form.found_open(channel)
    with runtime().sessions() as session:
        begun = backfills.latest(session, its) is not None
    if begun or not offered(its):
        return _on(its)
    a_year_ago = runtime().clock().astimezone(ZoneInfo(visit().program.time_zone)) - timedelta(days=365)
    return render_template(
        "channels/choose.html",
        its=its,
        label=label_of(its.kind),
        choices=[
            *((name, _(word)) for name, word in COUNTS_WORDS.items()),
            ("nothing", _(NOTHING_WORDS)),
        ],
        since=f"{a_year_ago:%Y-%m-%d}",
    )


@action("/channels/<channel>/choose", "own")
def channel_choice(channel: str) -> Response:
    """Begin to fetch them, to be tried, or go on without."""
    its = form.found_open(channel)
    if request.form.get("counts") == "nothing" or not offered(its):
        return _on(its)
    return _begun(its, back="dashboard.channel_choose")


def _on(its: Channel) -> Response:
    return redirect(url_for("dashboard.channel_start", channel=its.public_id), 303)


@page("/channels/<channel>/history", "own")
def channel_history(channel: str) -> str:
    """How far it is, or the form to begin."""
    its = form.found_open(channel)
    if not offered(its):
        abort(404)
    with runtime().sessions() as session:
        found = backfills.latest(session, its)
        ended = backfills.outcomes(session, found.id) if found and found.state == "done" else {}
    return render_template(
        "channels/history.html",
        its=its,
        found=found,
        state=_(BACKFILL_STATE_WORDS[found.state]) if found else "",
        counts=_(COUNTS_WORDS[found.counts]) if found else "",
        choices=[(name, _(word)) for name, word in COUNTS_WORDS.items()],
        pace=_pace(found) if found else "",
        trouble=words.of_fault(found.code, found.fault, found.detail, words_of(its.kind))
        if found and found.code
        else "",
        notes=[words.of_reason(code, words_of(its.kind)) for code in found.notes] if found else [],
        sentences=_sentences(found) if found else [],
        ended=[(_ended(name), count) for name, count in ended.items()],
        working=found is not None and found.state in backfills.WORKING and not found.paused,
        given=request.args.get("since", ""),
        has_order=_has_order(its),
    )


@action("/channels/<channel>/history", "own")
def channel_history_begin(channel: str) -> Response:
    """Begin to fetch."""
    its = form.found_open(channel)
    if not offered(its):
        abort(404)
    return _begun(its, back="dashboard.channel_history")


def _begun(its: Channel, back: str) -> Response:
    """What the form says is begun, and seen on the page of the history; a day that is none is asked for again."""
    since = _day(request.form.get("since", ""))
    counts: Counts = "tiers" if request.form.get("counts") == "tiers" else "points"
    if since is None:
        flash(_("Say from which day on."), "danger")
        return redirect(url_for(back, channel=its.public_id), 303)
    try:
        with runtime().sessions.begin() as session:
            backfills.start(session, its, since=since, counts=counts, actor=visit().actor)
    except NotPossible as error:
        flash(str(error), "danger")
    return _back(its)


@action("/channels/<channel>/history/<backfill_id>/<deed>", "own")
def channel_history_do(channel: str, backfill_id: str, deed: str) -> Response:
    """Bring in what was tried, pause, go on, stop."""
    its = form.found_open(channel)
    with runtime().sessions() as session:
        found = backfills.find(session, its.program_id, backfill_id)
    if found is None or found.channel_id != its.id or deed not in DEEDS:
        abort(404)
    try:
        with runtime().sessions.begin() as session:
            DEEDS[deed](session, found, actor=visit().actor)
    except NotPossible as error:
        flash(str(error), "danger")
    return _back(its)


def _back(its: Channel) -> Response:
    return redirect(url_for("dashboard.channel_history", channel=its.public_id), 303)


def _has_order(its: Channel) -> bool:
    """Whether an order of the channel counts already; until then it is still being connected."""
    with runtime().sessions() as session:
        return bool(
            run(session, "SELECT 1 FROM transactions WHERE channel_id = :id LIMIT 1", {"id": its.id})
        )


def _day(text: str) -> datetime | None:
    """The beginning of a day in the programme's time zone; None: it is none, or before the year 1990."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    if day.year < 1990:
        return None
    return datetime.combine(day, time(), ZoneInfo(visit().program.time_zone))


def _pace(found: Backfill) -> str:
    """How far, how fast, and how long it takes still, as far as anybody can say."""
    of, done = found.of, words.number(found.done)
    far = _("{done} of {total}", done=done, total=words.number(of)) if of is not None else done
    if not found.speed:
        return far
    fast = _("{n} a second", n=words.number(max(1, round(found.speed))))
    if found.remaining is None:
        return f"{far}, {fast}"
    left = words.duration(max(found.remaining, timedelta(seconds=1)))
    return _("{far}, {fast}, {time} to go", far=far, fast=fast, time=left)


def _sentences(found: Backfill) -> list[str]:
    """What trying said, a sentence a matter."""
    if found.state not in ("tried", "bringing", "done"):
        return []
    f = Figures.from_json(found.forecast)
    number, points = words.number, words.points
    said = [
        ngettext("{n} order.", "{n} orders.", f.sales, n=number(f.sales)),
        _("{found} members are known, {new} would be new.", found=number(f.members_found), new=number(f.members_new)),
        _("{points} would be given.", points=points(f.given)),
    ]  # fmt: skip
    if f.merges:
        n = number(f.merges)
        said.append(
            ngettext("{n} merge would be suggested.", "{n} merges would be suggested.", f.merges, n=n)
        )
    if f.expired:
        said.append(
            _("{points} of them would expire at once: their time is over.", points=points(f.expired))
        )
    if f.taken:
        said.append(
            _("{points} would be taken back of orders that came by themselves.", points=points(f.taken))
        )
    if f.tiers_only:
        said.append(_("{n} orders count for tiers only.", n=number(f.tiers_only)))
    if f.welcome:
        said.append(_("{points} for new members who sign up.", points=points(f.welcome)))
    if f.before_start:
        said.append(
            _(
                "{n} orders are from before the programme began; its first rules count.",
                n=number(f.before_start),
            )
        )
    if f.liability is not None:
        worth = words.money(f.liability, visit().program.currency)
        said.append(_("All of it is worth {amount} to the members.", amount=worth))
    said += [f"{words.of_reason(code)} ({number(n)})" for code, n in f.ignored.items()]
    trouble = sum(f.fails.values()) + f.unsure
    if trouble:
        said.append(_("{n} messages could not be tried or would fail.", n=number(trouble)))
    return said


def _ended(name: str) -> str:
    table = words.OUTCOME_WORDS if name in words.OUTCOME_WORDS else words.STATE_WORDS
    return _(table.get(name, name))
