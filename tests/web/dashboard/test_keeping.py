"""The connection on a channel's page: what asking found, having it asked, and what needs a look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub import alerts
from hub.bulk import run
from hub.outbox import connections
from hub.outbox.channels import Channel
from hub.sync import watch
from tests.desks import Office


def kept(office: Office, channel: Channel) -> connections.Connection:
    with office.runtime.sessions() as session:
        found = connections.of_channel(session, channel.id)
    assert found is not None
    return found


def test_the_page_says_when_it_was_asked_and_what_no_message_had_told(
    office: Office, channel: Channel
) -> None:
    path = f"./channels/{channel.public_id}"
    assert "It has not been asked yet" in office.desk("owner").get(path).text
    with office.runtime.sessions.begin() as session:
        connections.ensure(session, channel.id)
        run(
            session,
            """UPDATE connections SET asked_at = :at, upto = :at, last_found = 2, missed = 7 WHERE channel_id = :id""",
            {"at": datetime.now(UTC) - timedelta(minutes=4), "id": channel.id},
        )
    page = office.desk("owner").get(path).text
    assert "Asked 4 minutes ago" in page
    assert "2 messages were news." in page
    assert "7 changes that no message had told of" in page
    assert "Have the hub subscribe" in page


def test_having_it_asked_makes_it_due_and_waits_for_nothing(office: Office, channel: Channel) -> None:
    with office.runtime.sessions.begin() as session:
        connections.ensure(session, channel.id)
        later = datetime.now(UTC) + timedelta(hours=5)
        run(session, "UPDATE connections SET ask_at = :later, watch_at = :later", {"later": later})
    answer = office.desk("owner").post(f"./channels/{channel.public_id}/ask")
    assert answer.status_code == 303
    assert kept(office, channel).ask_at <= datetime.now(UTC)


def test_who_may_only_look_has_nothing_asked(office: Office, channel: Channel) -> None:
    staff = office.desk("viewer")
    assert "Ask the shop now" not in staff.get(f"./channels/{channel.public_id}").text
    for deed in ("ask", "subscribe"):
        assert staff.post(f"./channels/{channel.public_id}/{deed}").status_code == 403


def test_what_is_wrong_with_a_connection_stands_on_home_and_on_its_page(
    office: Office, channel: Channel
) -> None:
    detail = {"channel": "Shop", "kind": "woocommerce", "code": "webhook_off", "why": "order.updated"}
    with office.runtime.sessions.begin() as session:
        alerts.tell(
            session, office.ours.id, watch.ILL, channel.public_id, detail, office.runtime.clock()
        )
    said = "Shop: WooCommerce switched a webhook off; switch it on again."
    for path in ("./", f"./channels/{channel.public_id}"):
        page = office.desk("owner").get(path).text
        assert said in page
    assert "1 connection needs a look." in office.desk("owner").get("./").text
