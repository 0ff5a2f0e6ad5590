"""The programme's pages: terms, tiers, budgets, versions with what they changed, events and referrals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.bulk import run
from hub.ids import new_id
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from tests.desks import Office
from tests.people import add

DOCUMENT: dict[str, Any] = {
    "earn": {"id": "base", "points": 1, "per": {"VND": "10000"}, "budget": 500},
    "tiers": {
        "currency": "VND",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold <b>", "from": "1000000", "keep": "500000"},
        ],
    },
    "actions": [{"id": "review", "name": "A review", "points": 20}],
    "referral": {"referrer": 50, "friend": 20},
}


@pytest.fixture
def office(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url)
    runtime = Runtime.start(settings, "web")
    yield Office.new(runtime, DOCUMENT)
    runtime.engine.dispose()


def person(office: Office, name: str) -> int:
    with office.runtime.sessions.begin() as session:
        return add(session, "members", public_id=f"mem_{name}", program_id=office.ours.id, name=name)


def change(office: Office, later: timedelta = timedelta(0), **document: Any) -> int:
    with office.runtime.sessions.begin() as session:
        now = datetime.now(UTC)
        return store.add_version(
            session, office.ours, {**DOCUMENT, **document}, effective_from=now + later, now=now, actor="cli:ann"
        )  # fmt: skip


def test_the_page_shows_the_terms_the_ladder_and_what_is_left_of_a_budget(office: Office) -> None:
    ann = person(office, "Ann")
    with office.runtime.sessions.begin() as session:
        ids = {"member": ann, "program": office.ours.id}
        run(session, """INSERT INTO tier_standings (member_id, program_id, tier, count, updated_at)
                        VALUES (:member, :program, 'gold', 0, now())""", ids)  # fmt: skip
        run(
            session,
            "INSERT INTO budgets (program_id, campaign, given) VALUES (:program, 'base', 120)",
            ids,
        )
    page = office.desk("viewer").get("./programme").text
    assert "1 point for every ₫10,000" in page
    assert "Gold &lt;b&gt;" in page
    assert "₫1,000,000" in page
    assert "₫500,000" in page
    assert '<progress class="progress" max="500" value="120"' in page
    assert "380 of 500 points" in page


def test_a_version_tells_what_it_changed_setting_by_setting(office: Office) -> None:
    number = change(office, points={"rounding": "down"}, referral=None)
    page = office.desk("viewer").get(f"./programme/versions/{number}").text
    for said in ("<code>points.rounding</code>", "<code>half_up</code>", "<code>down</code>", "not set"):
        assert said in page
    assert "ann on the command line" in page
    first = office.desk("viewer").get("./programme/versions/1").text
    assert "The first version" in first
    again = change(office, timedelta(hours=1), points={"rounding": "down"}, referral=None)
    same = office.desk("viewer").get(f"./programme/versions/{again}").text
    assert "It changed nothing" in same
    listed = office.desk("viewer").get("./programme").text
    assert listed.count("In force</span>") == 1
    assert listed.count("To come</span>") == 1


@pytest.mark.parametrize(
    "path", ["./programme/versions/99", "./programme/events?before=x", "./programme/referrals?before=-1"]
)
def test_what_is_not_there_is_not_found(office: Office, path: str) -> None:
    assert office.desk("owner").get(path).status_code == 404


def test_events_go_page_by_page_and_show_no_other_programmes(office: Office) -> None:
    ann = person(office, "Ann")
    with office.runtime.sessions.begin() as session:
        theirs = add(session, "members", public_id="mem_x", program_id=office.theirs.id, name="Mallory")
        for number in range(52):
            for program, member in ((office.ours.id, ann), (office.theirs.id, theirs)):
                add(
                    session, "actions", public_id=new_id("act"), program_id=program, member_id=member,
                    action="review", key=f"k{number}", input_hash="h", occurred_at=datetime(2026, 11, 1, tzinfo=UTC),
                    points=20, program_version=1, actor="test",
                )  # fmt: skip
    desk = office.desk("cashier")
    page = desk.get("./programme/events").text
    assert page.count("A review") == 50
    assert "Mallory" not in page
    (older,) = [part.split('"')[0] for part in page.split('href="') if "before=" in part.split('"')[0]]
    rest = desk.get(older).text
    assert rest.count("A review") == 2
    assert "before=" not in rest.replace(older, "")


def test_referrals_tell_who_brought_whom_and_the_order_that_counted(office: Office) -> None:
    ann, bob, eve = (person(office, name) for name in ("Ann", "Bob", "Eve"))
    with office.runtime.sessions.begin() as session:
        channel = add(
            session, "channels", public_id=new_id("chn"), program_id=office.ours.id, kind="generic_pos",
            name="Till", token="t", secrets=b"",
        )  # fmt: skip
        sale = add(
            session, "transactions", public_id="txn_1", program_id=office.ours.id, channel_id=channel,
            external_id="1", number="A-17", state="paid", member_id=bob,
            placed_at=datetime(2026, 11, 2, tzinfo=UTC),
        )  # fmt: skip
        for friend, order in ((bob, sale), (eve, None)):
            add(
                session, "referrals", public_id=new_id("ref"), program_id=office.ours.id, referrer_id=ann,
                friend_id=friend, referred_at=datetime(2026, 11, 1, tzinfo=UTC), transaction_id=order, actor="test",
            )  # fmt: skip
    page = office.desk("cashier").get("./programme/referrals").text
    assert page.index(">Eve<") < page.index(">Bob<")
    assert "A-17" in page
    assert page.count("still to come") == 1


def test_an_empty_programme_says_what_would_be_there(office: Office) -> None:
    change(office, earn={"points": 1, "per": {"VND": "10000"}}, tiers=None)
    desk = office.desk("owner")
    assert "The programme has no tiers" in desk.get("./programme").text
    assert "No rule in force has a budget" in desk.get("./programme").text
    assert "Nothing has been told of" in desk.get("./programme/events").text
    assert "Nobody has brought anybody yet" in desk.get("./programme/referrals").text
    assert "Chưa có ai giới thiệu ai" in desk.get("./programme/referrals", "vi").text
