"""Channels without a browser: whose they are, what a form keeps, and what is written down."""

from __future__ import annotations

import json

import pytest

from hub.outbox import channels as store
from hub.outbox.channels import Channel
from tests.desks import Office
from tests.web.dashboard.conftest import SHOP


def now(office: Office, channel: Channel) -> tuple[str, dict[str, str], dict[str, str]]:
    """Its status, open settings and secrets as stored."""
    with office.runtime.sessions() as session:
        its = store.by_ids(session, [channel.id])[channel.id]
    return its.status, json.loads(its.settings), office.runtime.secrets.decrypt(its.secrets)


def test_another_programs_channel_is_neither_seen_nor_touched(office: Office, channel: Channel) -> None:
    """With its real id: it is answered like one that is nowhere."""
    stranger, tried = office.desk("owner", office.theirs), 0
    before = now(office, channel)
    for rule in office.app.url_map.iter_rules():
        if not rule.endpoint.startswith("dashboard.") or "channel" not in rule.arguments:
            continue
        path = rule.rule.replace("<program>", "theirs").replace("<channel>", channel.public_id)
        ask = stranger.get if "GET" in (rule.methods or ()) else stranger.post
        assert ask(path).status_code == 404, rule.rule
        tried += 1
    assert tried >= 8
    assert now(office, channel) == before
    assert "Shop" not in stranger.get("./channels").text


def test_an_empty_secret_keeps_the_stored_one_and_a_tick_forgets_it(
    office: Office, channel: Channel
) -> None:
    desk = office.desk("owner")
    path = f"./channels/{channel.public_id}/settings"
    page = desk.get(path).text
    assert [secret for secret in SHOP.values() if secret in page] == [SHOP["store_url"]]
    form = {
        "store_url": SHOP["store_url"],
        "consumer_key": "ck_new",
        "forget": "previous_webhook_secret",
    }
    assert desk.post(path, form).status_code == 303
    _, open_settings, secrets = now(office, channel)
    assert open_settings == {"store_url": SHOP["store_url"]}
    assert secrets == {
        "consumer_key": "ck_new",
        "consumer_secret": "cs_1",
        "webhook_secret": SHOP["webhook_secret"],
    }


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"store_url": "https://other.example.com"}, "A channel keeps its shop"),
        ({"store_url": "no address"}, "Enter the store&#39;s address"),
        ({"store_url": SHOP["store_url"], "consumer_key": "wrong"}, "A consumer key starts with ck_"),
    ],
)
def test_what_is_refused_is_said_and_nothing_changes(
    office: Office, channel: Channel, form: dict[str, str], said: str
) -> None:
    before = now(office, channel)
    answer = office.desk("owner").post(f"./channels/{channel.public_id}/settings", form)
    assert answer.status_code == 422
    assert said in answer.text
    assert now(office, channel) == before


def test_a_shop_that_is_connected_is_not_connected_twice(office: Office, channel: Channel) -> None:
    answer = office.desk("owner").post("./channel-kinds/woocommerce", {**SHOP, "name": "Again"})
    assert answer.status_code == 422
    assert "This shop is connected already." in answer.text
    assert "s3cret-of-the-shop" in answer.text, (
        "a secret the hub suggested may stand in the till already"
    )
    assert "cs_1" not in answer.text


def test_each_deed_is_written_down_with_who_did_it(office: Office, channel: Channel) -> None:
    desk = office.desk("owner")
    statuses = []
    for deed in ("pause", "resume", "disconnect"):
        assert desk.post(f"./channels/{channel.public_id}/{deed}").status_code == 303
        with office.runtime.sessions() as session:
            statuses.append(store.by_ids(session, [channel.id])[channel.id].status)
    assert statuses == ["paused", "active", "disconnected"]
    with office.runtime.sessions() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT action, actor FROM audit WHERE subject = %s AND actor <> 'test' ORDER BY id",
            (channel.public_id,),
        )
        assert [(r.action, r.actor.split("_")[0]) for r in rows] == [
            (f"channel.{status}", "user:usr") for status in statuses
        ]
    assert desk.get(f"./channels/{channel.public_id}").status_code == 200, "what was can be looked at"
    assert desk.post(f"./channels/{channel.public_id}/resume").status_code == 404, "and not brought back"


@pytest.mark.parametrize("name", ["", "   ", "a\x00b"])
def test_odd_names_are_no_error_of_ours(office: Office, name: str) -> None:
    answer = office.desk("owner").post(
        "./channel-kinds/generic_pos", {"name": name, "webhook_secret": "x\x00"}
    )
    assert answer.status_code == 422


def test_a_kind_that_there_is_not_is_not_there(office: Office) -> None:
    desk = office.desk("owner")
    assert desk.get("./channel-kinds/magento").status_code == 404
    assert desk.post("./channel-kinds/magento").status_code == 404
