"""`hub simulate`: the terminal's way to the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from hub.cli import main
from tests import signed
from tests.hubs import Hub, running_hub

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "A coffee", "cost": 50, "perk": "A coffee"}],
}
Say = Callable[..., str]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
        content = signed.till_sale(7, "0912345678", 200_000)
        headers = signed.headers("generic_pos", content, "msg-7")
        assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
        hub.work()
        yield hub


@pytest.fixture
def say(hub: Hub, capsys: pytest.CaptureFixture[str]) -> Say:
    def say(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["simulate", *words])
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err
        return shown.out + shown.err

    return say


def test_an_order_by_a_draft(say: Say, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text('[earn]\npoints = 3\nper = { VND = "10000" }\n')
    told = json.loads(say("7", "--rules", str(draft), "--json"))
    assert (told["points"], told["change"], told["version"]) == (60, 40, None)
    shown = say("7")
    assert "₫200,000 give 20" in shown
    assert "20 → 20" in shown
    assert "30 points short of “A coffee”" in shown


def test_a_cart_of_a_member_found_by_phone(say: Say, tmp_path: Path) -> None:
    cart = tmp_path / "cart.json"
    cart.write_text(json.dumps({"currency": "VND", "lines": [{"net": 100_000}]}))
    told = json.loads(say("--cart", str(cart), "--member", "0912 345 678", "--json"))
    assert (told["change"], told["after"]["balance"]) == (10, 30)


def test_what_is_wrong_is_said(say: Say, tmp_path: Path) -> None:
    assert "name an order, or a cart" in say(code=2)
    assert "names no one order" in say("nothing", code=1)
    cart = tmp_path / "cart.json"
    cart.write_text('{"currency": "VND", "lines": [{"net": "a lot"}]}')
    assert "cart.lines[0].net" in say("--cart", str(cart), code=1)
