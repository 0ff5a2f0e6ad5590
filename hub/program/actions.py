"""Points for what a member does besides buying: a review, a check-in, a birthday; pure rules.

Standard library only. Limits count earlier actions that earned, in the programme's time zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hub.program.windows import Period, Window, within

By = Literal["event", "birthday", "sign_up"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing members do, and what it earns."""

    id: str
    name: str
    points: int
    by: By = "event"
    """Who tells of it: an event, or the hub itself sees it."""
    limits: Mapping[Period, int] = field(default_factory=dict)
    """So often in a period it earns."""
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Earned:
    """What one action earns: `points` with their steps, or 0 and the code of the reason."""

    points: int
    steps: tuple[Mapping[str, Any], ...] = ()
    why: str | None = None


def earned(action: Action | None, at: datetime, before: Mapping[Period, int]) -> Earned:
    """What an action at that moment earns. `before`: how often it has earned in each period that
    holds the moment. None: the programme has no rule for it."""
    if action is None:
        return Earned(0, why="no_such_action")
    if not within(action.windows, at):
        return Earned(0, why="other_time")
    if any(before.get(period, 0) >= most for period, most in action.limits.items()):
        return Earned(0, why="often_enough")
    step = {"code": "action", "points": str(action.points), "action": action.name}
    return Earned(action.points, (step,))
