"""The programme: its terms as customers read them, tiers, budgets, versions with what they changed, events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import abort, render_template, request, url_for
from sqlalchemy.orm import Session

from hub import words
from hub.actions import listing
from hub.audit import actor_names
from hub.desk import programme as looked_at
from hub.desk.programme import Version
from hub.desk.tiers import counted
from hub.program import store
from hub.program.ladder import Ladder
from hub.program.rules import Rules, in_force
from hub.program.terms import terms
from hub.transactions import standing
from hub.web.dashboard.visit import page, runtime, visit

AT_ONCE = 50


@page("/programme", "look")
def programme() -> str:
    """What is in force now, and which versions there were and will be."""
    here = visit()
    with runtime().sessions() as session:
        rules = _in_force(session)
        known = looked_at.versions(session, here.program.id)
        versions = _told(session, known, rules)
        levels = _levels(session, rules.tiers)
        budgets = looked_at.budgets(session, here.program.id, rules)
    return render_template(
        "programme/programme.html", sections=terms(rules), levels=levels, budgets=budgets, versions=versions,
        current=next(one for one in versions if one["is_now"]),
    )  # fmt: skip


@page("/programme/versions/<int:number>", "look")
def programme_version(number: int) -> str:
    """One version: what it changed, and the terms by it."""
    here = visit()
    with runtime().sessions() as session:
        changes = looked_at.changes(session, here.program, number)
        if changes is None:
            abort(404)
        known = looked_at.versions(session, here.program.id)
        rules = next(r for r in store.versions(session, here.program) if r.number == number)
        (version,) = (
            one for one in _told(session, known, _in_force(session)) if one["number"] == number
        )
    return render_template(
        "programme/version.html", version=version, changes=changes, sections=terms(rules)
    )


@page("/programme/events", "members")
def programme_events() -> str:
    """What members did besides buying, the newest first."""
    with runtime().sessions() as session:
        rows = listing.recorded(
            session, visit().program.id, member_id=None, before=_before(), limit=AT_ONCE + 1
        )
        names = {action.id: action.name for action in _in_force(session).actions.values()}
    events = [
        {**row, "what": names.get(row["action"], row["action"]),
         "why": words.of_action(row["why"]) if row["why"] else ""}
        for row in rows[:AT_ONCE]
    ]  # fmt: skip
    return render_template("programme/events.html", events=events, **_pages("programme_events", rows))


@page("/programme/referrals", "members")
def programme_referrals() -> str:
    """Who brought whom, the newest first."""
    with runtime().sessions() as session:
        rows = looked_at.referrals(session, visit().program.id, before=_before(), limit=AT_ONCE + 1)
    return render_template(
        "programme/referrals.html", referrals=rows[:AT_ONCE], **_pages("programme_referrals", rows)
    )


def _in_force(session: Session) -> Rules:
    return in_force(store.versions(session, visit().program), runtime().clock())


def _told(session: Session, known: Sequence[Version], now: Rules) -> list[dict[str, Any]]:
    names = actor_names(session, {one.actor for one in known})
    return [
        {
            "number": one.number,
            "effective_from": one.effective_from,
            "who": names[one.actor],
            "is_now": one.number == now.number,
            "is_to_come": one.effective_from > runtime().clock(),
        }
        for one in known
    ]


def _levels(session: Session, ladder: Ladder | None) -> list[dict[str, Any]]:
    """The ladder from the bottom, with how many members stand on each step."""
    if ladder is None:
        return []
    members = standing.members_by_tier(session, visit().program.id)
    return [
        {
            "name": level.name,
            "least": None if level.least is None else counted(ladder, level.least),
            "keep": None if level.keep in (None, level.least) else counted(ladder, level.keep),
            "members": members.get(level.id, 0),
        }
        for level in ladder.levels
    ]


def _before() -> int | None:
    text = request.args.get("before", "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        abort(404)
    return int(text)


def _pages(endpoint: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The addresses of the first page, and of the one behind this."""
    older = ""
    if len(rows) > AT_ONCE:
        older = url_for(f"dashboard.{endpoint}", before=rows[AT_ONCE - 1]["row"])
    newer = url_for(f"dashboard.{endpoint}") if "before" in request.args else ""
    return {"newer": newer, "older": older}
