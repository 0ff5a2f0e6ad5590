"""What tills did that a person should look at stands on home until somebody has; and limits hold there too."""

from __future__ import annotations

from hub import alerts
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program import store
from tests.desks import Office
from tests.people import add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "tea", "name": "Tea", "cost": 10, "amount": {"VND": "50000"}}],
}


def tell(office: Office) -> str:
    with office.runtime.sessions.begin() as session:
        add(session, "channels", public_id="chn_a", program_id=office.ours.id, kind="generic_pos", name="Till",
            token="t" * 32, secrets=b"")  # fmt: skip
        detail = {"what": "points", "limit": 5000, "till": ""}
        now = office.runtime.clock()
        alerts.tell(session, office.ours.id, "cashier_limit", "<b>Lan</b>", detail, now)
        (one,) = alerts.unsettled(session, office.ours.id)
    return one.id


def test_an_alert_stands_on_home_and_is_gone_when_the_owner_has_looked(office: Office) -> None:
    alert = tell(office)
    page = office.desk("owner").get("./").text
    assert "1 thing at the tills needs a person." in page
    assert "&lt;b&gt;Lan&lt;/b&gt; wanted to redeem more than 5,000 points in an hour" in page
    assert "Có 1 việc ở quầy thu ngân cần người xem." in office.desk("owner").get("./", "vi").text
    assert "I have looked at it" not in office.desk("viewer").get("./").text
    assert office.desk("viewer").post(f"./alerts/{alert}/settle").status_code == 403
    assert office.desk("owner", office.theirs).post(f"./alerts/{alert}/settle").status_code == 404
    assert office.desk("owner").post(f"./alerts/{alert}/settle").status_code == 303
    assert "at the tills" not in office.desk("owner").get("./").text
    assert office.desk("owner").post(f"./alerts/{alert}/settle").status_code == 404


def test_a_cashier_at_the_dashboard_is_limited_and_support_answers_for_large_ones(
    office: Office,
) -> None:
    with office.runtime.sessions.begin() as session:
        now = office.runtime.clock()
        document = {**DOCUMENT, "till": {"code_above": 5, "redemptions_per_hour": 1}}
        store.add_version(session, office.ours, document, effective_from=now, now=now, actor="test")
        ann = add(session, "members", public_id="mem_ann", program_id=office.ours.id, name="Ann")
        order = Command(office.ours.id, ann, "start", "test", office.runtime.chain_key)
        commands.adjust(session, order, 100)
    wish = {"reward": "tea", "key": "k1"}
    refused = office.desk("cashier").post("./members/mem_ann/redeem", wish, follow_redirects=True)
    assert "So many points need a one-time code" in refused.text
    done = office.desk("support").post("./members/mem_ann/redeem", wish)
    assert "/redemptions/" in done.location
    again = office.desk("support").post(
        "./members/mem_ann/redeem", {**wish, "key": "k2"}, follow_redirects=True
    )
    assert "This cashier has reached the limit for an hour." in again.text
    with office.runtime.sessions() as session:
        assert [one.kind for one in alerts.unsettled(session, office.ours.id)] == ["cashier_limit"]
