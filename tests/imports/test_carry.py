"""Rows of another programme become members, lots and tiers; whatever is repeated, corrected or raced."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.desk.place import Desk, carry_out
from hub.imports.carry import Origin, Tally, carry, foresee
from hub.imports.format import named
from hub.imports.plan import Plan, Wish, plan
from tests import signed
from tests.hubs import Hub, running_hub
from tests.pace import paced

DOCUMENT: Mapping[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "points": {"expire_after_days": 365},
    "tiers": {
        "by": "points_earned",
        "levels": [
            {"id": "member", "name": "Thành viên", "from": 0},
            {"id": "gold", "name": "Vàng", "from": 1000},
        ],
    },
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


def planned(hub: Hub, text: str, **wish: Any) -> Plan:
    origin = wish.pop("origin", Origin("old"))
    with hub.runtime.sessions() as session:
        return plan(Desk(hub.runtime, session, hub.program, "test"), text.encode(), Wish(origin, **wish))


def foreseen(hub: Hub, text: str, **wish: Any) -> Tally:
    found = planned(hub, text, **wish)
    with hub.runtime.sessions() as session:
        return foresee(
            Desk(hub.runtime, session, hub.program, "test"),
            wish.get("origin", Origin("old")),
            found.rows,
        )


def brought(hub: Hub, text: str, *, batch: int = 2, **wish: Any) -> Tally:
    """Carried over in batches of so many rows."""
    found, origin, total = planned(hub, text, **wish), wish.get("origin", Origin("old")), Tally()
    for start in range(0, len(found.rows), batch):
        deed = partial(carry, origin=origin, rows=found.rows[start : start + batch])
        total.add(carry_out(hub.runtime, hub.program, "test", deed))
    return total


def lots(hub: Hub) -> list[tuple[str, int, str | None]]:
    rows = hub.rows(
        """SELECT i.value, l.remaining, (l.expires_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date::text AS ends
           FROM lots l JOIN accounts a ON a.id = l.account_id
           JOIN identities i ON i.member_id = a.member_id AND i.kind = 'email' WHERE l.remaining > 0 ORDER BY 1, 3"""
    )
    return [tuple(row) for row in rows]


TWO = """Email,Phone,Points,Expires,Name
ann@x.vn,0912345678,"1,200",2099-12-31,Ann
ann@x.vn,0912345678,30,2098-06-30,Ann
bob@x.vn,,0,,Bob
"""


def test_a_member_brings_lots_with_their_own_last_days(hub: Hub) -> None:
    done = brought(hub, TWO)
    assert (done.rows, len(done.new), len(done.known), done.points) == (3, 2, 0, 1230)
    assert lots(hub) == [("ann@x.vn", 30, "2098-07-01"), ("ann@x.vn", 1200, "2100-01-01")]
    hub.assert_clean()


def test_what_is_foreseen_is_what_happens_and_nothing_is_changed_before(hub: Hub) -> None:
    before = foreseen(hub, TWO)
    assert hub.rows("SELECT 1 FROM members") == []
    done = brought(hub, TWO)
    told = [
        (t.rows, len(t.new), len(t.known), t.points, t.unchanged, t.suggestions) for t in (before, done)
    ]
    assert told[0] == told[1]


def test_the_same_file_again_does_nothing_and_a_corrected_row_moves_the_difference(hub: Hub) -> None:
    brought(hub, TWO)
    entries = hub.rows("SELECT id FROM entries ORDER BY id")
    again = brought(hub, TWO)
    assert (again.points, again.unchanged, len(again.new)) == (0, 2, 0)
    assert hub.rows("SELECT id FROM entries ORDER BY id") == entries
    mended = TWO.replace(",30,", ",25,")
    assert foreseen(hub, mended).points == -5
    assert brought(hub, mended).points == -5
    assert hub.balance(email="ann@x.vn") == 1225
    hub.assert_clean()


def test_points_without_a_last_day_end_by_the_rules_from_the_day_they_were_earned(hub: Hub) -> None:
    now = hub.runtime.clock().date()
    text = f"email,points,earned\nann@x.vn,10,{now.replace(day=1)}\nbob@x.vn,10,2021-01-01\n"
    found = planned(hub, text)
    assert [(no.line, no.field) for no in found.wrong] == [(3, "expires")]
    assert "ended on 2022-01-0" in found.wrong[0].said
    brought(hub, text)
    (lot,) = hub.rows("SELECT available_at, expires_at FROM lots")
    assert 364 <= (lot.expires_at - lot.available_at).days <= 366


def test_tiers_tags_days_and_birthdays_come_along_and_brought_points_earn_no_tier(hub: Hub) -> None:
    text = (
        "email,points,tier,joined,birthday,tags\n"
        'ann@x.vn,5000,Vàng,2019-03-01,1990-05-06,"press, vip"\n'
        "bob@x.vn,5000,,,,\n"
    )
    assert brought(hub, text).wrong == []
    rows = hub.rows(
        """SELECT m.birthday::text, m.joined_at::date::text AS joined, s.tier,
                  array(SELECT tag FROM member_tags g WHERE g.member_id = m.id ORDER BY 1) AS tags
           FROM members m LEFT JOIN tier_standings s ON s.member_id = m.id ORDER BY m.id"""
    )
    assert tuple(rows[0]) == ("1990-05-06", "2019-02-28", "gold", ["press", "vip"])
    assert tuple(rows[1]) == (None, None, "member", [])
    (wrong,) = brought(hub, text.replace("Vàng", "member")).wrong
    assert (wrong.line, wrong.field) == (2, "tier")


def test_rows_that_cannot_be_taken_are_named_with_line_field_and_reason(hub: Hub) -> None:
    text = (
        "email,phone,points,expires,tier,birthday,consent\n"
        "nobody,,5,,,,\n,12,5,,,,\n,,5,,,,\nann@x.vn,,12.5,,,,\nann@x.vn,,-5,,,,\nann@x.vn,,5,2001-01-01,,,\n"
        "ann@x.vn,,5,31/01/2099,,,\nann@x.vn,,5,,Platinum,,\nann@x.vn,,5,,,1090-01-01,\nann@x.vn,,5,,,,perhaps\n"
        "ann@x.vn,,5,,,,\nann@x.vn,,6,,,,\n"
    )
    found = planned(hub, text, order="ymd", columns={"consent": "consent"})
    assert [(no.line, no.field) for no in found.wrong] == [
        (2, "email"), (3, "phone"), (4, "email"), (5, "points"), (6, "points"), (7, "expires"), (8, "expires"),
        (9, "tier"), (10, "birthday"), (11, "consent"), (13, "row"),
    ]  # fmt: skip
    assert [row.line for row in found.rows] == [12]


def test_customer_ids_are_those_of_the_channel_that_is_named(hub: Hub) -> None:
    till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    text = "customer id,points,accepts marketing\nC-7,5,yes\n"
    assert [no.field for no in planned(hub, text).wrong] == ["customer"]
    brought(hub, text, origin=Origin("old", till))
    assert [tuple(r) for r in hub.rows("SELECT kind, scope, value FROM identities")] == [
        ("customer", till.id, "C-7")
    ]
    (said,) = hub.rows("SELECT what, given, channel_id FROM consents")
    assert tuple(said) == ("email_marketing", True, till.id)


def test_only_members_that_are_known_get_points_where_that_is_wished(hub: Hub) -> None:
    brought(hub, "email,points\nann@x.vn,1\n", origin=Origin("first"))
    text, origin = "email,points\nann@x.vn,5\neve@x.vn,5\n", Origin("old", only_known=True)
    before, done = foreseen(hub, text, origin=origin), brought(hub, text, origin=origin)
    assert [(t.unknown, len(t.new), t.points) for t in (before, done)] == [(1, 0, 5)] * 2
    assert len(hub.rows("SELECT 1 FROM members")) == 1


def test_a_row_about_two_members_becomes_a_suggestion(hub: Hub) -> None:
    brought(hub, "email,phone,points\nann@x.vn,,1\n,0912345678,1\n")
    text = "email,phone,points\nann@x.vn,0912345678,5\n"
    assert foreseen(hub, text).suggestions == 1
    assert brought(hub, text, origin=Origin("new")).suggestions == 1
    assert len(hub.rows("SELECT 1 FROM merge_suggestions")) == 1
    hub.assert_clean()


def test_two_who_import_the_same_file_at_once_carry_it_over_once(hub: Hub) -> None:
    """Raced by two threads with sessions of their own, batch by batch."""
    text = "email,points\n" + "".join(f"m{n}@x.vn,{n}\n" for n in range(1, 41))
    together, told = threading.Barrier(2), []

    def one() -> None:
        together.wait()
        told.append(brought(hub, text, batch=10))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(t.points for t in told) == sum(range(1, 41))
    assert sum(len(t.new) for t in told) == len(hub.rows("SELECT 1 FROM members")) == 40
    assert brought(hub, text).points == 0
    hub.assert_clean()


def test_a_products_own_headings_and_days_are_read(hub: Hub) -> None:
    text = (
        "Mã khách hàng,Tên khách hàng,Điện thoại,Ngày sinh,Điểm hiện tại,Ghi chú\n"
        "KH1,Bình,0912 345 678,06/05/1990,1.200,x\n"
    )
    found = planned(hub, text, format=named("kiotviet"))
    assert found.read_as["card"] == "Mã khách hàng"
    assert (found.order, found.left_out) == ("dmy", ("Ghi chú",))
    assert brought(hub, text, format=named("kiotviet")).points == 1200
    assert hub.rows("SELECT birthday::text AS b FROM members")[0].b == "1990-05-06"


@settings(
    max_examples=paced(6, 40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    points=st.dictionaries(st.sampled_from("abc"), st.integers(0, 50), min_size=1),
    changes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=4),
    batch=st.integers(1, 4),
)
def test_whatever_was_imported_before_balances_are_those_of_the_last_file(
    hub: Hub, points: dict[str, int], changes: list[tuple[str, int]], batch: int
) -> None:
    now = dict(points)
    _file(hub, now, batch)
    for name, number in changes:
        if name in now:
            now[name] = number
            _file(hub, now, batch)
    for name, number in now.items():
        assert hub.balance(email=f"{name}@x.vn") == number
    hub.assert_clean()


def _file(hub: Hub, points: Mapping[str, int], batch: int) -> None:
    brought(
        hub, "email,points\n" + "".join(f"{name}@x.vn,{n}\n" for name, n in points.items()), batch=batch
    )
