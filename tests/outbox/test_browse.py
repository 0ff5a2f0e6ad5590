"""Lists of deliveries: what they show, that paging loses nothing, and that no list reads too much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from hub.outbox import browse, detail
from hub.outbox.browse import BadCursor, Count, Cursor, Wish
from tests.people import new_channel, new_program
from tests.statements import statements

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 20_000


class Street:
    """Three programs of very different size on one table, and the channels of the big one."""

    def __init__(self, session: Session) -> None:
        self.big, self.middle, self.small = (new_program(session, s) for s in ("big", "middle", "small"))
        self.shop = new_channel(session, self.big, "shopify", "Shop")
        self.till = new_channel(session, self.big, "generic_pos", "Till")
        self.quiet = new_channel(session, self.big, "woocommerce", "Quiet")
        others = [new_channel(session, p) for p in (self.middle, self.small)]
        session.execute(text(_FILL), {
            "big": self.big, "middle": self.middle, "small": self.small, "shop": self.shop,
            "till": self.till, "quiet": self.quiet, "other": others[0], "third": others[1],
            "rows": ROWS, "began": BEGAN,
        })  # fmt: skip
        session.execute(text(_ATTEMPTS))
        session.commit()


_FILL = """
INSERT INTO deliveries (program_id, channel_id, direction, topic, key, subject, number, body, body_hash, received_at,
                        state, outcome, fault, code, detail, due_at, finished_at)
SELECT p, CASE WHEN p = :middle THEN :other WHEN p = :small THEN :third
               WHEN n % 2000 = 0 THEN :quiet WHEN n % 3 = 0 THEN :till ELSE :shop END,
       CASE WHEN n % 5 = 0 THEN 'outbound' ELSE 'inbound' END,
       CASE WHEN n % 4999 = 0 THEN 'app/uninstalled' WHEN n % 5 = 0 THEN 'set_balance' ELSE 'orders/paid' END,
       'k' || n, 'sale:' || n / 3, '#' || n / 3, 'x', 'x', CAST(:began AS timestamptz) + n * interval '1 minute',
       state, CASE state WHEN 'done' THEN 'posted' END,
       CASE WHEN code = 'http_503' THEN 'channel' WHEN code = 'unexpected' THEN 'hub'
            WHEN code IS NOT NULL THEN 'payload' END,
       code, CASE WHEN code IS NOT NULL THEN 'The bill ' || n || ' has no currency' END,
       CAST(:began AS timestamptz) + (n + 60) * interval '1 minute',
       CASE WHEN state <> 'due' THEN CAST(:began AS timestamptz) + n * interval '1 minute' END
FROM (
    SELECT n, CASE WHEN n % 4 <> 1 THEN :big WHEN n % 100 = 1 THEN :small ELSE :middle END AS p,
           CASE WHEN n % 37 = 0 THEN 'failed' WHEN n = 4004 THEN 'parked' WHEN n % 41 = 0 THEN 'due'
                WHEN n % 997 = 0 THEN 'waiting' ELSE 'done' END AS state,
           CASE WHEN n % 37 = 0 THEN CASE WHEN n < 400 THEN 'bad_bill' ELSE 'no_currency' END
                WHEN n = 4004 THEN 'unexpected' WHEN n % 41 = 0 THEN 'http_503' END AS code
    FROM generate_series(1, :rows) n
) q ORDER BY n
"""
_ATTEMPTS = """
INSERT INTO attempts (delivery_id, program_id, number, started_at, worker, outcome, fault, code)
SELECT id, program_id, 1, received_at + interval '5 minutes', 'w', 'due', fault, code
FROM deliveries WHERE state = 'due'
"""


@pytest.fixture
def street(session: Session, owner: Engine) -> Street:
    street = Street(session)
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return street


def every_wish(street: Street) -> dict[str, Wish]:
    """Each filter by itself, and the pairs that people make of them."""
    day = timedelta(days=1)
    return {
        "all": Wish(),
        "failed": Wish(states=("failed",)),
        "needs a person": Wish(states=("failed", "parked")),
        "parked": Wish(states=("parked",)),
        "retrying": Wish(states=("retrying",)),
        "waiting": Wish(states=("waiting",)),
        "due": Wish(states=("due",)),
        "done": Wish(states=("done",)),
        "fault": Wish(fault="hub"),
        "code": Wish(code="bad_bill"),
        "channel": Wish(channel_id=street.till),
        "quiet channel": Wish(channel_id=street.quiet),
        "topic": Wish(topic="app/uninstalled"),
        "direction": Wish(direction="outbound"),
        "time": Wish(since=BEGAN + 3 * day, until=BEGAN + 4 * day),
        "long ago": Wish(until=BEGAN + day),
        "number": Wish(number="1234"),
        "subject": Wish(subject="sale:77"),
        "text": Wish(text="1234"),
        "words of the detail": Wish(text="bill 370 has"),
        "failed and channel": Wish(states=("failed",), channel_id=street.till),
        "failed and code": Wish(states=("failed",), code="no_currency"),
        "failed and direction": Wish(states=("failed",), direction="outbound"),
        "code and channel": Wish(code="bad_bill", channel_id=street.shop),
        "channel and time": Wish(channel_id=street.shop, since=BEGAN + 5 * day, until=BEGAN + 6 * day),
        "failed and time": Wish(states=("failed",), since=BEGAN + 5 * day, until=BEGAN + 6 * day),
        "channel and topic": Wish(channel_id=street.shop, topic="orders/paid"),
        "direction and state": Wish(direction="outbound", states=("done",)),
        "text and failed": Wish(text="currency", states=("failed",)),
        "number and channel": Wish(number="#1234", channel_id=street.shop),
    }


def fits(row: Any, wish: Wish) -> bool:
    """What the filters mean, said once more without SQL."""
    bare = {"number": wish.number.removeprefix("#"), "text": wish.text.removeprefix("#")}
    retried = "retrying" in wish.states and row.state == "due" and row.code is not None
    return all((
        not wish.states or row.state in wish.states or retried,
        not wish.fault or row.fault == wish.fault,
        not wish.code or row.code == wish.code,
        wish.channel_id in (None, row.channel_id),
        not wish.topic or row.topic == wish.topic,
        not wish.direction or row.direction == wish.direction,
        wish.since is None or row.received_at >= wish.since,
        wish.until is None or row.received_at < wish.until,
        not wish.number or row.number.removeprefix("#") == bare["number"],
        not wish.subject or row.subject == wish.subject,
        not wish.text
        or row.number.removeprefix("#") == bare["text"]
        or row.subject == f"sale:{bare['text']}"
        or str(row.id) == bare["text"]
        or row.key == wish.text
        or wish.text in (row.detail or ""),
    ))  # fmt: skip


def all_pages(session: Session, program: int, wish: Wish, limit: int) -> list[list[int]]:
    """Every page from the newest to the oldest."""
    pages, cursor = [], None
    while True:
        page = browse.page(session, program, wish, cursor, limit)
        pages.append([line.id for line in page.lines])
        if page.older is None:
            return pages
        cursor = Cursor.read(page.older)


def test_every_filter_shows_exactly_what_it_says_page_by_page(session: Session, street: Street) -> None:
    rows = session.execute(text("SELECT * FROM deliveries ORDER BY id DESC")).all()
    for program in (street.big, street.small):
        own = [row for row in rows if row.program_id == program]
        for name, wish in every_wish(street).items():
            wanted = [row.id for row in own if fits(row, wish)]
            shown = [i for page in all_pages(session, program, wish, 997) for i in page]
            assert shown == wanted, name
            exact = Count(len(wanted), exact=True)
            if len(wanted) <= browse.COUNTED:
                assert browse.count(session, program, wish) == exact, name
            assert wanted or program == street.small, f"{name} finds nothing and proves nothing"


def test_going_back_shows_the_pages_that_were_there(session: Session, street: Street) -> None:
    wish = Wish(states=("failed",))
    there = all_pages(session, street.big, wish, 50)
    cursor: Cursor | None = None
    for _ in range(3):
        page = browse.page(session, street.big, wish, cursor, 50)
        cursor = Cursor.read(page.older or "")
    back = []
    while page.newer:
        page = browse.page(session, street.big, wish, Cursor.read(page.newer), 50)
        back.append([line.id for line in page.lines])
    assert back == [there[1], there[0]]


def test_a_message_that_comes_while_somebody_pages_moves_no_row(
    session: Session, street: Street
) -> None:
    first = browse.page(session, street.small, Wish(), None, 20)
    second = browse.page(session, street.small, Wish(), Cursor.read(first.older or ""), 20)
    session.execute(
        text(
            "INSERT INTO deliveries (program_id, channel_id, direction, topic, key, body, body_hash)"
            " SELECT program_id, channel_id, 'inbound', 't', 'new', '', '' FROM deliveries WHERE id = :id"
        ),
        {"id": first.lines[0].id},
    )
    again = browse.page(session, street.small, Wish(), Cursor.read(first.older or ""), 20)
    assert again.lines == second.lines


def test_a_page_that_looked_far_enough_says_so_and_goes_on_from_there(
    session: Session, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "WINDOW", 500)
    wish = Wish(topic="app/uninstalled")
    page = browse.page(session, street.big, wish)
    assert page.looked_back_to is not None
    assert not browse.count(session, street.big, wish).exact
    found = [i for ids in all_pages(session, street.big, wish, 50) for i in ids]
    monkeypatch.undo()
    assert found == [line.id for line in browse.page(session, street.big, wish).lines] != []


def test_a_count_beyond_what_is_counted_says_more_than(
    session: Session, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert browse.count(session, street.big, Wish()) == Count(browse.COUNTED, exact=False)
    monkeypatch.setattr(browse, "COUNTED", 10)
    failed = Wish(states=("failed",))
    assert browse.count(session, street.big, failed) == Count(10, exact=False)
    assert browse.count(session, street.small, Wish(code="nothing")) == Count(0, exact=True)


def test_failures_come_in_groups_that_count_every_one(session: Session, street: Street) -> None:
    groups = browse.groups(session, street.big)
    counted = session.execute(
        text(
            "SELECT channel_id, direction, fault, code, count(*) AS n, min(finished_at) AS since FROM deliveries"
            " WHERE program_id = :p AND state IN ('failed', 'parked') GROUP BY 1, 2, 3, 4"
        ),
        {"p": street.big},
    ).all()
    failed = {(g.channel_id, g.direction, g.fault, g.code): g for g in groups if not g.retrying}
    assert {key: (g.count, g.since) for key, g in failed.items()} == {
        (r.channel_id, r.direction, r.fault, r.code): (r.n, r.since) for r in counted
    }
    retried = [g for g in groups if g.retrying]
    assert [g.code for g in retried] == ["http_503"] * len(retried) != []
    assert all(g.next_at for g in retried)
    assert all(g.exact for g in groups)
    assert groups.index(retried[0]) == len(failed), "what is retried by itself comes last"


def test_a_group_that_retries_has_failed_since_its_first_try(session: Session, street: Street) -> None:
    retried = next(g for g in browse.groups(session, street.big) if g.retrying)
    first = session.execute(
        text(
            "SELECT min(a.started_at) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id"
            " WHERE d.program_id = :p AND d.channel_id = :c AND d.direction = :d AND d.state = 'due'"
        ),
        {"p": street.big, "c": retried.channel_id, "d": retried.direction},
    ).scalar_one()
    assert retried.since == first


def test_a_message_out_of_quarantine_is_found_when_it_was_released(
    session: Session, street: Street
) -> None:
    session.execute(
        text(
            "INSERT INTO deliveries (program_id, channel_id, direction, topic, key, body, body_hash, source,"
            " received_at) SELECT :p, :c, 'inbound', 't', 'late' || n, '', '', 'quarantine', :at"
            " FROM generate_series(1, 50) n"
        ),
        {"p": street.big, "c": street.till, "at": BEGAN},
    )
    newest = Wish(since=BEGAN + timedelta(minutes=ROWS - 30))
    shown = browse.page(session, street.big, newest, None, 500).lines
    assert sum(line.source == "quarantine" for line in shown) == 50
    assert len(shown) > 50


@pytest.mark.parametrize(
    "text_", ["", "x", "WzEsMV0x", "W10", "WzEsIDJd", "ÿ", "WyJhIiwxXQ", "A" * 9999]
)
def test_a_cursor_that_is_none_of_ours_is_refused(text_: str) -> None:
    with pytest.raises(BadCursor):
        Cursor.read(text_)


def test_a_cursor_reads_as_it_was_written() -> None:
    assert Cursor.read(str(Cursor(7, older=False))) == Cursor(7, older=False)


# --- plans ---------------------------------------------------------------------------------------


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


WINDOW = 1500
"""In these tests a list may look at so many of the 20,000 rows."""


def test_no_list_reads_or_sorts_more_than_its_window(
    session: Session, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement of each list, on a table of 20,000 messages, as it was really carried out."""
    monkeypatch.setattr(browse, "WINDOW", WINDOW)
    monkeypatch.setattr(browse, "COUNTED", WINDOW)
    monkeypatch.setattr(browse, "_QUIET", 100)
    for program in (street.big, street.small):
        for name, wish in every_wish(street).items():
            for cursor in (None, Cursor(ROWS // 2, older=True), Cursor(ROWS // 2, older=False)):
                with statements() as asked:
                    browse.page(session, program, wish, cursor)
                    browse.count(session, program, wish)
                    browse.matching(session, program, wish, 1000)
                check_plans(session, asked, f"{name} {cursor}")
        with statements() as asked:
            browse.groups(session, program)
            browse.choices(session, program)
        check_plans(session, asked, "groups and choices")
        with statements() as asked:
            for number in (4004, ROWS - 3, 5):
                row = detail.one(session, program, number)
                if row is not None:
                    detail.attempts(session, row.id)
                    detail.about_the_same(session, row)
                    detail.conflicting(session, row)
        check_plans(session, asked, "one delivery")


def check_plans(session: Session, asked: list[tuple[str, Any]], name: str) -> None:
    assert asked, name
    for statement, parameters in asked:
        explained = session.connection().exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
        )
        plan = explained.scalar_one()
        plan = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
        for node in nodes(plan):
            rows = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
            where = f"{name}: {node['Node Type']} of {rows} rows in {statement}"
            if node.get("Relation Name") == "deliveries":
                assert node["Node Type"] != "Seq Scan", where
            if "Sort" in node["Node Type"] or "Scan" in node["Node Type"]:
                assert rows <= 2 * WINDOW, where


def test_the_check_of_plans_sees_a_list_that_reads_everything(session: Session, street: Street) -> None:
    for statement in (
        "SELECT id FROM deliveries WHERE body = 'y'",
        "SELECT id FROM deliveries WHERE id > 0 ORDER BY received_at LIMIT 1",
    ):
        with statements() as asked:
            session.connection().exec_driver_sql(statement)
        with pytest.raises(AssertionError, match="Scan"):
            check_plans(session, asked, "all")


def test_parts_of_a_wish_are_left_out_one_by_one() -> None:
    wish = Wish(states=("failed",), code="x", number="1")
    assert browse.without(wish, "code") == replace(wish, code=None)
    assert browse.without(wish, "states").states == ()
    assert not wish.is_empty
    assert Wish().is_empty
