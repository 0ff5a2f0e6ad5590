"""What members do besides buying earns points: once for each key, as often as the programme allows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from threading import Thread

import pytest

from hub.actions.occasions import due
from hub.actions.record import ActionKeyReused, Deed, Recorded, record_action
from hub.ledger import merging
from hub.ledger.merging import Merge
from hub.members.switch import switch_off, switch_on
from hub.program import store
from tests.market import ANN, BOB, NOON, Market, Told


@pytest.fixture
def shoppers(place: Market) -> Market:
    """Ann and Bob have bought for 100.000 ₫ each."""
    place.sell(Told("a", 100_000), Told("b", 100_000, BOB))
    return place


def act(place: Market, action: str, key: str, at: datetime = NOON, phone: str = ANN) -> Recorded:
    member = place.member(phone)
    deed = Deed(place.program.id, member, action, key, at, "test", place.runtime.chain_key, told_at=at)
    with place.runtime.sessions.begin() as session:
        (rules,) = store.versions(session, place.program)
        return record_action(session, deed, rules)


def test_an_action_gives_its_points_once_for_each_key(shoppers: Market) -> None:
    first = act(shoppers, "review", "r1")
    assert (first.points, shoppers.balance()) == (20, 30)
    entries = shoppers.entries()
    again = act(shoppers, "review", "r1")
    assert (again.id, again.repeated) == (first.id, True)
    assert (shoppers.balance(), shoppers.entries()) == (30, entries)
    shoppers.assert_clean()


def test_a_key_that_says_something_else_now_is_refused(shoppers: Market) -> None:
    act(shoppers, "review", "r1")
    for change in ({"phone": BOB}, {"at": NOON + timedelta(days=1)}):
        with pytest.raises(ActionKeyReused):
            act(shoppers, "review", "r1", **change)
    with pytest.raises(ActionKeyReused):
        act(shoppers, "tet", "r1")
    assert shoppers.balance(BOB) == 10


def test_an_action_earns_as_often_as_its_periods_allow(shoppers: Market) -> None:
    """At most twice a day and three times a month; a day of the programme begins at 17:00 UTC."""
    at = [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=4), NOON + timedelta(hours=5),
          NOON + timedelta(days=3), datetime(2026, 12, 1, 12, tzinfo=UTC)]  # fmt: skip
    done = [act(shoppers, "review", f"r{n}", moment) for n, moment in enumerate(at)]
    assert [d.points for d in done] == [20, 20, 0, 20, 0, 20]
    assert {d.why for d in done if not d.points} == {"often_enough"}
    assert shoppers.balance() == 90


def test_an_action_outside_its_window_or_without_a_rule_is_noted_and_earns_nothing(
    shoppers: Market,
) -> None:
    assert act(shoppers, "tet", "t").why == "other_time"
    assert act(shoppers, "tet", "u", datetime(2026, 2, 19, 16, tzinfo=UTC)).points == 8
    assert act(shoppers, "tet", "v", datetime(2026, 2, 19, 17, tzinfo=UTC)).why == "other_time"
    assert act(shoppers, "moonwalk", "m").why == "no_such_action"
    assert [r.n for r in shoppers.rows("SELECT count(*) AS n FROM actions")] == [4]


def test_an_account_that_is_switched_off_earns_nothing_until_it_is_on_again(shoppers: Market) -> None:
    member = shoppers.member()
    with shoppers.runtime.sessions.begin() as session:
        assert switch_off(session, member, NOON)
        assert not switch_off(session, member, NOON)
    assert act(shoppers, "review", "r1").why == "account_disabled"
    with shoppers.runtime.sessions.begin() as session:
        assert switch_on(session, member)
    assert act(shoppers, "review", "r2").points == 20


def test_points_of_an_action_expire_like_others(shoppers: Market) -> None:
    act(shoppers, "review", "r1", NOON)
    (lot,) = shoppers.rows("SELECT * FROM lots WHERE key LIKE 'action:%'")
    assert (lot.available_at, lot.expires_at) == (NOON, datetime(2026, 12, 2, 17, tzinfo=UTC))


def test_points_of_actions_follow_their_member_through_a_merge(shoppers: Market) -> None:
    act(shoppers, "review", "r1", phone=BOB)
    gone, kept = shoppers.member(BOB), shoppers.member(ANN)
    order = Merge(shoppers.program.id, gone, kept, "test", shoppers.runtime.chain_key)
    with shoppers.runtime.sessions.begin() as session:
        merging.merge(session, order)
    assert shoppers.balance(ANN) == shoppers.balance(BOB) == 40
    assert act(shoppers, "review", "r2", phone=BOB).points == 20
    assert act(shoppers, "review", "r3", phone=ANN).points == 0  # both reviews of the day are hers
    shoppers.assert_clean()


def test_one_key_raced_by_four_gives_points_once(shoppers: Market) -> None:
    done: list[Recorded] = []
    threads = [Thread(target=lambda: done.append(act(shoppers, "review", "r1"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(d.repeated for d in done) == [False, True, True, True]
    assert shoppers.balance() == 30


# --- what the hub sees by itself -----------------------------------------------------------------


def seen(place: Market, now: datetime) -> list[tuple[str, int]]:
    """What is due at that time, recorded: (action, points)."""
    with place.runtime.sessions() as session:
        versions = store.versions(session, place.program)
        found = due(session, place.program.id, versions, now)
    done = []
    for one in found:
        deed = Deed(
            place.program.id, one.member_id, one.action, one.key, one.at, "test", place.runtime.chain_key
        )
        with place.runtime.sessions.begin() as session:
            done.append((one.action, record_action(session, deed, versions[-1]).points))
    return sorted(done)


def birthday(place: Market, phone: str, born: date) -> None:
    with place.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "UPDATE members SET birthday = %s, created_at = '2026-01-01' WHERE id = %s",
            (born, place.member(phone)),
        )


def test_a_birthday_is_seen_once_a_year_and_made_up_for(shoppers: Market) -> None:
    birthday(shoppers, ANN, date(1990, 6, 14))
    birthday(shoppers, BOB, date(1990, 6, 20))
    morning = datetime(2026, 6, 13, 17, tzinfo=UTC)  # the 14th has begun in Saigon
    assert seen(shoppers, morning - timedelta(minutes=1)) == []
    assert seen(shoppers, morning) == [("born", 100)]
    assert seen(shoppers, morning) == []
    assert seen(shoppers, morning + timedelta(days=9)) == [("born", 100)]  # Bob's, three days late
    assert seen(shoppers, morning + timedelta(days=365)) == [("born", 100)]
    assert [r.points for r in shoppers.rows("SELECT points FROM actions")] == [100, 100, 100]
    assert shoppers.balance() == 110  # this year's was gone after thirty days


def test_a_birthday_at_the_end_of_december_is_one_birthday(shoppers: Market) -> None:
    birthday(shoppers, ANN, date(1990, 12, 31))
    birthday(shoppers, BOB, date(1991, 8, 1))
    assert seen(shoppers, datetime(2027, 1, 2, tzinfo=UTC)) == [("born", 100)]
    assert seen(shoppers, datetime(2027, 1, 3, tzinfo=UTC)) == []
    (entry,) = shoppers.rows("SELECT occurred_at FROM actions WHERE action = 'born'")
    assert entry.occurred_at == datetime(2026, 12, 30, 17, tzinfo=UTC)


def test_a_birthday_on_29_february_falls_on_the_28th(shoppers: Market) -> None:
    birthday(shoppers, ANN, date(2000, 2, 29))
    birthday(shoppers, BOB, date(1991, 8, 1))
    assert seen(shoppers, datetime(2027, 2, 27, 1, tzinfo=UTC)) == []
    assert seen(shoppers, datetime(2027, 2, 28, 1, tzinfo=UTC)) == [("born", 100)]
    assert seen(shoppers, datetime(2028, 2, 28, 1, tzinfo=UTC)) == []
    assert seen(shoppers, datetime(2028, 2, 29, 1, tzinfo=UTC)) == [("born", 100)]


def test_a_new_member_is_welcomed_once(shoppers: Market) -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert seen(shoppers, now) == [("hello", 50), ("hello", 50)]
    assert seen(shoppers, now) == []
    assert shoppers.balance() == 60
