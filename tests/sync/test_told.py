"""The sentences of dry runs, in two languages, with numbers in the reader's form."""

from __future__ import annotations

from typing import Any

import pytest

from hub import i18n
from hub.sync import told

NOTHING: dict[str, Any] = {
    "total": 0, "of": 0, "changes": 0, "passes": 0, "right": 0, "waits": 0, "fails": 0, "left_alone": 0,
    "given": 0, "given_to": 0, "taken": 0, "taken_from": 0, "new_members": 0, "sent": {}, "reasons": [],
}  # fmt: skip
CURRENCY = {
    "kind": "fails",
    "code": "invalid_field",
    "fault": "payload",
    "detail": "no currency",
    "count": 2,
}


def summary(**given: Any) -> dict[str, Any]:
    return NOTHING | given


def test_a_rehearsal_is_one_sentence() -> None:
    said = told.forecast(
        summary(
            total=312,
            of=312,
            changes=298,
            right=12,
            fails=2,
            given=4120,
            given_to=281,
            reasons=[CURRENCY],
        ),
        {"invalid_field": "The bill has no currency."},
    )
    assert said == (
        "312 messages. If replayed now: 298 would give 4,120 points to 281 members, 12 are already right, "
        "2 would still fail (The bill has no currency)."
    )


def test_it_is_said_in_vietnamese() -> None:
    with i18n.speaking("vi"):
        said = told.forecast(summary(total=312, of=312, changes=298, right=14, given=4120, given_to=281))
    assert said == (
        "312 tin đồng bộ. Nếu chạy lại bây giờ: 298 tin sẽ cộng 4.120 điểm cho 281 thành viên, "
        "14 tin đã đúng sẵn."
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"changes": 1, "given": 5, "given_to": 1}, "1 would give 5 points to 1 member"),
        ({"changes": 1, "taken": 5, "taken_from": 1}, "1 would take 5 points from 1 member"),
        (
            {"changes": 3, "given": 7, "given_to": 2, "taken": 1, "taken_from": 1},
            "3 would give 7 points to 2 members and take 1 point from 1 member",
        ),
        ({"changes": 2, "sent": {"create_code": 2}}, "2 would create codes"),
        ({"changes": 1, "sent": {"set_balance": 1}}, "1 would show a balance"),
        ({"left_alone": 1}, "1 is being processed anyhow"),
        (
            {
                "waits": 3,
                "reasons": [
                    {"kind": "waits", "code": "channel_down", "fault": None, "detail": None, "count": 2},
                    {"kind": "waits", "code": "sale", "fault": None, "detail": None, "count": 1},
                ],
            },
            (
                "3 would wait (2: The channel is down; it goes out when the channel is tried again; 1: It came "
                "before its sale. It waits for that, and is applied when it arrives)"
            ),
        ),
    ],
)
def test_each_part_is_said_by_itself(given: dict[str, Any], said: str) -> None:
    assert told.forecast(summary(total=9, of=9, **given)) == f"9 messages. If replayed now: {said}."


def test_about_is_said_when_it_is_about() -> None:
    said = told.forecast(summary(total=5000, of=1000, right=1000))
    assert said == "5,000 messages. About, from 1,000 that were rehearsed: 1,000 are already right."
    assert "could not be rehearsed" in told.forecast(summary(total=5))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "changes", "points": 42, "member": "mem_1"}, "Would give 42 points to Ann."),
        ({"kind": "changes", "points": -1, "member": "mem_1"}, "Would take 1 point from Ann."),
        (
            {"kind": "changes", "points": -4, "moves": [[None, 1], ["mem_1", -5]]},
            "Would give 1 point to a new member. Would take 5 points from Ann.",
        ),
        ({"kind": "changes", "what": "create_code", "about": "HUB-1"}, "Would create the code HUB-1."),
        ({"kind": "right", "outcome": "no_change"}, "Is already right."),
        (
            {"kind": "passes", "outcome": "no_change", "reason": "guest"},
            "Would go through without points: No points",
        ),
        ({"kind": "fails", "fault": "payload", "code": "x", "detail": "Odd."}, "Would still fail: Odd."),
        ({"kind": "waits", "reason": "channel_paused"}, "Would wait: The channel is paused"),
        ({"kind": "unsure"}, "Was not rehearsed."),
        ({}, "Was not rehearsed."),
    ],
)
def test_one_delivery_is_told_by_itself(given: dict[str, Any], said: str) -> None:
    assert told.one(given, names={"mem_1": "Ann"}).startswith(said)


def test_a_member_who_does_not_exist_yet_is_a_new_one() -> None:
    assert told.one({"kind": "changes", "points": 5}) == "Would give 5 points to a new member."
