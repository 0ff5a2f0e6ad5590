"""`hub sale` and finding members: the story of an order, from whatever scrap a customer has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.cli import main
from hub.outbox.channels import Channel
from tests import signed
from tests.hubs import Hub, running_hub

Tell = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    channel = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    for number, phone in ((1001, "0912345678"), (1002, ""), (1003, "0912345678")):
        body = json.loads(signed.till_sale(number, phone, 10_000 * number))
        if not phone:
            del body["customer"]
        content = json.dumps(body).encode()
        headers = signed.headers("generic_pos", content, f"msg-{number}")
        assert requests.post(hub.webhook(channel), data=content, headers=headers, timeout=10).ok
    content = json.dumps({"type": "hub.sale/1", "number": "1004", "id": "x"}).encode()
    headers = signed.headers("generic_pos", content, "msg-4")
    assert requests.post(hub.webhook(channel), data=content, headers=headers, timeout=10).ok
    hub.work()
    return channel


@pytest.fixture
def tell(
    hub: Hub, database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tell:  # fmt: skip
    """The JSON lines of one command; with `code` what it refused with."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))

    def tell(*words: str, code: int = 0, as_json: bool = True) -> list[dict[str, Any]]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"] if as_json else [*words])
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err
        if code or not as_json:
            return [{"said": shown.err + shown.out}]
        return [json.loads(line) for line in shown.out.splitlines()]

    return tell


def test_an_order_is_told_by_its_number_and_by_its_amount(till: Channel, tell: Tell) -> None:
    by_number = tell("sale", "#1001")
    assert by_number == tell("sale", "10.010.000 đ")
    head, *steps = by_number
    assert (head["number"], head["points"], head["channel"]) == ("1001", 1001, "Till")
    assert [step["what"] for step in steps][:3] == ["received", "understood", "posted"]


def test_a_guests_order_says_what_to_do(till: Channel, tell: Tell) -> None:
    head = tell("sale", "1002")[0]
    assert head["what"].endswith("Enter a phone to give the 1,002 points to a member.")


def test_a_customer_with_several_orders_gets_a_list(till: Channel, tell: Tell) -> None:
    rows = tell("sale", "0912 345 678")
    assert [row["number"] for row in rows] == ["1003", "1001"]


def test_a_message_that_failed_is_found_by_the_number_it_is_about(till: Channel, tell: Tell) -> None:
    (row,) = tell("sale", "1004")
    assert (row["number"], row["state"]) == ("1004", "failed")
    assert row["what"] == "A field of the message is missing or not as it must be."


def test_what_nobody_knows_is_said(till: Channel, tell: Tell) -> None:
    assert "no order is known as '4711'" in tell("sale", "4711", code=1)[0]["said"]


def test_a_member_is_found_by_phone_and_order_and_has_lots(till: Channel, tell: Tell) -> None:
    for words in ("+84 912 345 678", "5678", "1001"):
        assert [m["balance"] for m in tell("member", "find", words)] == [2004]
    assert [lot["number"] for lot in tell("member", "lots", "0912345678")] == ["1001", "1003"]


def test_a_cut_list_of_movements_says_so(
    till: Channel, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.commands.member.SHOWN", 1)
    said = tell("member", "show", "0912345678", as_json=False)[0]["said"]
    assert "1 of 2 movements; --all shows all." in said
    assert len(tell("member", "show", "0912345678", "--all")) == 3


def test_the_programme_may_be_named_by_the_environment(
    till: Channel, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_PROGRAM", "nowhere")
    assert "there is no programme 'nowhere'" in tell("sale", "1001", code=1)[0]["said"]
    monkeypatch.setenv("HUB_PROGRAM", "corner")
    assert tell("sale", "1001")
