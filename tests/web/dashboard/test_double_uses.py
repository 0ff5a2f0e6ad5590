"""Double uses on their page and on both orders, and deciding what is done about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hub.connect import add_channel
from hub.runtime import Runtime
from hub.settings import Settings
from tests.desks import Office
from tests.market import NOON, Market
from tests.model_shop import CONNECTORS
from tests.spending import DOCUMENT, Spending


@pytest.fixture
def office(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    runtime = Runtime.start(settings, "web")
    yield Office.new(runtime, {**DOCUMENT, "redeem": {"double_use": "flag"}})
    runtime.engine.dispose()


@pytest.fixture
def rig(office: Office) -> Spending:
    """Ann with a hundred points, in a programme where a person decides."""
    with office.runtime.sessions.begin() as session:
        shops = [
            add_channel(session, office.runtime, program_id=office.ours.id, kind="model_event",
                        name=name, settings={}, actor="test")
            for name in ("North", "South")
        ]  # fmt: skip
    rig = Spending(Market(replace(office.runtime), office.ours, shops))
    rig.meet()
    rig.gift(100)
    return rig


def used_twice(rig: Spending) -> str:
    code = rig.redeem().code
    rig.tell("second", code, at=NOON + timedelta(minutes=1))
    rig.tell("first", code, shop=1)
    return code


def order(rig: Spending, name: str) -> str:
    (row,) = rig.market.rows("SELECT public_id FROM transactions WHERE external_id = :name", name=name)
    return f"./orders/{row.public_id}"


def test_a_double_use_is_listed_and_named_on_both_orders(office: Office, rig: Spending) -> None:
    support = office.desk("support")
    assert "No code was used twice" in support.get("./double-uses").text
    code = used_twice(rig)
    page = support.get("./double-uses").text
    assert code in page
    assert "A person has to decide." in page
    first, second = (page.index(order(rig, name)[1:]) for name in ("first", "second"))
    assert first < second, "the one that counts comes first"
    assert f"{code} was used in order first (South) before." in support.get(order(rig, "second")).text
    assert "this one was first" in support.get(order(rig, "first")).text


def test_what_a_person_decides_is_done_at_once_and_may_be_changed(office: Office, rig: Spending) -> None:
    code, support = used_twice(rig), office.desk("support")
    before = rig.balance()
    for decision, points in (
        ("take_again", before - 20),
        ("absorb", before),
        ("take_again", before - 20),
    ):
        answer = support.post("./double-uses/decide", {"code": code.lower(), "decision": decision})
        assert (answer.status_code, rig.balance()) == (303, points)
    entries = rig.market.entries()
    support.post("./double-uses/decide", {"code": code, "decision": "take_again"})
    assert rig.market.entries() == entries
    assert "Each use costs the member its points." in support.get("./double-uses").text
    audit = rig.market.rows("SELECT actor FROM audit WHERE action = 'code.decided'")
    assert [row.actor.partition(":")[0] for row in audit] == ["user"] * 3
    rig.check()


def test_only_staff_decide_and_only_about_double_uses_of_their_own(
    office: Office, rig: Spending
) -> None:
    code, once = used_twice(rig), rig.redeem().code
    support = office.desk("support")
    for role, status in (("cashier", 403), ("viewer", 403)):
        form = {"code": code, "decision": "take_again"}
        assert office.desk(role).post("./double-uses/decide", form).status_code == status  # type: ignore[arg-type]
    before = rig.balance()
    support.post("./double-uses/decide", {"code": once, "decision": "take_again"})
    assert "used once at most" in support.get("./double-uses").text
    assert support.post("./double-uses/decide", {"code": "x", "decision": "absorb"}).status_code == 404
    assert support.post("./double-uses/decide", {"code": code, "decision": "no"}).status_code == 400
    assert support.get("./double-uses?before=9999999999999999999999").status_code == 200
    assert rig.balance() == before


def test_a_use_that_came_too_late_waits_for_a_person_too(office: Office, rig: Spending) -> None:
    done = rig.redeem()
    rig.take_back(done.id)
    rig.push()
    rig.sweep()
    rig.tell("late", done.code)
    balance = rig.balance()
    support = office.desk("support")
    assert "used too late" in support.get("./double-uses").text
    for decision, points in (("take_again", balance - 20), ("absorb", balance)):
        support.post("./double-uses/decide", {"code": done.code, "decision": decision})
        assert rig.balance() == points
    rig.check()
