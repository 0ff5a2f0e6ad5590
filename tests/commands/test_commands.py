"""A merchant's day on the command line: a programme, a till, a member, a reward, a replay."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from connectors.generic_pos.sandbox import TillSandbox
from tests.commands.conftest import Command
from tests.hubs import Hub, Running

RULES = """
[earn]
per = { VND = "10000" }

[[rewards]]
id = "coffee"
name = "Coffee"
cost = 5
amount = { VND = "35000" }
"""


@pytest.fixture
def till(hub: Hub) -> Iterator[str]:
    sandbox = TillSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address, "Till")
        yield address


def sell(till: str, price: str = "90000") -> None:
    wish = {
        "customer": {"name": "Ann", "phone": "0912345678"},
        "lines": [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": price}],
    }
    assert requests.post(f"{till}/_sandbox/sales", json=wish, timeout=10).ok


def test_a_programme_is_made_shown_and_given_new_rules(run: Command, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    made = run("program", "add", "shop", "--rules", str(rules))
    assert [p["slug"] for p in run("program", "list")] == ["corner", "shop"]
    run("program", "check", str(rules), as_json=False)
    assert run("program", "apply", str(rules), "-p", "shop")[0]["version"] == 2
    assert [v["number"] for v in run("program", "show", "-p", made[0]["id"])] == [1, 2]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ('[earn]\nper = { VND = "0" }', 'earn.per.VND: "0" must be more than 0'),
        ('[earn]\nper = { XXX = "1" }', "no ISO 4217 currency"),
        ('[earn]\nper = { VND = "10.5" }', "earn.per: the amount is 10.5, but VND has 0 decimals"),
        ('[earn]\nper = { VND = "1" }\nrate = 3', "earn.rate: Unknown field."),
        ("[earn", "rules.toml"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_by_path(
    run: Command, tmp_path: Path, rules: str, said: str
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(rules)
    assert said in run("program", "check", str(file), code=1, as_json=False)[0]["said"]


def test_rules_cannot_take_effect_in_the_past(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    said = run("program", "apply", str(file), "--from", "2020-01-01", code=1)[0]["said"]
    assert "cannot take effect in the past" in said


def test_members_are_found_adjusted_and_merged(run: Command, hub: Hub, till: str) -> None:
    sell(till)
    hub.work()
    (ann,) = run("member", "find", "(+84) 912 345 678")
    assert (ann["balance"], ann["available"]) == (9, 9)
    run("member", "adjust", ann["id"], "6", "--reason", "sorry", "--key", "k1")
    again = run("member", "adjust", ann["id"], "6", "--reason", "sorry", "--key", "k1")
    assert (again[0]["balance"], again[0]["repeated"]) == (15, True)
    said = run("member", "adjust", ann["id"], "7", "--reason", "x", "--key", "k1", code=1)[0]["said"]
    assert "used for another" in said
    said = run(
        "member", "adjust", ann["id"], "--reason", "x", "--json", "--", "-99", code=1, as_json=False
    )
    assert "only 15 points are available" in said[0]["said"]
    assert "no member is known" in run("member", "show", "0999999999", code=1)[0]["said"]
    hub.assert_clean()


def test_a_reward_is_redeemed_once_for_a_key(run: Command, hub: Hub, till: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    run("program", "apply", str(rules))
    sell(till)
    hub.work()
    first = run("redeem", "0912345678", "coffee", "--key", "a")[0]
    again = run("redeem", "0912345678", "coffee", "--key", "a")[0]
    assert (again["code"], first["repeated"], again["repeated"]) == (first["code"], False, True)
    assert "4 are available" in run("redeem", "0912345678", "coffee", code=1)[0]["said"]
    assert "there are: coffee" in run("redeem", "0912345678", "tea", code=1)[0]["said"]
    hub.work()
    assert {
        c["code"]: c["active"] for c in requests.get(f"{till}/_sandbox/codes", timeout=10).json()
    } == {first["code"]: True}


def test_a_failed_push_is_seen_replayed_and_goes_out(
    run: Command, hub: Hub, till: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    run("program", "apply", str(rules))
    sell(till)
    hub.work()
    requests.post(f"{till}/_sandbox/faults", json={"fault": "refuse_code", "times": 1}, timeout=10)
    code = run("redeem", "0912345678", "coffee")[0]["code"]
    hub.work()
    (failed,) = run("deliveries", "--state", "failed")
    assert failed["topic"] == "create_code"
    shown = run("deliveries", str(failed["id"]))
    assert (shown[0]["state"], shown[1]["number"]) == ("failed", 1)
    assert run("replay", str(failed["id"]), "999999")[0]["replayed"] == 1
    hub.work()
    assert run("deliveries", "--state", "failed") == []
    assert [c["code"] for c in requests.get(f"{till}/_sandbox/codes", timeout=10).json()] == [code]
    actions = [row.action for row in hub.rows("SELECT action FROM audit ORDER BY id")]
    assert "deliveries.replayed" in actions


def test_the_ledger_verifies_and_names_what_was_tampered_with(
    run: Command, hub: Hub, till: str, owner: Any
) -> None:
    sell(till)
    hub.work()
    assert run("ledger", "verify")[0] == {"accounts": 1, "entries": 1, "clean": True}
    with owner.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE entries DISABLE TRIGGER entries_append_only")
        connection.exec_driver_sql("UPDATE entries SET amount = 10, balance_after = 10")
        connection.exec_driver_sql("ALTER TABLE entries ENABLE TRIGGER entries_append_only")
    assert "the row was changed" in run("ledger", "verify", code=1)[0]["said"]


def test_channels_are_listed_paused_and_resumed(run: Command, hub: Hub, till: str) -> None:
    (channel,) = run("channel", "list")
    assert (channel["kind"], channel["status"], channel["health"]) == ("generic_pos", "active", "well")
    assert run("channel", "pause", channel["id"]) == [{"id": channel["id"], "status": "paused"}]
    sell(till)
    hub.work()
    assert run("channel", "list")[0]["due"] == 1
    run("channel", "resume", channel["id"], as_json=False)
    hub.work()
    assert run("channel", "list")[0]["due"] == 0


def test_an_order_is_found_with_and_without_the_sign_before_its_number(
    run: Command, hub: Hub, till: str
) -> None:
    sell(till)
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE deliveries SET number = '#1001' WHERE direction = 'inbound'"))
    for number in ("1001", "#1001"):
        assert [d["number"] for d in run("deliveries", "--number", number)] == ["#1001"]
    assert run("deliveries", "--number", "100") == []


def test_a_wrong_secret_is_seen_put_right_and_the_next_sale_counts(
    run: Command, hub: Hub, till: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.sync.receive._CACHE_SECONDS", 0)
    (channel,) = run("channel", "list")
    other = "whsec_" + base64.b64encode(b"known to nobody" * 2).decode()
    run("channel", "set", channel["id"], "--set", f"webhook_secret={other}")
    sell(till)
    (refusing,) = run("channel", "list")
    assert refusing["refused"] == 1
    assert refusing["webhook"] == channel["webhook"]
    secret = TillSandbox().settings()["webhook_secret"]
    run("channel", "set", channel["id"], "--set", f"webhook_secret={secret}")
    sell(till)
    hub.work()
    assert hub.balance(phone="+84912345678") == 9
    assert "name what to change" in run("channel", "set", channel["id"], code=2)[0]["said"]


def test_several_programmes_must_be_named(run: Command) -> None:
    run("program", "add", "other")
    assert "name one with --program: corner, other" in run("member", "find", "x", code=1)[0]["said"]


def test_a_dry_run_says_what_a_replay_would_change_and_changes_nothing(
    run: Command, hub: Hub, till: str
) -> None:
    sell(till)
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE deliveries SET state = 'parked', code = 'unexpected', fault = 'hub'")
        )
    said = run("replay", "--failed", "--dry-run", as_json=False)[0]["said"]
    assert said == "1 message. If replayed now: 1 would give 9 points to 1 member.\n"
    (summary,) = run("replay", "--failed", "--dry-run")
    assert (summary["given"], summary["given_to"], summary["changes"]) == (9, 1, 1)
    assert hub.rows("SELECT 1 FROM entries") == []
    assert run("replay", "--failed", "--code", "other")[0]["replayed"] == 0
    assert run("replay", "--failed", "--code", "unexpected")[0]["replayed"] == 1
    hub.work()
    assert hub.balance(phone="+84912345678") == 9
    assert "go with --failed" in run("replay", "1", "--code", "x", code=2)[0]["said"]
    assert "there is no channel" in run("replay", "--failed", "--channel", "x", code=1)[0]["said"]


def test_messages_are_found_by_code_channel_and_any_scrap(run: Command, hub: Hub, till: str) -> None:
    sell(till)
    hub.work()
    (channel,) = run("channel", "list")
    (sale,) = run("deliveries", "--direction", "inbound")
    for words in (("--text", "0912 345 678"), ("--text", sale["number"]), ("--channel", channel["id"])):
        assert sale["id"] in [d["id"] for d in run("deliveries", *words)], words
    assert run("deliveries", "--code", "nothing") == run("deliveries", "--text", "nobody knows") == []
    assert "there is no channel" in run("deliveries", "--channel", "x", code=1)[0]["said"]


def test_a_channel_is_disconnected_only_when_that_is_meant(run: Command, hub: Hub) -> None:
    settings = {"webhook_secret": "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"}
    channel = hub.add_channel("generic_pos", settings, "Left till")
    (refused,) = run("channel", "disconnect", channel.public_id, code=1)
    assert "cannot be connected again" in refused["said"]
    assert hub.rows("SELECT status FROM channels WHERE name = 'Left till'")[0].status == "active"
    run("channel", "disconnect", channel.public_id, "--yes")
    assert hub.rows("SELECT status FROM channels WHERE name = 'Left till'")[0].status == "disconnected"
    (again,) = run("channel", "resume", channel.public_id, code=1)
    assert "disconnected" in again["said"]
