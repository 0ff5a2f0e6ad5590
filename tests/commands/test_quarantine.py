"""`hub quarantine` on the command line."""

from __future__ import annotations

import base64
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

OTHER = "whsec_" + base64.b64encode(b"mistyped by somebody, 32 bytes..").decode()
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("hub.sync.receive._CACHE_SECONDS", 0)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    channel = hub.add_channel("generic_pos", {"webhook_secret": OTHER}, "Till")
    for number in range(2):
        body = signed.till_sale(number, "0912345678", 90_000)
        headers = signed.headers(channel.kind, body, f"msg_{number}")
        assert (
            requests.post(hub.webhook(channel), data=body, headers=headers, timeout=9).status_code == 401
        )
    return channel


@pytest.fixture
def run(hub: Hub, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, code: int = 0) -> list[dict[str, Any]]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err + shown.out
        if code:
            return [{"said": shown.err}]
        return [json.loads(line) for line in shown.out.splitlines()]

    return run


def test_what_was_refused_is_listed_with_its_reason_and_comes_in_once_the_secret_is_right(
    run: Run, hub: Hub, till: Channel
) -> None:
    listed = run("quarantine", "list")
    assert [(row["ending"], row["code"]) for row in listed] == [("refused", "bad_signature")] * 2
    assert listed[0]["what"].startswith("No signature of the message fits")
    assert listed[0]["body"].startswith('{"type": "hub.sale/1"')
    assert [row["ending"] for row in run("quarantine", "verify", str(listed[0]["id"]))] == ["refused"]
    secret = signed.SETTINGS["generic_pos"]["webhook_secret"]
    run("channel", "set", till.public_id, "--set", f"webhook_secret={secret}")
    assert [row["ending"] for row in run("quarantine", "list")] == ["would_enter"] * 2
    one, two = sorted(row["id"] for row in listed)
    assert [row["ending"] for row in run("quarantine", "verify", str(one))] == ["enters"]
    assert [row["id"] for row in run("quarantine", "verify", "--channel", till.public_id)] == [two]
    assert run("quarantine", "list") == run("quarantine", "verify", "--all") == []
    hub.work()
    assert hub.balance(phone="+84912345678") == 18


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("--all", "--channel", "x")])
def test_what_is_to_be_verified_must_be_said(run: Run, words: tuple[str, ...]) -> None:
    assert "name messages" in run("quarantine", "verify", *words, code=2)[0]["said"]


def test_a_channel_nobody_knows_is_refused(run: Run) -> None:
    assert "there is no channel 'x'" in run("quarantine", "list", "--channel", "x", code=1)[0]["said"]
