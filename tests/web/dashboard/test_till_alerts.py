"""What tills did that a person should look at stands on home until somebody has; and limits hold there too."""

from __future__ import annotations

import pytest

from hub import alerts, sending
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.program import store
from hub.sending import Message
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


def test_a_cashier_sends_the_member_a_code_and_types_it_in(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Message] = []

    class Post:
        def send(self, message: Message) -> None:
            sent.append(message)

    monkeypatch.setattr(sending, "sender", lambda _settings, way: Post() if way == "sms" else None)
    with office.runtime.sessions.begin() as session:
        now = office.runtime.clock()
        document = {**DOCUMENT, "till": {"code_above": 5}}
        store.add_version(session, office.ours, document, effective_from=now, now=now, actor="test")
        for name in ("ann", "bob"):
            member = add(
                session, "members", public_id=f"mem_{name}", program_id=office.ours.id, name=name
            )
            order = Command(office.ours.id, member, name, "test", office.runtime.chain_key)
            commands.adjust(session, order, 100)
        add(
            session,
            "identities",
            program_id=office.ours.id,
            member_id=member,
            kind="phone",
            value="+84912345678",
        )
    cashier, support = office.desk("cashier"), office.desk("support")
    page = cashier.get("./members/mem_bob/redeem").text
    assert "Send a code to the member" in page
    assert 'name="one_time_code"' in page
    assert 'name="one_time_code"' not in support.get("./members/mem_bob/redeem").text
    nowhere = cashier.post("./members/mem_ann/one-time-code", follow_redirects=True)
    assert "has no phone or e-mail" in nowhere.text
    answer = cashier.post("./members/mem_bob/one-time-code", follow_redirects=True)
    assert "A code was sent to +84…678." in answer.text
    wish = {"reward": "tea", "key": "k1"}

    def typed(digits: str) -> str:
        path = "./members/mem_bob/redeem"
        return cashier.post(path, {**wish, "one_time_code": digits}, follow_redirects=True).text

    wrong = "000000" if sent[0].code != "000000" else "111111"
    assert "Tries left: 4." in typed(wrong)
    assert "Tries left: 3." in typed("+84")
    code = sent[0].code
    assert "The code can be used once" in typed(f"{code[:3]} {code[3:]}")
    assert "The code can be used once" in typed(wrong), "the same form again is no further try"
    tries = "SELECT tries, state FROM one_time_codes"
    with office.runtime.sessions() as session:
        assert session.connection().exec_driver_sql(tries).all() == [(3, "used")]
        assert session.connection().exec_driver_sql("SELECT count(*) FROM redemptions").scalar() == 1
    assert office.desk("viewer").post("./members/mem_bob/one-time-code").status_code == 403
    assert (
        office.desk("cashier", office.theirs).post("./members/mem_bob/one-time-code").status_code == 404
    )
