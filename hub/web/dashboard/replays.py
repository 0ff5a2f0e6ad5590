"""Replays: a dry run first, then the replay at its pace, then what came of each message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl

from flask import abort, flash, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from hub import words
from hub.bulk import run
from hub.i18n import gettext as _
from hub.outbox import browse
from hub.sync import rehearse, replays, told
from hub.sync.doorbell import Doorbell
from hub.sync.replays import Item, NotPossible, Replay
from hub.web.dashboard.cards import words_of
from hub.web.dashboard.deliveries import FILTERS, exactly, topic, wished
from hub.web.dashboard.visit import action, page, runtime, visit

REPLAY_STATE_WORDS: Mapping[str, str] = {
    "planned": "Dry run only; nothing is replayed yet",
    "running": "Running",
    "paused": "Paused",
    "stopped": "Stopped",
    "done": "Done",
}
GROUP_WORDS: Mapping[str, str] = {
    "changed": "Changed something",
    "right": "Were right already",
    "waiting": "Wait",
    "failing": "Still fail",
    "left_alone": "Were left alone",
    "released": "On their way",
    "planned": "Not replayed",
}
GROUPS: tuple[tuple[str, str], ...] = (
    ("changed", "done"),
    ("right", "no_change"),
    ("waiting", "waiting"),
    ("failing", "failed"),
    ("left_alone", "no_change"),
    ("released", "working"),
    ("planned", "due"),
)
"""Each group with the badge whose colour and icon it has."""
_SHOWN = 50


@page("/replays", "look")
def delivery_replays() -> str:
    """The newest replays of the program."""
    with runtime().sessions() as session:
        before = _number("before") or None
        found = replays.latest(session, visit().program.id, _SHOWN + 1, before)
        people = _people(session, [r.actor for r in found])
    return render_template(
        "replays/list.html",
        replays=found[:_SHOWN],
        older=url_for("dashboard.delivery_replays", before=found[_SHOWN - 1].id)
        if len(found) > _SHOWN
        else "",
        newer=url_for("dashboard.delivery_replays") if before else "",
        people=people,
        state_words=REPLAY_STATE_WORDS,
    )


@action("/replays", "support")
def delivery_replay_plan() -> Response:
    """Freeze the set that was chosen and rehearse it; nothing is replayed."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        ids, more = _chosen(session)
    if not ids:
        flash(_("Choose at least one message."), "warning")
        return redirect(url_for("dashboard.deliveries", **_filter()), 303)
    with hub.sessions.begin() as session:
        public_id = replays.plan(
            session, here.program.id, ids, actor=here.actor, wish=_filter(), more_matched=more
        )
    _rehearse(public_id)
    return redirect(url_for("dashboard.delivery_replay", replay_id=public_id), 303)


@page("/replays/<replay_id>", "look")
def delivery_replay(replay_id: str) -> str:
    """What would change; while it runs how far it is; afterwards what came of each."""
    hub, here = runtime(), visit()
    state = request.args.get("state") or None
    if state is not None and state not in GROUP_WORDS:
        abort(400)
    with hub.sessions() as session:
        found = _found(session, replay_id)
        after = _number("after")
        items = replays.items(session, found, state=state, after=after, limit=_SHOWN + 1)
        names = _names(session, items)
        people = _people(session, [found.actor])
    own = _own()
    return render_template(
        "replays/one.html",
        replay=found,
        forecast=told.forecast(found.forecast, own) if found.forecast else "",
        rehearsed_at=told.moment(found.forecast["at"]) if found.forecast else None,
        items=[_shown(item, names) for item in items[:_SHOWN]],
        groups=[
            (g, badge, _(GROUP_WORDS[g]), found.counts[g]) for g, badge in GROUPS if found.counts.get(g)
        ],
        chosen=state,
        next_page=_next(replay_id, state, items),
        who=people.get(found.actor, found.actor),
        state_word=_(REPLAY_STATE_WORDS[found.state]),
        paces=sorted({*replays.PACES, found.pace}),
        most=replays.MOST,
        filtered=url_for("dashboard.deliveries", **_known(found.wish)),
        may_replay=here.may("support"),
    )


@action("/replays/<replay_id>/rehearse", "support")
def delivery_replay_rehearse(replay_id: str) -> Response:
    """Say anew what would change: meanwhile it may be something else."""
    with runtime().sessions() as session:
        _found(session, replay_id)
    _rehearse(replay_id)
    return _back(replay_id)


@action("/replays/<replay_id>/start", "support")
def delivery_replay_start(replay_id: str) -> Response:
    """Begin, or go on after a pause."""
    pace = request.form.get("pace", type=int)
    pace = pace if pace is not None and 0 < pace <= max(replays.PACES) else None
    return _change(replay_id, replays.start, pace=pace)


@action("/replays/<replay_id>/pause", "support")
def delivery_replay_pause(replay_id: str) -> Response:
    """Make no more due until it goes on."""
    return _change(replay_id, replays.pause)


@action("/replays/<replay_id>/stop", "support")
def delivery_replay_stop(replay_id: str) -> Response:
    """Leave the rest as it is."""
    return _change(replay_id, replays.stop)


def _change(replay_id: str, step: Any, **more: Any) -> Response:
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        _found(session, replay_id)
    try:
        with hub.sessions.begin() as session:
            step(session, here.program.id, replay_id, actor=here.actor, **more)
    except NotPossible:
        flash(_("Nothing was changed: this replay is at another point by now."), "warning")
    bell = Doorbell(hub.settings.redis_url)
    bell.ring("inbound")
    bell.ring("outbound")
    return _back(replay_id)


def _back(replay_id: str) -> Response:
    return redirect(url_for("dashboard.delivery_replay", replay_id=replay_id), 303)


def _found(session: Session, replay_id: str) -> Replay:
    found = replays.find(session, visit().program.id, replay_id)
    if found is None:
        abort(404)
    return found


def _rehearse(public_id: str) -> None:
    """Outside of any transaction of ours: a rehearsal makes and ends its own."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        found = _found(session, public_id)
        ids = replays.delivery_ids(session, found.id)
    rehearsal = rehearse.rehearse(hub, here.program.id, ids)
    with hub.sessions.begin() as session:
        replays.note_forecast(session, found.id, rehearsal)


# --- the set -------------------------------------------------------------------------------------


def _chosen(session: Session) -> tuple[list[int], bool]:
    """The messages whose boxes are ticked, or all that match the filter."""
    program_id = visit().program.id
    if request.form.get("which") == "all":
        wish = wished(session, _filter(), browse.choices(session, program_id))
        return browse.matching(session, program_id, wish, replays.MOST)
    given = {
        int(i) for i in request.form.getlist("delivery") if i.isascii() and i.isdigit() and len(i) < 19
    }
    rows = run(
        session,
        "SELECT id FROM deliveries WHERE program_id = :program AND id = ANY(:ids)",
        {"program": program_id, "ids": sorted(given)},
    )
    return [row.id for row in rows], False


def _filter() -> dict[str, Any]:
    """The filter of the list that the form stood under."""
    return _known(dict(parse_qsl(request.form.get("asked", "")[:2000])))


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(given[name]) for name in FILTERS if given.get(name)}


# --- what is shown -------------------------------------------------------------------------------


def _own() -> dict[str, str]:
    """The words of all kinds of channels the program has."""
    found: dict[str, str] = {}
    with runtime().sessions() as session:
        kinds = run(
            session,
            """SELECT DISTINCT c.kind FROM channels c WHERE c.program_id = :program""",
            {"program": visit().program.id},
        )
    for row in kinds:
        found |= words_of(row.kind)
    return found


def _shown(item: Item, names: Mapping[str, str]) -> dict[str, Any]:
    own = words_of(item.kind)
    forecast = item.forecast or {}
    row = asdict(item)
    ended = item.state not in ("planned", "released", "left_alone")
    state = {"failing": "failed", "waiting": "waiting" if not item.code else "due"}.get(
        item.state, "done"
    )
    came = words.of_delivery({**row, "state": state}, own) if ended else _(told.ITEM_WORDS[item.state])
    if item.reason is not None and item.reason in told.REPLAY_WORDS:
        came = _(told.REPLAY_WORDS[item.reason])
    return {
        **row,
        "forecast": told.one(forecast, own, names=names),
        "came": came,
        "said": exactly(item.detail, came),
        "topic_words": topic(item.topic),
        "badge": dict(GROUPS)[item.state],
        "group": _(GROUP_WORDS[item.state]),
    }


def _names(session: Session, items: Sequence[Item]) -> dict[str, str]:
    """Members by id, with their names where they have one."""
    ids = {member for item in items for member in _members(item.forecast or {})}
    rows = run(
        session,
        "SELECT public_id, name FROM members WHERE program_id = :program AND public_id = ANY(:ids)",
        {"program": visit().program.id, "ids": sorted(ids)},
    )
    return {row.public_id: row.name or row.public_id for row in rows}


def _members(forecast: Mapping[str, Any]) -> list[str]:
    moves = forecast.get("moves") or [(forecast.get("member"), 0)]
    return [str(member) for member, _points in moves if member]


def _people(session: Session, actors: Sequence[str]) -> dict[str, str]:
    """Who replayed, by name: `user:usr_...` is a user, other actors stand for themselves."""
    ids = [actor.removeprefix("user:") for actor in actors if actor.startswith("user:")]
    rows = run(
        session, "SELECT public_id, name, email FROM users WHERE public_id = ANY(:ids)", {"ids": ids}
    )
    return {f"user:{row.public_id}": row.name or row.email for row in rows}


def _number(name: str) -> int:
    """A number of the address; 0 where there is none that a row could have."""
    given = request.args.get(name, 0, type=int)
    return given if 0 < given < 2**31 else 0


def _next(replay_id: str, state: str | None, items: Sequence[Item]) -> str:
    if len(items) <= _SHOWN:
        return ""
    return url_for(
        "dashboard.delivery_replay", replay_id=replay_id, state=state, after=items[_SHOWN - 1].place
    )
