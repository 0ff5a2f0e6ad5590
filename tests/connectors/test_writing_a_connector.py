"""docs/writing-a-connector.md, followed to the letter: the code on the page becomes a channel of a hub."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from hub.connector import OPTIONAL, Connector
from hub.registry import connector_class
from hub.settings import load
from hub.sync import asking, reconcile, watch
from tests.hubs import Hub, running_hub

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-connector.md").read_text(encoding="utf-8")
TOKEN, SECRET = "t0ken-of-acme", "s3cret-of-acme"


def written(folder: Path) -> dict[str, str]:
    """The files of the page, as it names them."""
    found = re.findall(r"^```python file=(\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for name, text in found:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return dict(found)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The setting of the page, with the folder where Python finds it."""
    written(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    toml = re.search(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert toml is not None
    config = tmp_path / "hub.toml"
    config.write_text(toml[1], encoding="utf-8")
    yield dict(load({"HUB_CONFIG": str(config)}).connectors)
    for name in [n for n in sys.modules if n.partition(".")[0] == "acme"]:
        del sys.modules[name]


@pytest.fixture
def acme(setting: dict[str, str]) -> type[Connector]:
    return connector_class("acme", setting)


class Acme(HTTPServer):
    """The platform as the page describes it."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.hooks: list[str] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.answer(self, None)

            def do_POST(self) -> None:
                shop.answer(self, json.loads(self.rfile.read(int(self.headers["content-length"]))))

            def log_request(self, *_what: Any) -> None:
                """Nothing on the terminal."""

        super().__init__(("127.0.0.1", 0), Handler)

    def answer(self, request: BaseHTTPRequestHandler, wish: Any) -> None:
        parts = urlsplit(request.path)
        known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        content = self.content(parts.path, parse_qs(parts.query), wish) if known else {}
        body = json.dumps(content).encode()
        request.send_response(200 if known else 401)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def content(self, path: str, query: dict[str, list[str]], wish: Any) -> Any:
        if path == "/hooks":
            if wish:
                self.hooks.append(wish["url"])
            return self.hooks
        if path == "/orders":
            (since,), (after,) = query["changed_since"], query["after"]
            wanted = [
                o
                for n, o in sorted(self.orders.items())
                if n > int(after) and o["changed"] >= since[:19]
            ]
            return wanted[:50]
        return self.orders[int(path.rpartition("/")[2])]

    def sell(self, number: int, **change: Any) -> dict[str, Any]:
        order = {
            "number": number, "revision": 1, "status": "paid", "currency": "VND", "phone": "0912345678",
            "placed": "2026-11-02T12:00:00+00:00", "changed": "2999-01-01T00:00:00+00:00",
            "lines": [{"sku": "TEA", "quantity": 1, "total": "50000"}], **change,
        }  # fmt: skip
        self.orders[number] = order
        return order

    def tell(self, number: int, event: str, secret: str = SECRET) -> int:
        body = json.dumps({"event": "order.changed", "order": self.orders[number]}).encode()
        headers = {
            "X-Acme-Topic": "order.changed", "X-Acme-Event": event,
            "X-Acme-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }  # fmt: skip
        return requests.post(self.hooks[0], data=body, headers=headers, timeout=10).status_code


@pytest.fixture
def shop() -> Iterator[Acme]:
    with Acme() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path, setting: dict[str, str]) -> Iterator[Hub]:
    document = {"earn": {"points": 1, "per": {"VND": "1000"}}}
    with running_hub(database, redis_url, tmp_path, document=document) as hub:
        hub.runtime.settings = replace(hub.runtime.settings, connectors=setting, public_url=hub.url)
        yield hub


def test_what_it_can_do_is_what_the_page_says(acme: type[Connector]) -> None:
    said = re.search(r"^`AcmeConnector\.capabilities\(\)` is (.*?)\.", PAGE, re.MULTILINE)
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) == acme.capabilities()


def test_the_page_names_every_method_that_may_be_left_out() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(OPTIONAL)


def test_every_code_of_it_has_words(acme: type[Connector], tmp_path: Path) -> None:
    source = written(tmp_path / "again")["acme/connector.py"]
    codes = re.findall(r'(?:Misconfigured|BadSignature|Ignored|Health)\((?:\w+, )?"(\w+)"', source)
    assert len(codes) >= 5
    assert set(codes) <= set(acme.words)


def test_the_shop_is_subscribed_to_heard_asked_and_watched(hub: Hub, shop: Acme) -> None:
    settings = {
        "shop_url": f"http://127.0.0.1:{shop.server_port}",
        "token": TOKEN,
        "webhook_secret": SECRET,
    }
    channel = hub.add_channel("acme", settings, "Acme")
    assert watch.install(hub.runtime, channel, actor="test").made == ("order.changed",)
    assert watch.install(hub.runtime, channel, actor="test").made == ()
    assert len(shop.hooks) == 1

    shop.sell(1)
    assert [shop.tell(1, "e1"), shop.tell(1, "e1"), shop.tell(1, "e2", secret="wrong")] == [
        200,
        200,
        401,
    ]
    hub.work()
    assert hub.balance(phone="+84912345678") == 50

    for number in range(2, 63):
        shop.sell(number)
    assert reconcile.reconcile(hub.runtime, channel).found == 61
    hub.work()
    assert hub.balance(phone="+84912345678") == 62 * 50
    assert reconcile.reconcile(hub.runtime, channel).found == 0
    shop.sell(2, revision=2, status="cancelled")
    assert reconcile.reconcile(hub.runtime, channel).found == 1
    hub.work()
    assert hub.balance(phone="+84912345678") == 61 * 50
    hub.assert_clean()

    shop.hooks.clear()
    with hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE connections SET watch_at = now()")
    asking.tend(hub.runtime, channel.id)
    assert len(shop.hooks) == 1
    assert watch.watch(hub.runtime, channel).health.ok
