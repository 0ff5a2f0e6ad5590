"""A member's tier on their page: where they stand, decisions shown before they are made, tags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.ids import new_id
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.web.dashboard import visit
from tests.desks import Office
from tests.people import add

DOCUMENT: dict[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "tiers": {
        "currency": "VND",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold", "from": "1000000", "perks": ["A <b>cake</b>"]},
        ],
    },
    "segments": [{"id": "press", "name": "The press", "tags": ["press"]}],
}
DECISION = {"decision": "set", "tier": "gold", "reason": "A good customer elsewhere", "key": "k1"}


@pytest.fixture
def office(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url)
    runtime = Runtime.start(settings, "web")
    yield Office.new(runtime, DOCUMENT)
    runtime.engine.dispose()


@pytest.fixture
def ann(office: Office) -> str:
    with office.runtime.sessions.begin() as session:
        public_id = new_id("mem")
        member = add(session, "members", public_id=public_id, program_id=office.ours.id, name="Ann")
        channel = add(
            session, "channels", public_id=new_id("chn"), program_id=office.ours.id, kind="generic_pos",
            name="Till", token="t", secrets=b"",
        )  # fmt: skip
        add(
            session, "transactions", public_id=new_id("txn"), program_id=office.ours.id, channel_id=channel,
            external_id="1", member_id=member, state="paid", currency="VND", goods_net=400_000,
            eligible=400_000, placed_at=datetime(2026, 11, 1, tzinfo=UTC),
        )  # fmt: skip
    return f"./members/{public_id}"


def test_the_page_says_where_somebody_stands_and_what_is_missing(office: Office, ann: str) -> None:
    page = office.desk("cashier").get(f"{ann}?tab=tier").text
    assert "₫600,000 short of Gold." in page
    assert '<progress class="progress" max="1000000" value="400000"' in page
    assert "Decide about the tier" not in page, "a cashier decides nothing"
    spoken = office.desk("support").get(f"{ann}?tab=tier", "vi").text
    assert "Gold" in spoken
    assert "short of" not in spoken


def test_a_decision_is_shown_first_and_made_once(office: Office, ann: str) -> None:
    desk = office.desk("support")
    shown = desk.get(f"{ann}/tier", query_string=DECISION).text
    assert "Decide so" in shown
    assert "<strong>Gold</strong>" in shown
    assert acts(office) == 0
    for _ in range(2):
        assert desk.post(f"{ann}/tier", DECISION).status_code == 303
    assert acts(office) == 1
    page = desk.get(f"{ann}?tab=tier").text
    assert "put there by hand" in page
    assert "A good customer elsewhere" in page
    assert "A &lt;b&gt;cake&lt;/b&gt;" in page
    desk.post(f"{ann}/tier", {**DECISION, "tier": "member"})
    assert "This form was sent before with other values" in desk.get(ann).text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decision": "nonsense"}, "Choose what to decide."),
        ({"decision": "count", "amount": "a lot"}, "Enter a number without separators"),
        ({"decision": "count", "amount": "1e400"}, "Enter a number without separators"),
        ({"decision": "guarantee", "until": "soon"}, "Enter a day like"),
        ({"decision": "guarantee", "until": "2020-01-01"}, "A guarantee ends on a day to come."),
        ({"tier": "platinum"}, "There is no tier platinum"),
        ({"reason": ""}, "A reason is needed."),
    ],
)
def test_what_cannot_be_decided_is_said(
    office: Office, ann: str, change: dict[str, str], said: str
) -> None:
    desk = office.desk("owner")
    assert said in desk.get(f"{ann}/tier", query_string=DECISION | change).text
    assert desk.post(f"{ann}/tier", DECISION | change).status_code == 303
    assert acts(office) == 0


def test_a_guarantee_is_shown_with_its_last_day(office: Office, ann: str) -> None:
    desk = office.desk("owner")
    desk.post(f"{ann}/tier", DECISION | {"decision": "guarantee", "until": "2099-12-31"})
    page = desk.get(f"{ann}?tab=tier").text
    assert "Guaranteed or bought until 31 December 2099" in page
    assert "until 31 December 2099" in page.split("Decided by hand")[1]


def test_tags_are_put_on_and_taken_off(office: Office, ann: str) -> None:
    desk = office.desk("support")
    desk.post(f"{ann}/tags", {"tag": "press"})
    assert "Belongs to: The press" in desk.get(f"{ann}?tab=tier").text
    desk.post(f"{ann}/tags", {"tag": "press", "off": "1"})
    assert "No tags." in desk.get(f"{ann}?tab=tier").text
    desk.post(f"{ann}/tags", {"tag": " "})
    assert "A tag has 1 to 100 characters." in desk.get(ann).text


def test_only_support_and_the_owner_decide(office: Office, ann: str) -> None:
    assert {visit.NEEDS[n] for n in ("member_tier", "decide_tier", "tag_member")} == {"support"}
    assert office.desk("marketing").post(f"{ann}/tier", DECISION).status_code == 403
    assert office.desk("cashier").post(f"{ann}/tags", {"tag": "x"}).status_code == 403
    assert acts(office) == 0


def test_a_programme_without_tiers_says_so(office: Office, ann: str) -> None:
    with office.runtime.sessions.begin() as session:
        now = datetime.now(UTC)
        store.add_version(
            session, office.ours, {"earn": DOCUMENT["earn"]}, effective_from=now, now=now, actor="test"
        )
    assert "The programme has no tiers" in office.desk("owner").get(f"{ann}?tab=tier").text
    assert "The programme has no tiers" in office.desk("owner").get(f"{ann}/tier").text


def acts(office: Office) -> int:
    with office.runtime.sessions() as session:
        return len(list(session.connection().exec_driver_sql("SELECT 1 FROM tier_acts")))
