"""Where a member stands, as the pages show it: tier, how far it is to the next, how they came there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub import words
from hub.audit import actor_names
from hub.desk import tiers
from hub.desk.place import Desk
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.program import store
from hub.program.ladder import Ladder, Level
from hub.program.rules import in_force
from hub.transactions.standing import Standing
from hub.web.dashboard.visit import runtime, visit

DECISION_WORDS: Mapping[str, str] = {
    "set": "Put into a tier; the rules go on from there",
    "guarantee": "Keep in a tier at least",
    "release": "End what was guaranteed",
    "count": "State what counts, with what was bought before the programme",
    "review": "Hold the review now",
}
WHY_WORDS: Mapping[str, str] = {
    "reached": "reached",
    "lapsed": "not reached any more",
    "reviewed": "decided at the review",
    "set": "put there by hand",
    "guaranteed": "guaranteed by hand",
    "guarantee_ended": "the guarantee has ended",
    "member_of": "membership bought",
    "membership_ended": "the membership has ended",
    "rules_changed": "the rules have changed",
}


def tab(session: Session, found: Any) -> dict[str, Any]:
    """What the tab on a member's page shows."""
    desk = desk_of(session)
    stands = tiers.of(desk, found.id)
    return {"standing": told(stands), "decisions": _decisions(session, desk, found, stands.ladder)}


def _decisions(session: Session, desk: Desk, found: Any, ladder: Ladder | None) -> list[dict[str, Any]]:
    made = tiers.decisions(desk, found.id)
    names = actor_names(session, {one["actor"] for one in made})
    return [
        {
            **one,
            "until": _last(one["until"]),
            "what": _(DECISION_WORDS[one["kind"]]),
            "name": getattr(level_of(ladder, one["tier"]), "name", one["tier"]),
            "count": counted(ladder, one["amount"]) if ladder and one["kind"] == "count" else "",
            "who": names[one["actor"]],
        }
        for one in made
    ]


def told(stands: Standing) -> dict[str, Any]:
    """Where somebody stands, for a page."""
    ladder, progress = stands.ladder, stands.progress
    shown: dict[str, Any] = {
        "segments": [stands.segments[one] for one in sorted(stands.segments)],
        "tags": sorted(stands.tags),
        "joined": stands.joined,
        "ladder": ladder,
        "history": [],
    }
    if ladder is None:
        return shown
    return shown | {
        "level": level_of(ladder, progress.tier),
        "since": progress.since,
        "count": counted(ladder, progress.count),
        "next": level_of(ladder, progress.next_tier),
        "missing": counted(ladder, progress.missing),
        "done": (progress.count, progress.next_at),
        "keep": counted(ladder, progress.keep_at),
        "review_at": progress.review_at,
        "held": progress.held,
        "held_until": _last(progress.held_until),
        "history": [
            {
                "at": change.at,
                "name": getattr(level_of(ladder, change.tier), "name", change.tier),
                "why": _(WHY_WORDS[change.why]),
                "count": counted(ladder, change.count),
            }
            for change in reversed(stands.history)
        ],
    }


def _last(until: datetime | None) -> datetime | None:
    """The last moment before an end, whose day is the last one."""
    return until - timedelta(microseconds=1) if until else None


def counted(ladder: Ladder, count: int | None) -> str:
    """A count in words: money, points, orders or visits."""
    if count is None:
        return ""
    if ladder.by == "spend":
        return words.money(count, ladder.currency)
    if ladder.by == "orders":
        return ngettext("{n} order", "{n} orders", count, n=words.number(count))
    if ladder.by == "visits":
        return ngettext("{n} visit", "{n} visits", count, n=words.number(count))
    return words.points(count)


def in_brief(session: Session, found: Any) -> dict[str, str]:
    """The tier and what is missing for the next, for the head of a member's page; nothing where the
    programme has no tiers."""
    if ladder_of(session) is None:
        return {}
    shown = told(tiers.of(desk_of(session), found.id))
    following = shown.get("next")
    return {
        "tier": shown["level"].name if shown.get("level") else "",
        "next": _("{missing} short of {tier}.", missing=shown["missing"], tier=following.name)
        if following
        else "",
    }


def level_of(ladder: Ladder | None, tier: str | None) -> Level | None:
    """The tier of that id; None where it is none of these."""
    place = ladder.place(tier) if ladder else -1
    return ladder.levels[place] if ladder and place >= 0 else None


def ladder_of(session: Session) -> Ladder | None:
    """The tiers in force."""
    return in_force(store.versions(session, visit().program), runtime().clock()).tiers


def desk_of(session: Session) -> Desk:
    """The desk of who is here."""
    return Desk(runtime(), session, visit().program, visit().actor)
