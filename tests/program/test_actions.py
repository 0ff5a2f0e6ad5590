"""What an action earns, by its rule alone: its points, or the reason for none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.program.actions import Action, earned
from hub.program.windows import Period, Window

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
REVIEW = Action("review", "A review", 20, limits={"day": 2, "ever": 5})


def test_an_action_earns_its_points_and_says_for_what() -> None:
    found = earned(REVIEW, AT, {})
    assert (found.points, found.why) == (20, None)
    assert found.steps == ({"code": "action", "points": "20", "action": "A review"},)


def test_what_the_programme_does_not_know_earns_nothing() -> None:
    found = earned(None, AT, {})
    assert (found.points, found.steps, found.why) == (0, (), "no_such_action")


def test_it_earns_so_often_in_a_period_and_no_more() -> None:
    assert earned(REVIEW, AT, {"day": 1, "ever": 4}).points == 20
    enough: list[dict[Period, int]] = [{"day": 2, "ever": 2}, {"day": 3}, {"day": 0, "ever": 5}]
    for before in enough:
        found = earned(REVIEW, AT, before)
        assert (found.points, found.why) == (0, "often_enough")


def test_outside_its_time_it_earns_nothing() -> None:
    limited = Action("review", "A review", 20, windows=(Window(AT, AT + timedelta(days=1)),))
    assert earned(limited, AT, {}).points == 20
    for moment in (AT - timedelta(microseconds=1), AT + timedelta(days=1)):
        assert earned(limited, moment, {}).why == "other_time"
