from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from hub.users import throttle
from hub.users.throttle import ACCOUNT, ADDRESS, Tries, judge

NOW = datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def pauses(tries: int) -> list[timedelta]:
    """The pause after each try of somebody who always waits exactly as long as they must."""
    known, now, found = None, NOW, []
    for _ in range(tries):
        known, wait = judge(known, ACCOUNT, now)
        assert wait is None
        pause = known.blocked_until - now if known.blocked_until else timedelta(0)
        found.append(pause)
        now += pause
    return found


def test_the_first_tries_are_free_then_each_pause_is_twice_the_last() -> None:
    seconds = [pause.total_seconds() for pause in pauses(12)]
    assert seconds == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]


def test_who_comes_too_early_waits_and_is_not_counted() -> None:
    blocked = Tries(5, NOW, NOW + 30 * SECOND)
    assert judge(blocked, ACCOUNT, NOW + 10 * SECOND) == (blocked, 20 * SECOND)
    tries, wait = judge(blocked, ACCOUNT, NOW + 30 * SECOND)
    assert (tries.count, wait) == (6, None)


def test_after_an_hour_without_a_try_the_count_begins_anew() -> None:
    tries, wait = judge(Tries(40, NOW, NOW + 900 * SECOND), ACCOUNT, NOW + timedelta(hours=1, seconds=1))
    assert (tries, wait) == (Tries(1, NOW + timedelta(hours=1, seconds=1), None), None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("", "nonsense", True),
    ],
)
def test_a_sender_is_an_address_and_of_ipv6_its_network(one: str, other: str, same: bool) -> None:
    assert (throttle.address(one) == throttle.address(other)) == same


def test_an_account_is_one_however_it_is_written() -> None:
    assert throttle.account(" Linh@Example.com ") == throttle.account("linh@example.com")
    assert throttle.account("linh@example.com") != throttle.account("lin@example.com")


def test_a_hundred_at_once_are_a_hundred_tries(sessions: sessionmaker[Session]) -> None:
    """Counted before the password is looked at: no more get through than one after another."""
    bucket, admitted = throttle.account("linh@example.com"), []

    def attempt() -> None:
        with sessions.begin() as session:
            if throttle.admit(session, {bucket: ACCOUNT}, NOW) is None:
                admitted.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == ACCOUNT.free


def test_the_right_password_frees_the_account_and_not_the_address(session: Session) -> None:
    account, address = throttle.account("linh@example.com"), throttle.address("192.0.2.1")
    buckets = {account: ACCOUNT, address: ADDRESS}
    for _ in range(ACCOUNT.free):
        assert throttle.admit(session, buckets, NOW) is None
    assert throttle.admit(session, buckets, NOW) == ACCOUNT.first
    throttle.forgive(session, account)
    for _ in range(ACCOUNT.free):
        assert throttle.admit(session, buckets, NOW) is None
    rows = session.connection().exec_driver_sql("SELECT tries FROM login_throttle ORDER BY tries").all()
    assert [row.tries for row in rows] == [ACCOUNT.free, 2 * ACCOUNT.free]


def test_one_address_that_tries_many_accounts_is_stopped(session: Session) -> None:
    address = throttle.address("192.0.2.1")
    refused = [
        throttle.admit(session, {throttle.account(f"{n}@example.com"): ACCOUNT, address: ADDRESS}, NOW)
        for n in range(ADDRESS.free + 5)
    ]
    assert [wait is None for wait in refused] == [True] * ADDRESS.free + [False] * 5


def test_old_buckets_are_swept_and_hold_nobodys_name(session: Session) -> None:
    throttle.admit(session, {throttle.account("linh@example.com"): ACCOUNT}, NOW - timedelta(days=1))
    throttle.admit(session, {throttle.account("mai@example.com"): ACCOUNT}, NOW)
    rows = session.connection().exec_driver_sql("SELECT * FROM login_throttle").all()
    assert len(rows) == 1
    assert "mai" not in str(rows)


def test_a_team_behind_one_address_logs_in_as_often_as_it_likes(session: Session) -> None:
    address = throttle.address("192.0.2.1")
    for n in range(3 * ADDRESS.free):
        buckets = {throttle.account(f"{n}@example.com"): ACCOUNT, address: ADDRESS}
        assert throttle.admit(session, buckets, NOW) is None, n
        throttle.give_back(session, address, ADDRESS)


def test_who_guesses_is_not_freed_by_an_account_of_their_own(session: Session) -> None:
    address, refused = throttle.address("192.0.2.1"), 0
    for n in range(4 * ADDRESS.free):
        own = n % 10 == 0
        buckets = {throttle.account("own" if own else f"{n}@example.com"): ACCOUNT, address: ADDRESS}
        if throttle.admit(session, buckets, NOW) is not None:
            refused += 1
        elif own:
            throttle.forgive(session, throttle.account("own"))
            throttle.give_back(session, address, ADDRESS)
    assert refused > 2 * ADDRESS.free
