"""One box finds a member by any scrap, through indexes, and never another program's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id
from hub.members import search
from hub.members.search import Hit
from tests.people import Ground, add, new_channel, new_ground, new_member, new_program


@pytest.fixture
def ground(session: Session) -> Ground:
    return new_ground(session)


@pytest.fixture
def know(session: Session, ground: Ground) -> Callable[..., int]:
    """A member with that name and those keys."""

    def know(name: str, program: int = 0, **keys: str) -> int:
        member = new_member(session, program or ground.program, name)
        for kind, value in keys.items():
            scope = ground.channel if kind == "customer" else 0
            add(
                session, "identities", program_id=program or ground.program, member_id=member,
                kind=kind, scope=scope, value=value,
            )  # fmt: skip
        return member

    return know


def found(session: Session, ground: Ground, words: str) -> list[int]:
    return [hit.member_id for hit in search.search(session, ground.program, "VN", words)]


# --- phones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "+84901234567", "0901234567", "84901234567", "0084901234567", "901234567", "090 123 45 67",
        "090.123.4567", "(090) 123-4567", "+84 (0)90 123 4567", "０９０１２３４５６７", " 0901 234 567 ",
    ],
)  # fmt: skip
def test_a_phone_is_found_in_any_spelling(
    session: Session, ground: Ground, know: Callable[..., int], spelling: str
) -> None:
    binh = know("Bình", phone="+84901234567")
    know("Chi", phone="+84901234568")
    hits = search.search(session, ground.program, "VN", spelling)
    assert hits[0] == Hit(binh, "phone")


@pytest.mark.parametrize(
    ("scrap", "by"),
    [("4567", "last_digits"), ("0123 4567", "last_digits"), ("090123", "phone_begins"), ("+84 901", "phone_begins"),
     ("84901", "phone_begins")],
)  # fmt: skip
def test_a_part_of_a_phone_finds_it(
    session: Session, ground: Ground, know: Callable[..., int], scrap: str, by: str
) -> None:
    binh = know("Bình", phone="+84901234567")
    know("Chi", phone="+84911111111")
    assert search.search(session, ground.program, "VN", scrap) == [Hit(binh, by)]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    ["nguyen thi dau", "Nguyễn Thị Đậu", "NGUYEN DAU", "dau nguyen", "Nguyễn", "đậ", "thi-dau",
     "Nguye\u0302\u0303n Thi\u0323"],
)  # fmt: skip
def test_a_name_is_found_with_and_without_accents_in_any_order(
    session: Session, ground: Ground, know: Callable[..., int], typed: str
) -> None:
    dau = know("Nguyễn  Thị Đậu")
    know("Trần Văn Hải")
    assert search.search(session, ground.program, "VN", typed) == [Hit(dau, "name")]


def test_who_is_called_exactly_so_comes_first(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    exact = know("Lê Anh")
    begins = know("Lê Anh Tú")
    holds = know("Hồ Anh Lê")
    assert found(session, ground, "le anh") == [exact, begins, holds]


def test_a_name_without_accents_is_found_by_one_with_them(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    typed_in_a_hurry = know("Nguyen Thi Dau")
    assert found(session, ground, "Nguyễn Thị Đậu") == [typed_in_a_hurry]


@pytest.mark.parametrize("typed", ["%", "_", "\\", "%%%", "'", "a", "", "   ", "\x00", "☃", "x" * 5000])
def test_what_is_no_name_finds_nobody_and_breaks_nothing(
    session: Session, ground: Ground, know: Callable[..., int], typed: str
) -> None:
    know("Nguyễn Thị Đậu")
    assert found(session, ground, typed) == []


# --- other keys ----------------------------------------------------------------------------------


def test_every_other_key_finds_its_member(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    ann = know("Ann", email="ann.le@example.com", card="HC 77".replace(" ", ""), customer="gid-12")
    sale = add(
        session, "transactions", public_id=new_id("txn"), program_id=ground.program,
        channel_id=ground.channel, external_id="1", number="#HD-1001", member_id=ann,
    )  # fmt: skip
    (txn,) = run(session, "SELECT public_id FROM transactions WHERE id = :id", {"id": sale})
    (mem,) = run(session, "SELECT public_id FROM members WHERE id = :id", {"id": ann})
    asked = {
        "Ann.Le@Example.com": "email",
        "ann.l": "email_begins",
        "hc 77": "card",
        "gid-12": "customer",
        "HD-1001": "order",
        "#hd-1001": "order",
        txn.public_id: "id",
        mem.public_id.upper(): "id",
    }
    assert {
        words: [h.by for h in search.search(session, ground.program, "VN", words)] for words in asked
    } == {words: [by] for words, by in asked.items()}
    assert {h.member_id for w in asked for h in search.search(session, ground.program, "VN", w)} == {ann}


def test_exact_keys_come_before_names_that_look_alike(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    named = know("Card 1001")
    card = know("Bình", card="1001")
    assert found(session, ground, "1001") == [card, named]


def test_a_key_that_is_gone_finds_nobody(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    know("Bình", email="b@example.com")
    run(session, "UPDATE identities SET gone_at = now()")
    assert found(session, ground, "b@example.com") == []


def test_a_merged_member_is_found_as_the_one_it_became(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    old, new = know("Bình cũ", phone="+84901234567"), know("Bình", email="b@example.com")
    run(session, "UPDATE members SET alias_of = :new WHERE id = :old", {"new": new, "old": old})
    assert found(session, ground, "0901234567") == found(session, ground, "binh cu") == [new]
    assert new in search.newest(session, ground.program, before=None, limit=10)
    assert old not in search.newest(session, ground.program, before=None, limit=10)


def test_another_programs_members_are_nobodys_business(
    session: Session, ground: Ground, know: Callable[..., int]
) -> None:
    theirs = new_program(session, "theirs")
    ours = know("Bình", phone="+84901234567")
    know("Bình", theirs, phone="+84901234567", email="b@example.com", card="C1")
    assert found(session, ground, "0901234567") == found(session, ground, "binh") == [ours]
    for words in ("b@example.com", "b@", "C1", "c1"):
        assert found(session, ground, words) == []


# --- at size -------------------------------------------------------------------------------------

_MANY = """
INSERT INTO members (public_id, program_id, name)
SELECT 'mem_' || n, (CAST(:programs AS bigint[]))[1 + n % 4],
       (ARRAY['Nguyễn', 'Trần', 'Lê', 'Nguyễn', 'Phạm'])[1 + n % 5] || ' ' ||
       (ARRAY['Văn', 'Thị', 'Hữu', 'Đức'])[1 + n / 4 % 4] || ' ' ||
       (ARRAY['An', 'Bình', 'Đậu', 'Hải', 'Yến'])[1 + n / 7 % 5]
       || CASE WHEN n % 2500 = 0 THEN ' Xuyến' ELSE '' END
FROM generate_series(1, 20000) AS n;
"""
_KEYS = """
INSERT INTO identities (program_id, member_id, kind, value)
SELECT program_id, id, kind, CASE kind WHEN 'phone' THEN '+849' || lpad((id * 7919 % 100000000)::text, 8, '0')
       WHEN 'email' THEN 'm' || id || '@example.com' ELSE 'C' || id END
FROM members, unnest(ARRAY['phone', 'email', 'card']) AS kind;
"""


@pytest.fixture
def town(session: Session, ground: Ground, owner: Engine) -> Ground:
    """20,000 members in four programs, with phones, e-mails, cards and an order each."""
    programs = [ground.program, *(new_program(session, f"other-{n}") for n in range(3))]
    tills = [ground.channel, *(new_channel(session, p) for p in programs[1:])]
    run(session, _MANY, {"programs": programs})
    run(session, _KEYS)
    run(
        session,
        """INSERT INTO transactions (public_id, program_id, channel_id, external_id, number, member_id)
           SELECT 'txn_' || m.id, m.program_id, c.id, m.id::text, '#' || m.id, m.id
           FROM members m JOIN channels c ON c.program_id = m.program_id""",
    )
    assert len(set(tills)) == 4
    session.commit()
    with owner.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
    return ground


@pytest.fixture
def plans(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The plan of every statement the search runs, as it was carried out."""
    seen: list[dict[str, Any]] = []

    def explained(session: Session, statement: str, values: Any = None) -> Any:
        if re.match(r"\s*SELECT", statement):
            plan = run(session, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values)[0][0]
            seen.append((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])
        return run(session, statement, values)

    monkeypatch.setattr(search, "run", explained)
    return seen


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


LARGE = {"members", "identities", "transactions"}


def wasteful(plans: list[dict[str, Any]], most: int = 2000) -> list[tuple[Any, ...]]:
    """Nodes that read a table from end to end, or sort or discard more than a tenth of it (a name that
    two in five have is read until there are enough)."""
    return [
        (node["Node Type"], node.get("Relation Name"), node["Actual Rows"])
        for plan in plans
        for node in nodes(plan)
        if (node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE)
        or (node["Node Type"].endswith("Sort") and node["Plans"][0]["Actual Rows"] > most)
        or node.get("Rows Removed by Filter", 0) > most
    ]


ASKED = {
    "{phone}": "phone",
    "{end}": "last_digits",
    "+849{begin}": "phone_begins",
    "{email}": "email",
    "m{id}@": "email_begins",
    "c{id}": "card",
    "#{id}": "order",
    "{public_id}": "id",
    "xuyen": "name",
    "nguyen thi": "name",
    "Nguyễn": "name",
    "tran van hai": "name",
    "nobody at all": None,
    "HUB-AAAA": None,
}


def test_no_search_reads_or_sorts_a_table_of_twenty_thousand(
    session: Session, town: Ground, plans: list[dict[str, Any]]
) -> None:
    (one,) = run(
        session,
        """SELECT m.id, m.public_id, i.value AS phone, right(i.value, 5) AS end, substr(i.value, 5, 4) AS begin,
                  'm' || m.id || '@example.com' AS email
           FROM members m JOIN identities i ON i.member_id = m.id AND i.kind = 'phone'
           WHERE m.program_id = :program ORDER BY m.id OFFSET 2000 LIMIT 1""",
        {"program": town.program},
    )
    for words, by in ASKED.items():
        plans.clear()
        hits = search.search(session, town.program, "VN", words.format(**one._mapping))
        assert {hit.by for hit in hits} >= ({by} if by else set()), (words, hits)
        assert plans
        assert wasteful(plans) == [], (words, [p for p in plans if wasteful([p])])


def test_the_list_of_all_members_is_read_page_by_page(
    session: Session, town: Ground, plans: list[dict[str, Any]]
) -> None:
    first = search.newest(session, town.program, before=None, limit=50)
    second = search.newest(session, town.program, before=first[-1], limit=50)
    assert first == sorted(first, reverse=True)
    assert len({*first, *second}) == 100
    assert max(second) < min(first)
    assert wasteful(plans) == []
    assert all(node["Node Type"] != "Sort" for plan in plans for node in nodes(plan))
