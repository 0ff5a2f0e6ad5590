"""How a channel is: each state by the rows that make it so, and silence by its own rhythm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from hub.audit import record
from hub.sync import day, health
from hub.sync.health import Rhythm
from tests.people import add, new_program
from tests.shops import daily_orders, delivery, order, shop

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # a Monday, 11:00 in Hanoi
MINUTE = timedelta(minutes=1)


@pytest.fixture
def program(session: Session) -> int:
    return new_program(session)


def state(session: Session, program: int, now: datetime = NOW) -> str:
    (only,) = health.of_program(session, program, now)
    return only.state


def test_a_channel_that_never_sent_is_new_and_one_that_did_is_well(
    session: Session, program: int
) -> None:
    channel = shop(session, program, "Shop")
    assert state(session, program) == "new"
    delivery(session, program, channel)
    assert state(session, program) == "well"


def test_each_trouble_has_its_state_and_the_worst_one_counts(session: Session, program: int) -> None:
    channel = shop(
        session, program, "Shop", down_until=datetime.now(UTC) + timedelta(hours=1), down_code="timeout"
    )
    delivery(session, program, channel)
    now = datetime.now(UTC)
    assert state(session, program, now) == "down"
    assert state(session, program, now + timedelta(hours=2)) == "well", "its pause is over"
    delivery(session, program, channel, state="failed", fault="payload", code="not_json")
    assert state(session, program, now) == "failing"
    add(
        session, "quarantine", program_id=program, channel_id=channel, received_at=now, code="bad_signature",
        detail="x", headers="{}", body=b"",
    )  # fmt: skip
    assert state(session, program, now) == "unsigned"
    assert state(session, program, now + timedelta(hours=25)) == "failing", "yesterday's are no news"
    delivery(
        session,
        program,
        channel,
        state="parked",
        fault="merchant",
        code="token_refused",
        direction="outbound",
    )
    assert state(session, program, now) == "refused"


def test_what_is_retried_or_settled_needs_nobody(session: Session, program: int) -> None:
    channel = shop(session, program, "Shop")
    delivery(
        session, program, channel, state="due", fault="channel", code="timeout", direction="outbound"
    )
    delivery(session, program, channel, state="settled", fault="payload", code="not_json")
    assert state(session, program) == "well"


def test_a_setting_that_was_corrected_refuses_no_longer(session: Session, program: int) -> None:
    channel = shop(session, program, "Shop")
    delivery(
        session, program, channel, state="failed", fault="merchant", code="token_refused", direction="outbound",
        finished_at=datetime.now(UTC) - timedelta(minutes=5),
    )  # fmt: skip
    assert state(session, program) == "refused"
    (its,) = health.of_program(session, program, NOW)
    record(session, program, "test", "channel.changed", its.public_id)
    assert state(session, program) == "failing", "what failed meanwhile is to be replayed"


def test_a_paused_channel_is_paused_and_a_disconnected_one_is_not_listed(
    session: Session, program: int
) -> None:
    shop(session, program, "Paused", status="paused")
    shop(session, program, "Gone", status="disconnected")
    assert [(c.name, c.state) for c in health.of_program(session, program, NOW)] == [
        ("Paused", "paused")
    ]


def test_the_worst_stands_first(session: Session, program: int) -> None:
    well, ill = shop(session, program, "Well"), shop(session, program, "Ill")
    delivery(session, program, well)
    delivery(session, program, ill, state="failed", fault="hub", code="unexpected")
    assert [c.name for c in health.of_program(session, program, NOW)] == ["Ill", "Well"]


def test_another_programs_channels_are_not_seen(session: Session, program: int) -> None:
    other = new_program(session, "other")
    delivery(
        session, other, shop(session, other, "Theirs"), state="failed", fault="hub", code="unexpected"
    )
    assert health.of_program(session, program, NOW) == []


# --- silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silent_for", "days", "found"),
    [
        (10 * MINUTE, 40, "well"),  # five orders were to come: that happens
        (45 * MINUTE, 40, "silent"),
        (45 * MINUTE, 5, "silent"),  # younger than two weeks: its days are compared
        (45 * MINUTE, 1, "well"),  # too young to tell
    ],
)
def test_a_channel_that_falls_quiet_is_silent(
    session: Session, program: int, silent_for: timedelta, days: int, found: str
) -> None:
    channel = shop(session, program, "Shop")
    daily_orders(session, program, channel, NOW, every=2 * MINUTE, days=days, until=NOW - silent_for)
    assert state(session, program) == found


def test_a_night_is_no_silence(session: Session, program: int) -> None:
    """A shop that is open from 8 to 22 is not silent at 7, but is at 9 without an order since 22."""
    channel = shop(session, program, "Shop")
    opening = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)  # 08:00 in Hanoi
    for back in range(1, 36):
        start = opening - timedelta(days=back)
        for n in range(140):
            order(session, program, channel, start + n * 6 * MINUTE)
    closed = opening - timedelta(days=1) + timedelta(hours=14)
    assert state(session, program, closed + timedelta(hours=9)) == "well"
    assert state(session, program, closed + timedelta(hours=11)) == "silent"


def test_a_quiet_channel_is_not_called_silent(session: Session, program: int) -> None:
    channel = shop(session, program, "Shop")
    daily_orders(
        session,
        program,
        channel,
        NOW,
        every=timedelta(hours=20),
        days=40,
        until=NOW - timedelta(hours=30),
    )
    assert state(session, program) == "well"


def test_the_usual_time_between_two_orders_is_told() -> None:
    rhythm = Rhythm(NOW - timedelta(hours=2), expected=10, least=8)
    assert rhythm.interval(NOW) == 12 * MINUTE


def test_the_pace_of_a_day_is_told_beside_the_same_weekday_before(
    session: Session, program: int
) -> None:
    start, _end = day.bounds(NOW, "Asia/Ho_Chi_Minh")
    known, young = shop(session, program, "Known"), shop(session, program, "Young")
    for weeks, orders in ((0, 3), (1, 4), (2, 8), (5, 1)):
        for n in range(orders):
            order(session, program, known, NOW - timedelta(weeks=weeks, minutes=n))
        order(session, program, known, NOW - timedelta(weeks=weeks) + MINUTE)  # later that day
    order(session, program, known, NOW - timedelta(days=1))  # another weekday
    order(session, program, young, NOW - timedelta(days=2))
    found = health.paces(session, [known, young], start, NOW)
    assert (found[known].today, found[known].usual) == (3, 3.0), "4, 8, and none in two weeks"
    assert (found[young].today, found[young].usual) == (0, None)
    assert health.paces(session, [], start, NOW) == {}


# --- the day -------------------------------------------------------------------------------------


def test_the_day_is_the_programs_and_half_open() -> None:
    start, end = day.bounds(NOW, "Asia/Ho_Chi_Minh")
    assert (start.astimezone(UTC), end - start) == (
        datetime(2026, 11, 22, 17, 0, tzinfo=UTC),
        timedelta(days=1),
    )
    assert day.bounds(end, "Asia/Ho_Chi_Minh")[0] == end


def test_a_day_with_a_clock_change_has_23_hours() -> None:
    start, end = day.bounds(datetime(2026, 3, 29, 12, tzinfo=UTC), "Europe/Berlin")
    assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(hours=23)


def test_a_days_numbers_are_its_orders_their_points_and_their_codes(
    session: Session, program: int
) -> None:
    channel = shop(session, program, "Shop")
    start, end = day.bounds(NOW, "Asia/Ho_Chi_Minh")
    order(session, program, channel, start, points=40)
    used = order(session, program, channel, NOW, points=2, codes=["hub-ab"])
    for at, more in (
        (start - MINUTE, {}),
        (end, {}),
        (NOW, {"test": True}),
        (NOW, {"state": "cancelled"}),
        (NOW, {"state": "draft"}),
    ):
        order(session, program, channel, at, **more)
    member = add(session, "members", public_id="mem_1", program_id=program, name="Ann")
    account = add(session, "accounts", program_id=program, member_id=member)
    redemption = add(
        session, "redemptions", public_id="rdm_1", program_id=program, account_id=account, member_id=member,
        reward="r", reward_terms="{}", points=5, state="committed", input_hash="", actor="test",
    )  # fmt: skip
    voucher = add(
        session, "vouchers", public_id="vch_1", program_id=program, redemption_id=redemption, member_id=member,
        code="HUB-AB", code_key="HUB-AB", state="used", starts_at=NOW,
    )  # fmt: skip
    assert day.of_day(session, program, start, end).codes == 0
    session.connection().exec_driver_sql(
        "INSERT INTO voucher_uses (voucher_id, transaction_id, present) VALUES (%s, %s, true)",
        (voucher, used),
    )
    found = day.of_day(session, program, start, end)
    assert (found.orders, found.points, found.codes, found.exact) == (2, 42, 1, True)
    assert day.of_day(session, new_program(session, "other"), start, end).orders == 0
