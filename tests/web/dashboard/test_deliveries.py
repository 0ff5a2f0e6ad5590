"""The pages of deliveries, replays and quarantine without a browser: what they say and whom they tell."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import text

from hub.connect import add_channel
from hub.connector import Inbound
from hub.outbox import channels, deliveries
from hub.outbox.channels import Channel
from hub.program.store import Program
from hub.sync import process, receive, replays
from tests import signed
from tests.desks import Office


@pytest.fixture
def till(office: Office) -> Channel:
    return a_till(office, office.ours)


def a_till(office: Office, program: Program) -> Channel:
    with office.runtime.sessions.begin() as session:
        return add_channel(
            session, office.runtime, program_id=program.id, kind="generic_pos", name="Till",
            settings=signed.SETTINGS["generic_pos"], actor="test",
        )  # fmt: skip


def take(office: Office, channel: Channel, key: str, body: bytes, **headers: str) -> int:
    """A message in the inbox, as if it had been verified."""
    connector = channels.connector_of(office.runtime, channel)
    given = {"webhook-id": key, "content-type": "application/json", **headers}
    inbound = Inbound("hub.sale/1", given, body, office.runtime.clock())
    with office.runtime.sessions.begin() as session:
        receive.insert(session, [receive.message(channel, connector, inbound)])
        found = session.execute(text("SELECT max(id) FROM deliveries WHERE direction = 'inbound'"))
        number: int = found.scalar_one()
    return number


def sale(office: Office, channel: Channel, number: int | str, **more: Any) -> int:
    return take(office, channel, f"m{number}", signed.till_sale(number, "0912345678", 90_000, **more))


def work(office: Office) -> None:
    process.drain(office.runtime)


def rows(office: Office, statement: str) -> list[Any]:
    with office.runtime.sessions() as session:
        return list(session.execute(text(statement)).all())


def park(office: Office, *ids: int) -> None:
    with office.runtime.sessions.begin() as session:
        session.execute(
            text(
                "UPDATE deliveries SET state = 'parked', code = 'unexpected', fault = 'hub' WHERE id = ANY(:ids)"
            ),
            {"ids": list(ids)},
        )


# --- the list ------------------------------------------------------------------------------------


def test_a_row_says_what_became_of_the_message(office: Office, till: Channel) -> None:
    sale(office, till, 1001)
    take(office, till, "odd", b'{"type": "hub.weather/1"}')
    work(office)
    page = office.desk("viewer").get("./deliveries").text
    assert "Understood and recorded." in page
    assert "The hub does not know this type of message." in page
    assert re.search(r">\s*1001\s*<", page)


def test_every_part_of_the_filter_is_in_the_address_and_narrows_the_list(
    office: Office, till: Channel
) -> None:
    sale(office, till, 1001)
    odd = take(office, till, "odd", b'{"type": "hub.weather/1"}')
    work(office)
    with office.runtime.sessions.begin() as session:
        deliveries.enqueue(
            session,
            [
                deliveries.Push(
                    office.ours.id, till.id, topic="create_code", key="k", subject="voucher:v"
                )
            ],
        )
    desk = office.desk("viewer")

    def shown(query: str) -> set[int]:
        page = desk.get(f"./deliveries?{query}")
        assert page.status_code == 200, query
        return {int(i) for i in re.findall(r'<tr data-href="/p/ours/deliveries/(\d+)"', page.text)}

    every = shown("")
    (pushed,) = [r.id for r in rows(office, "SELECT id FROM deliveries WHERE topic = 'create_code'")]
    assert (
        shown("state=person")
        == shown("state=failed&state=parked")
        == shown("state=failed,parked")
        == {odd}
    )
    assert shown("code=unknown_type") == shown("fault=payload") == {odd}
    assert pushed in shown("direction=outbound")
    assert shown("topic=create_code") == shown("subject=voucher:v") == {pushed}
    assert shown(f"channel={till.public_id}") == every
    assert shown("number=1001") == shown("number=%231001") == shown("q=1001") == {1}
    assert shown("q=must+be+one+of") == shown(f"q={odd}") == shown("q=odd") == {odd}
    assert 1 in shown("q=0912345678")
    assert 1 in shown("q=%2B84912345678")
    today = office.runtime.clock().date()
    assert shown(f"since={today}&until={today}") | shown("since=2020-01-01") == every
    assert shown("until=2020-01-01") == set()
    assert shown("state=queue") >= {pushed}


@pytest.mark.parametrize(
    "query",
    ["state=nonsense", "direction=up", "fault=me", "since=tomorrow", "since=2026-13-01", "until=9999-12-31",
     "at=nonsense", "at=WzEsMV0x", "since=0001-01-01"],
)  # fmt: skip
def test_a_filter_that_cannot_be_meant_is_no_error_of_ours(
    office: Office, till: Channel, query: str
) -> None:
    assert office.desk("viewer").get(f"./deliveries?{query}").status_code in (200, 400)


@pytest.mark.parametrize(
    "text_", ["%00", "%", "_", "\\", "'; DROP TABLE deliveries --", "<b>", "x" * 5000, "☃"]
)
def test_odd_texts_find_nothing_and_break_nothing(office: Office, till: Channel, text_: str) -> None:
    sale(office, till, 1)
    work(office)
    for name in ("q", "number", "subject", "code", "topic"):
        page = office.desk("viewer").get("./deliveries", query_string={name: text_})
        assert page.status_code == 200
        assert "<tr data-href" not in page.text
        assert "<b>" not in page.text.replace("&lt;b&gt;", "")


def test_pages_are_turned_by_their_addresses(office: Office, till: Channel) -> None:
    for n in range(60):
        sale(office, till, n)
    desk = office.desk("viewer")
    first = desk.get("./deliveries").text
    assert "60 messages" in first
    (older,) = re.findall(r'href="(/p/ours/deliveries\?at=[^"]+)" rel="next"', first)
    second = desk.get(older).text
    assert len(re.findall("<tr data-href", first)) == 50
    assert len(re.findall("<tr data-href", second)) == 10
    (newer,) = re.findall(r'href="(/p/ours/deliveries\?at=[^"]+)" rel="prev"', second)
    assert re.findall("<tr data-href=[^ ]+", desk.get(newer).text) == re.findall(
        "<tr data-href=[^ ]+", first
    )


def test_failures_stand_in_groups_whose_link_shows_as_many_as_it_says(
    office: Office, till: Channel
) -> None:
    ids = [sale(office, till, n) for n in range(3)]
    take(office, till, "odd", b'{"type": "hub.weather/1"}')
    work(office)
    park(office, *ids)
    desk = office.desk("viewer")
    page = desk.get("./deliveries").text
    (there,) = re.findall(r'href="([^"]+)">See the 3<', page)
    found = desk.get(there.replace("&amp;", "&")).text
    assert "More filters (3 in use)" in found
    assert len(re.findall("<tr data-href", found)) == 3
    assert "See it" in page


# --- one -----------------------------------------------------------------------------------------


def test_a_delivery_tells_what_it_said_and_which_points_it_moved(office: Office, till: Channel) -> None:
    number = sale(office, till, 1001)
    work(office)
    page = office.desk("viewer").get(f"./deliveries/{number}").text
    assert "Order 1001" in page
    assert "₫90,000" in page
    assert "+9" in page
    assert "this one" in page
    assert "1 attempt" in page
    (order,) = rows(office, "SELECT public_id FROM transactions")
    (member,) = rows(office, "SELECT public_id FROM members")
    assert f'href="/p/ours/orders/{order.public_id}">1001<' in page
    assert f'href="/p/ours/members/{member.public_id}"' in page


def test_of_two_processed_together_either_may_be_the_cause(office: Office, till: Channel) -> None:
    first = take(office, till, "a", signed.till_sale(7, "0912345678", 90_000))
    second = take(office, till, "b", signed.till_sale(7, "0912345678", 50_000, 2))
    work(office)
    third = take(office, till, "c", signed.till_sale(7, "0912345678", 20_000, 3))
    work(office)
    page = office.desk("viewer").get(f"./deliveries/{first}").text
    assert "one of those processed in the same moment" in page
    assert f'/deliveries/{second}">{second}<' in page
    alone = office.desk("viewer").get(f"./deliveries/{third}").text
    assert ">-3<" in alone
    assert "this one" in alone


def test_what_goes_out_says_for_whom_it_is_and_what_would_be_sent_now(
    office: Office, till: Channel
) -> None:
    sale(office, till, 1)
    work(office)
    (member,) = rows(office, "SELECT id, public_id FROM members")
    (push,) = rows(office, "SELECT id FROM deliveries WHERE topic = 'set_balance'")
    page = office.desk("viewer").get(f"./deliveries/{push.id}").text
    assert f'href="/p/ours/members/{member.public_id}"' in page
    assert "If it were sent now: Would show the balance 9." in page
    with office.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET secrets = ''"))
    assert office.desk("viewer").get(f"./deliveries/{push.id}").status_code == 200


def test_attempts_go_on_being_counted_after_a_replay(office: Office, till: Channel) -> None:
    number = sale(office, till, 1)
    work(office)
    with office.runtime.sessions.begin() as session:
        deliveries.replay(session, [number])
    work(office)
    page = office.desk("viewer").get(f"./deliveries/{number}").text
    assert "Attempt 2" in page
    assert "Attempt 1" in page
    assert "2 attempts" in page


def test_repetitions_and_conflicts_are_told(office: Office, till: Channel) -> None:
    number = sale(office, till, 1)
    for _ in range(4):
        sale(office, till, 1)
    take(office, till, "m1", signed.till_sale(1, "0912345678", 1_000))
    desk = office.desk("viewer")
    page = desk.get(f"./deliveries/{number}").text
    assert "Same message, 4 more times" in page
    assert "Same key, another text" in page
    (conflict,) = [r.id for r in rows(office, "SELECT id FROM deliveries WHERE code = 'conflict'")]
    other = desk.get(f"./deliveries/{conflict}").text
    assert "Compare the two messages." in other
    assert f"/deliveries/{number}" in other


def test_the_bytes_are_handed_out_to_the_letter_and_never_shown_by_a_browser(
    office: Office, till: Channel
) -> None:
    body = b'<html><script>alert(1)</script>{"a": 496800.00}\xff'
    number = take(office, till, "odd", body)
    answer = office.desk("viewer").get(f"./deliveries/{number}/body")
    assert answer.data == body
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="delivery-{number}.bin"'
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = office.desk("viewer").get(f"./deliveries/{number}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    "body", [b"", b"\x00\x01", b'"\\ud800"', b"[" * 50_000, json.dumps({"a": "\u202e"}).encode()]
)
def test_any_body_has_a_page(office: Office, till: Channel, body: bytes) -> None:
    number = take(office, till, "odd", body)
    assert office.desk("viewer").get(f"./deliveries/{number}").status_code == 200


def test_no_signature_and_no_secret_is_on_the_page(office: Office, till: Channel) -> None:
    secret = signed.SETTINGS["generic_pos"]["webhook_secret"]
    number = take(
        office, till, "s", signed.till_sale(1, "0912345678"),
        **{"webhook-signature": "v1,SIGNATURE", "x-shopify-hmac-sha256": "SIGNATURE="},
    )  # fmt: skip
    work(office)
    with office.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE attempts SET exchanges = CAST(:e AS jsonb)"),
            {"e": json.dumps([{
                "method": "POST", "url": f"https://x/?consumer_secret=cs_1&s={secret}", "status": 200,
                "request": '{"access_token": "shpat_2"}', "response": f"said {secret}", "milliseconds": 1,
            }])},
        )  # fmt: skip
    page = office.desk("owner").get(f"./deliveries/{number}").text
    for hidden in ("SIGNATURE", "cs_1", "shpat_2", secret):
        assert hidden not in page
    assert "webhook-signature" in page


def test_another_programs_deliveries_are_not_there(office: Office) -> None:
    theirs = a_till(office, office.theirs)
    number = sale(office, theirs, 1)
    desk = office.desk("owner")
    for path in (f"./deliveries/{number}", f"./deliveries/{number}/body"):
        assert desk.get(path).status_code == 404
    assert desk.get(f"./deliveries?channel={theirs.public_id}").status_code == 404
    assert office.desk("owner", office.theirs).get(f"./deliveries/{number}").status_code == 200


# --- replays -------------------------------------------------------------------------------------


def planned(office: Office, **data: Any) -> str:
    answer = office.desk("support").post("./replays", data=data)
    assert answer.status_code == 303, answer.text
    return str(answer.location)


def test_a_dry_run_says_what_would_change_and_changes_nothing(office: Office, till: Channel) -> None:
    ids = [sale(office, till, n) for n in range(3)]
    park(office, *ids)
    page = office.desk("viewer").get(planned(office, which="selected", delivery=ids[:2])).text
    assert "2 messages. If replayed now: 2 would give 18 points to 1 member." in page
    assert rows(office, "SELECT 1 FROM entries") == []


def test_a_replay_is_done_once_however_often_the_button_is_pressed(
    office: Office, till: Channel
) -> None:
    number = sale(office, till, 1)
    park(office, number)
    there = planned(office, which="selected", delivery=[number])
    desk = office.desk("support")
    assert desk.post(f"{there}/start", {"pace": "20"}).status_code == 303
    work(office)
    again = desk.post(f"{there}/start", {"pace": "20"})
    assert again.status_code == 303
    work(office)
    replays.advance_all(office.runtime)
    replays.advance_all(office.runtime)
    page = desk.get(there).text
    assert "Nothing was changed" in page
    assert "Changed something 1" in page
    assert rows(office, "SELECT sum(amount) FROM entries") == [(9,)]
    (noted,) = rows(office, "SELECT actor, subject FROM audit WHERE action = 'deliveries.replayed'")
    assert noted.actor.startswith("user:")
    assert there.endswith(noted.subject)


def test_all_that_match_are_the_ones_the_list_counted(office: Office, till: Channel) -> None:
    ids = [sale(office, till, n) for n in range(5)]
    park(office, *ids[:4])
    desk = office.desk("support")
    listed = desk.get("./deliveries?state=person").text
    assert "Try out a replay of all 4" in listed
    (asked,) = re.findall(r'name="asked" value="([^"]+)"', listed)
    page = desk.get(planned(office, which="all", asked=asked)).text
    assert "Replay 4 messages" in page


def test_messages_of_another_program_are_left_out_of_a_set(office: Office, till: Channel) -> None:
    theirs = sale(office, a_till(office, office.theirs), 1)
    answer = office.desk("support").post("./replays", {"which": "selected", "delivery": str(theirs)})
    assert answer.location.endswith("/deliveries")
    assert rows(office, "SELECT 1 FROM replays") == []


def test_a_replay_of_another_program_is_not_there(office: Office, till: Channel) -> None:
    number = sale(office, till, 1)
    there = planned(office, which="selected", delivery=[number]).replace("/p/ours/", "/p/theirs/")
    desk = office.desk("owner", office.theirs)
    assert desk.get(there).status_code == 404
    for step in ("start", "pause", "stop", "rehearse"):
        assert desk.post(f"{there}/{step}").status_code == 404
    assert rows(office, "SELECT state FROM replays") == [("planned",)]


def test_it_is_paused_goes_on_and_stops_by_buttons(office: Office, till: Channel) -> None:
    ids = [sale(office, till, n) for n in range(30)]
    park(office, *ids)
    there = planned(office, which="selected", delivery=ids)
    desk = office.desk("support")
    desk.post(f"{there}/start", {"pace": "5"})
    assert "Pause" in desk.get(there).text
    desk.post(f"{there}/pause")
    assert "Go on with 25 messages" in desk.get(there).text
    desk.post(f"{there}/stop")
    page = desk.get(there).text
    assert "Stopped: 0 of 30 have ended." in page
    assert "Not replayed 25" in page


def test_replays_are_listed_with_who_began_them(office: Office, till: Channel) -> None:
    number = sale(office, till, 1)
    planned(office, which="selected", delivery=[number])
    page = office.desk("viewer").get("./replays").text
    assert "Support" in page
    assert "1 message" in page


def test_whoever_only_looks_is_offered_no_button(office: Office, till: Channel) -> None:
    number = sale(office, till, 1)
    park(office, number)
    there = planned(office, which="selected", delivery=[number])
    for role in ("viewer", "marketing"):
        desk = office.desk(role)
        for path in ("./deliveries", f"./deliveries/{number}", there):
            page = desk.get(path).text
            assert "Try out a replay" not in page
            assert "Replay 1 message" not in page


# --- quarantine ----------------------------------------------------------------------------------


def hold(office: Office, channel: Channel, key: str, body: bytes, **headers: str) -> None:
    from hub.errors import BadSignature

    given = {"webhook-id": key, **headers}
    inbound = Inbound("hub.sale/1", given, body, office.runtime.clock())
    with office.runtime.sessions.begin() as session:
        receive.quarantine(
            session, office.runtime, channel, inbound, BadSignature("bad_signature", "does not fit")
        )


def test_quarantine_says_why_and_shows_no_signature(office: Office, till: Channel) -> None:
    hold(office, till, "x", b"<script>alert(1)</script>", **{"webhook-signature": "v1,SIGNATURE"})
    page = office.desk("viewer").get("./quarantine").text
    assert "The message has no webhook-timestamp" in page
    assert "SIGNATURE" not in page
    assert "<script>alert" not in page
    assert "Verify" not in page


def test_what_verifies_enters_and_what_does_not_says_why(office: Office, till: Channel) -> None:
    good = signed.till_sale(1, "0912345678", 90_000)
    sent = {k.lower(): v for k, v in signed.headers("generic_pos", good, "msg_1").items()}
    hold(
        office,
        till,
        key="msg_1",
        body=good,
        **{k: v for k, v in sent.items() if k != "webhook-id"},
    )
    hold(office, till, "bad", b"{}")
    desk = office.desk("support")
    assert "1 of 2 verify now." in desk.get("./quarantine").text
    channel = desk.get(f"./channels/{till.public_id}").text
    assert "2 messages of this channel are in quarantine;" in channel
    assert "1 verifies with the settings it has now." in channel
    answer = desk.post("./quarantine/verify", {"channel": till.public_id, "which": "all"})
    assert answer.status_code == 303
    page = desk.get("./quarantine").text
    assert "1 message has entered the inbox." in page
    assert "1 message still does not verify:" in page
    work(office)
    assert rows(office, "SELECT sum(amount) FROM entries") == [(9,)]


def test_quarantine_of_another_program_is_not_there(office: Office) -> None:
    theirs = a_till(office, office.theirs)
    hold(office, theirs, "x", b"{}")
    desk = office.desk("owner")
    assert desk.get("./quarantine/1/body").status_code == 404
    answer = desk.post("./quarantine/verify", {"channel": theirs.public_id, "which": "all"})
    assert answer.status_code == 404
    assert "Nothing is in quarantine" in desk.get("./quarantine").text
    assert office.desk("viewer", office.theirs).get("./quarantine/1/body").data == b"{}"
