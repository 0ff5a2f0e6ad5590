"""Connections in trouble, end to end: the hub away, storms of refusals, slow shops, subscriptions gone. Afterwards
everything that happened in the shop is in the books once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
import requests
from sqlalchemy import text
from werkzeug.serving import make_server

from connectors.sandbox_kit import Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub import alerts, webhook_secrets
from hub.app import create_app
from hub.http import Http
from hub.outbox.channels import Channel, by_ids
from hub.sync import asking, process, quarantine, reconcile, watch
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {"earn": {"points": 1, "per": {"USD": "1"}}}
ANN = {"name": "Ann", "phone": "+84912345678", "email": "ann@example.com"}


@dataclass
class Road:
    """What lies between the shop and the hub; it can be closed, as when the hub is away."""

    hub: Hub
    closed: bool = False
    address: str = ""

    @contextmanager
    def open(self) -> Iterator[str]:
        app = create_app(self.hub.runtime.settings, self.hub.runtime)

        def pass_(environ: WSGIEnvironment, start: StartResponse) -> Any:
            if self.closed:
                start("502 Bad Gateway", [("Content-Length", "0")])
                return []
            return app(environ, start)

        server = make_server("127.0.0.1", 0, pass_, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_port}"
        yield self.address
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass
class Shop:
    """A shop that the hub has subscribed to by itself, and what happened in it."""

    hub: Hub
    sandbox: Sandbox
    channel: Channel
    url: str
    road: Road
    expected: int = 0
    orders: list[str] = field(default_factory=list)

    def buy(self, price: int = 50) -> str:
        line = {"sku": f"S{price}", "name": "Thing", "quantity": 1, "price": f"{price}.00"}
        wish = {"customer": ANN, "lines": [line], "currency": "USD", "state": "paid"}
        answer = requests.post(f"{self.url}/_sandbox/sales", json=wish, timeout=20)
        answer.raise_for_status()
        self.expected += price
        self.orders.append(str(answer.json()["external_id"]))
        return self.orders[-1]

    def refund(self, order: str, amount: int) -> None:
        wish = {"amount": f"{amount}.00"}
        answer = requests.post(f"{self.url}/_sandbox/sales/{order}/refund", json=wish, timeout=20)
        answer.raise_for_status()
        self.expected -= amount

    def fault(self, name: str, **options: Any) -> None:
        wish = {"fault": name, **options}
        requests.post(f"{self.url}/_sandbox/faults", json=wish, timeout=10).raise_for_status()

    def well_again(self) -> None:
        requests.delete(f"{self.url}/_sandbox/faults", timeout=10).raise_for_status()

    def time_passes(self) -> None:
        """What was put off is due: pauses are over, retries have come, the shop is looked at and asked."""
        with self.hub.runtime.sessions.begin() as session:
            session.execute(text("UPDATE channels SET down_until = now() - interval '1 second'"))
            session.execute(text("UPDATE deliveries SET due_at = now() WHERE state = 'due'"))
            session.execute(
                text("UPDATE connections SET ask_at = now(), watch_at = now(), reread_at = now()")
            )

    def live(self, rounds: int = 3) -> None:
        """So many rounds of the sweeper and the workers, each after some time."""
        for _ in range(rounds):
            self.time_passes()
            asker = asking.Asker(self.hub.runtime)
            asker.once()
            asker.wait()
            self.hub.work()

    def check(self) -> None:
        """The books say what happened, to the point, and asking once more finds nothing."""
        assert self.hub.balance(phone="+84912345678") == self.expected
        assert len(self.hub.rows("SELECT 1 FROM transactions")) == len(self.orders)
        entries = self.hub.rows("SELECT id FROM entries ORDER BY id")
        found = self.hub.rows("SELECT found FROM connections")
        self.live(1)
        assert self.hub.rows("SELECT id FROM entries ORDER BY id") == entries
        assert self.hub.rows("SELECT found FROM connections") == found
        bad = "SELECT topic, code FROM deliveries WHERE state IN ('failed', 'parked', 'waiting')"
        assert self.hub.rows(bad) == []
        self.hub.assert_clean()

    def kinds(self) -> set[str]:
        """Of the alerts that are open."""
        with self.hub.runtime.sessions() as session:
            return {alert.kind for alert in alerts.unsettled(session, self.hub.program.id)}


@pytest.fixture(params=[WooCommerceSandbox, ShopifySandbox], ids=["woocommerce", "shopify"])
def shop(
    request: pytest.FixtureRequest, database: str, redis_url: str, tmp_path: Path
) -> Iterator[Shop]:
    sandbox: Sandbox = request.param(currency="USD")
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT, currency="USD") as hub:
        road = Road(hub)
        with road.open() as address, Running(sandbox) as url:
            hub.runtime.settings = replace(hub.runtime.settings, public_url=address)
            channel = hub.add_channel(sandbox.kind, sandbox.settings(), "Shop")
            watch.install(hub.runtime, channel, actor="test")
            yield Shop(hub, sandbox, channel, url, road)


def test_while_the_hub_is_away_nothing_is_lost_and_what_the_shop_gave_up_is_put_right(
    shop: Shop,
) -> None:
    """WooCommerce sends nothing twice and disables what fails seven times; Shopify deletes what fails eight times."""
    first = shop.buy(90)
    shop.live(1)
    shop.road.closed = True
    for price in range(20, 29):
        shop.buy(price)
    shop.refund(first, 30)
    shop.road.closed = False
    shop.live(2)
    shop.check()
    assert "channel_mended" in shop.kinds()
    polled = len(shop.hub.rows("SELECT 1 FROM deliveries WHERE source = 'poll'"))
    shop.buy(10)
    shop.hub.work()
    assert shop.hub.balance(phone="+84912345678") == shop.expected  # told by webhook again
    assert len(shop.hub.rows("SELECT 1 FROM deliveries WHERE source = 'poll'")) == polled


@pytest.mark.parametrize("fault", ["refusals", "errors", "garbage"])
def test_a_storm_of_refusals_delays_and_changes_nothing(
    shop: Shop, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.shopify.changes.time.sleep", lambda _seconds: None)
    woo = isinstance(shop.sandbox, WooCommerceSandbox)
    names = {
        "refusals": ("too_many_requests", {"retry_after": 1}) if woo else ("throttle", {"form": "429"}),
        "errors": ("server_error", {}),
        "garbage": ("captcha" if woo else "not_json", {}),
    }
    shop.road.closed = True
    orders = [shop.buy(price) for price in (40, 60, 80)]
    shop.road.closed = False
    name, options = names[fault]
    shop.fault(name, times=7, **options)
    shop.live(2)
    shop.refund(orders[0], 15)
    shop.live(4)
    shop.well_again()
    shop.live(3)
    shop.check()


def test_a_shop_that_drips_its_answers_is_given_up_and_asked_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = Http.request.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "deadline", 0.5)
    shop.road.closed = True
    shop.buy(70)
    shop.road.closed = False
    shop.fault("slow_drip", times=2, seconds=0.2)
    shop.live(1)
    (row,) = shop.hub.rows("SELECT down_code, down_count FROM channels")
    assert row.down_code == "timeout"
    monkeypatch.setitem(defaults, "deadline", 30.0)
    shop.well_again()
    shop.live(3)
    shop.check()


def test_an_answer_that_is_cut_off_after_the_write_is_not_written_twice(shop: Shop) -> None:
    """Balances are written to the shop; the connection drops after each write."""
    shop.fault("drop_after_write", times=3)
    shop.buy(30)
    shop.live(5)
    shop.well_again()
    shop.live(2)
    shop.check()
    shown = requests.get(f"{shop.url}/_sandbox/balances", timeout=10).json()
    assert set(shown.values()) <= {30}


def test_access_that_is_refused_at_any_step_loses_nothing(shop: Shop) -> None:
    """Shopify's token is dead before its time, and another is had; WooCommerce refuses its key for a moment."""
    name = "unauthorised" if isinstance(shop.sandbox, WooCommerceSandbox) else "token_expired"
    shop.buy(45)
    for price in (25, 35, 55):
        shop.road.closed = True
        order = shop.buy(price)
        shop.road.closed = False
        shop.fault(name, times=1)
        shop.live(2)
        assert name not in shop.sandbox._faults, "the hub met it"
    shop.refund(order, 5)
    shop.live(3)
    shop.check()


def signs_with(shop: Shop, secret: str) -> None:
    """The shop signs with this one from now on."""
    if isinstance(shop.sandbox, WooCommerceSandbox):
        for hook in shop.sandbox.webhooks.values():
            hook["secret"] = secret
    elif isinstance(shop.sandbox, ShopifySandbox):
        shop.sandbox.client_secret = secret


def hub_is_told(shop: Shop, secret: str) -> None:
    with shop.hub.runtime.sessions.begin() as session:
        webhook_secrets.change(session, shop.hub.runtime, shop.channel, secret, actor="test")
        shop.channel = by_ids(session, [shop.channel.id])[shop.channel.id]


def test_a_secret_is_rotated_and_nothing_is_lost_whoever_is_first(shop: Shop) -> None:
    """Told first, the hub takes both; told late, it keeps what it could not verify, and finds it by asking too:
    let in afterwards, that counts once."""
    shop.buy(20)
    shop.hub.work()
    hub_is_told(shop, "the-hub-was-first-0123456789")
    shop.buy(30)
    signs_with(shop, "the-hub-was-first-0123456789")
    shop.buy(40)
    shop.hub.work()
    assert shop.hub.balance(phone="+84912345678") == shop.expected
    signs_with(shop, "the-shop-was-first-0123456789")
    shop.buy(50)
    shop.hub.work()
    assert shop.hub.balance(phone="+84912345678") == shop.expected - 50
    held = len(shop.hub.rows("SELECT 1 FROM quarantine"))
    assert held > 0
    hub_is_told(shop, "the-shop-was-first-0123456789")
    shop.live(3)
    shop.check()
    with shop.hub.runtime.sessions.begin() as session:
        checked = quarantine.verify_again(session, shop.hub.runtime, shop.channel, actor="test")
    assert [one.ending for one in checked] == ["enters"] * held
    shop.live(1)
    shop.check()


def test_when_the_channel_was_down_one_call_finds_out_and_the_rest_waits(shop: Shop) -> None:
    """Half open: after the pause exactly one call goes out, fails, and doubles the pause."""
    shop.buy(30)
    shop.live(1)
    shop.fault("server_error", times=None)
    with shop.hub.runtime.sessions.begin() as session:
        session.execute(
            text(
                """INSERT INTO deliveries (program_id, channel_id, direction, topic, key, subject, source, body,
                                           body_hash)
                   SELECT program_id, channel_id, 'outbound', 'fetch.customer', 'fetch:customer:' || n, '', 'hub',
                          convert_to('{"what": "customer", "external_id": "' || n || '"}', 'UTF8'), ''
                   FROM connections, generate_series(1, 10) n"""
            )
        )
    pauses = []
    for count in (1, 2, 3):
        with shop.hub.runtime.sessions.begin() as session:
            session.execute(text("UPDATE channels SET down_until = now() - interval '1 second'"))
            session.execute(text("UPDATE deliveries SET due_at = now() WHERE state = 'due'"))
        shop.hub.work(1)
        (row,) = shop.hub.rows("SELECT down_count, down_until - now() AS pause FROM channels")
        assert row.down_count == count
        pauses.append(row.pause)
        tried = "SELECT sum(attempts) AS n FROM deliveries WHERE topic = 'fetch.customer'"
        assert shop.hub.rows(tried)[0].n == count
    assert pauses[0] < pauses[1] < pauses[2]


def multiply(sandbox: WooCommerceSandbox, count: int) -> None:
    """The store's only order so many times, a second apart."""
    first = next(iter(sandbox.orders.values()))
    for number in range(5001, 5000 + count):
        changed = first["date_modified"] + timedelta(seconds=number - 5000)
        sandbox.orders[number] = {**first, "id": number, "number": str(number), "date_modified": changed}
        sandbox.refunds[number] = []


def test_a_process_killed_while_it_asks_has_lost_nothing(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    """`hub channel reconcile` in a process of its own, killed (SIGKILL) once its first page is stored."""
    sandbox = WooCommerceSandbox(currency="USD")
    listed = sandbox._list_orders

    def slowly() -> Any:
        time.sleep(0.3)
        return listed()

    sandbox.app.view_functions["GET /orders"] = slowly
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT, currency="USD") as hub,
        Running(sandbox) as url,
    ):
        channel = hub.add_channel("woocommerce", sandbox.settings(), "Shop")
        shop = Shop(hub, sandbox, channel, url, Road(hub))
        shop.buy(50)
        multiply(sandbox, 350)
        environment = {
            **os.environ, "DATABASE_URL": database, "REDIS_URL": redis_url, "HUB_DATA": str(tmp_path),
            "HUB_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        }  # fmt: skip
        command = [sys.executable, "-m", "hub", "channel", "reconcile", channel.public_id]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as asking_process:
            ends = time.monotonic() + 60
            while not hub.rows("SELECT 1 FROM connections WHERE upto IS NOT NULL"):
                assert time.monotonic() < ends
                assert asking_process.poll() is None
                time.sleep(0.02)
            asking_process.kill()
        stored = len(hub.rows("SELECT 1 FROM deliveries"))
        assert 100 <= stored < 350
        with hub.runtime.sessions.begin() as session:  # its lease runs out
            session.execute(text("UPDATE leases SET until = '-infinity'"))
        found = reconcile.reconcile(hub.runtime, channel)
        assert found.found == 350 - stored
        while process.drain(hub.runtime):
            pass
        assert len(hub.rows("SELECT 1 FROM transactions")) == 350
        assert hub.balance(phone="+84912345678") == 350 * 50
        hub.assert_clean()
