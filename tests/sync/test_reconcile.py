"""Asking shops for what they did not tell: into the same inbox, from where the last time ended, nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.woocommerce import changes
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.outbox import connections
from hub.outbox.channels import Channel
from hub.sync import reconcile, reread, watch
from hub.sync.reconcile import Found
from hub.sync.sweep import after_restore
from tests.clocks import AheadClock
from tests.hubs import Hub, Running, running_hub

DOCUMENT = {"earn": {"points": 1, "per": {"VND": "1000"}}}
ANN = {"name": "Ann Nguyen", "email": "Ann@example.com", "phone": "0912 345 678"}
TEA = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": "50000"}


@dataclass
class Shop:
    """A store of which the hub hears nothing but what it asks for."""

    hub: Hub
    sandbox: WooCommerceSandbox
    channel: Channel
    url: str
    clock: AheadClock

    def buy(self, **wish: Any) -> str:
        wish = {"customer": ANN, "lines": [TEA], "currency": "VND", **wish}
        answer = requests.post(f"{self.url}/_sandbox/sales", json=wish, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["external_id"])

    def act(self, order: str, verb: str, **wish: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/sales/{order}/{verb}", json=wish, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def fault(self, name: str, **options: Any) -> None:
        wish = {"fault": name, **options}
        requests.post(f"{self.url}/_sandbox/faults", json=wish, timeout=10).raise_for_status()

    def ask(self, **options: Any) -> Found:
        found = reconcile.reconcile(self.hub.runtime, self.channel, **options)
        self.hub.work()
        return found

    def points(self) -> int:
        self.hub.work()
        self.hub.assert_clean()
        return self.hub.balance(phone="+84912345678")

    def polled(self) -> list[Any]:
        return self.hub.rows(
            "SELECT topic, state, outcome, duplicates FROM deliveries WHERE source = 'poll' ORDER BY id"
        )

    def kept(self) -> connections.Connection:
        with self.hub.runtime.sessions() as session:
            found = connections.of_channel(session, self.channel.id)
        assert found is not None
        return found


@pytest.fixture
def shop(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    clock = AheadClock()
    sandbox = WooCommerceSandbox(now=clock)
    with (
        running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub,
        Running(sandbox) as url,
    ):
        hub.runtime.clock = clock
        hub.runtime.settings = replace(hub.runtime.settings, public_url=hub.url)
        channel = hub.add_channel("woocommerce", sandbox.settings(), "Shop")
        yield Shop(hub, sandbox, channel, url, clock)


def test_what_no_message_told_of_is_found_and_earns(shop: Shop) -> None:
    shop.buy()
    shop.buy()
    shop.clock.pass_(minutes=10)
    found = shop.ask()
    assert (found.seen, found.found, found.missed, found.fault) == (2, 2, 2, None)
    assert shop.points() == 100
    assert [(row.topic, row.state, row.outcome) for row in shop.polled()] == [
        ("poll.sale", "done", "posted"), ("poll.sale", "done", "posted"),
    ]  # fmt: skip


def test_what_has_not_changed_is_no_news_and_changes_nothing(shop: Shop) -> None:
    shop.buy()
    shop.ask()
    before = shop.hub.rows("SELECT id, state, outcome, duplicates FROM deliveries ORDER BY id")
    entries = shop.hub.rows("SELECT id FROM entries")
    again = shop.ask()
    assert (again.seen, again.found) == (1, 0)
    assert shop.hub.rows("SELECT id, state, outcome, duplicates FROM deliveries ORDER BY id") == before
    assert shop.hub.rows("SELECT id FROM entries") == entries
    shop.hub.assert_clean()


def test_asked_again_before_it_was_processed_it_is_one_message_counted_twice(shop: Shop) -> None:
    shop.buy()
    for _ in range(3):
        reconcile.reconcile(shop.hub.runtime, shop.channel)
    assert [(row.state, row.duplicates) for row in shop.polled()] == [("due", 2)]


def test_what_webhooks_have_told_is_not_stored_a_second_time(shop: Shop) -> None:
    shop.sandbox.connect(shop.hub.webhook(shop.channel))
    order = shop.buy()
    assert shop.points() == 50
    shop.act(order, "refund", amount="20000")
    assert shop.points() == 30
    found = shop.ask()
    assert (found.seen, found.found, found.missed) == (1, 0, 0)
    assert shop.polled() == []


def test_more_orders_than_a_page_that_changed_in_one_second_are_all_found(shop: Shop) -> None:
    """`modified_after` is exclusive and knows whole seconds: 250 orders of one second stand over three pages."""
    moment = shop.clock().replace(microsecond=0)
    numbers = [int(shop.buy()) for _ in range(7)]
    for copy in range(250):
        order = dict(shop.sandbox.orders[numbers[copy % 7]])
        order["id"] = 10_000 + copy
        order["number"] = str(order["id"])
        order["date_modified"] = moment if copy < 230 else moment + timedelta(seconds=3)
        shop.sandbox.orders[order["id"]] = order
        shop.sandbox.refunds[order["id"]] = []
    for number in numbers:
        del shop.sandbox.orders[number]
    found = shop.ask()
    assert (found.seen, found.found) == (250, 250)
    assert shop.ask().found == 0
    assert len(shop.hub.rows("SELECT 1 FROM transactions")) == 250


def test_an_order_that_changes_while_the_pages_are_read_hides_no_other(shop: Shop) -> None:
    """What moves to the end of the list moves all others up by one place; pages are not counted, so nobody falls
    between two of them."""
    for copy in range(205):
        number = int(shop.buy())
        shop.sandbox.orders[number]["date_modified"] = shop.clock().replace(microsecond=0) + timedelta(
            seconds=copy
        )
    first = min(shop.sandbox.orders)
    moved: list[int] = []

    def move(_: Found) -> None:
        if not moved:
            shop.sandbox.orders[first]["date_modified"] += timedelta(seconds=900)
            moved.append(first)

    found = reconcile.reconcile(shop.hub.runtime, shop.channel, progress=move)
    assert found.fault is None
    assert found.seen == 206  # the one that moved was listed at its old and at its new place
    shop.hub.work()
    assert len(shop.hub.rows("SELECT 1 FROM transactions")) == 205
    shop.hub.assert_clean()


def test_ended_in_the_middle_it_goes_on_from_what_is_stored(shop: Shop) -> None:
    start = shop.clock().replace(microsecond=0)
    for copy in range(150):
        number = int(shop.buy())
        shop.sandbox.orders[number]["date_modified"] = start + timedelta(minutes=copy)
    shop.clock.pass_(minutes=200)

    class Killed(BaseException):
        """As if the process had ended there."""

    def kill(_: Found) -> None:
        raise Killed

    with pytest.raises(Killed):
        reconcile.reconcile(shop.hub.runtime, shop.channel, progress=kill)
    assert shop.kept().upto == start + timedelta(minutes=99)
    assert shop.kept().asked_at is None
    found = shop.ask()
    assert found.since == start + timedelta(minutes=89)
    assert (found.seen, found.found) == (61, 50)
    assert len(shop.hub.rows("SELECT 1 FROM transactions")) == 150
    shop.hub.assert_clean()


def test_a_fault_in_the_middle_keeps_what_came_and_is_noted(shop: Shop) -> None:
    start = shop.clock().replace(microsecond=0)
    for copy in range(120):
        number = int(shop.buy())
        shop.sandbox.orders[number]["date_modified"] = start + timedelta(seconds=copy)

    def break_(_: Found) -> None:
        shop.fault("too_many_requests", retry_after=120)

    found = reconcile.reconcile(shop.hub.runtime, shop.channel, progress=break_)
    assert found.fault is not None
    assert (found.fault.code, found.found) == ("http_429", 100)
    kept = shop.kept()
    assert (kept.ask_code, kept.ask_failures, kept.asked_at) == ("http_429", 1, None)
    assert kept.ask_at >= shop.clock() + timedelta(seconds=110)
    (row,) = shop.hub.rows("SELECT down_code, down_until > now() AS down FROM channels")
    assert (row.down_code, row.down) == ("http_429", True)
    assert shop.ask().found == 20
    (row,) = shop.hub.rows("SELECT down_code, down_until, down_count FROM channels")
    assert tuple(row) == (None, None, 0)
    assert shop.kept().ask_code is None


def test_only_one_asks_a_channel_at_a_time(shop: Shop) -> None:
    shop.buy()
    inside = threading.Event()
    go_on = threading.Event()

    def hold(_: Found) -> None:
        inside.set()
        go_on.wait(10)

    thread = threading.Thread(
        target=lambda: reconcile.reconcile(shop.hub.runtime, shop.channel, progress=hold)
    )
    thread.start()
    assert inside.wait(10)
    with pytest.raises(reconcile.AlreadyAsked):
        reconcile.reconcile(shop.hub.runtime, shop.channel)
    go_on.set()
    thread.join(10)
    assert shop.ask().fault is None


def test_whoever_lost_the_lease_writes_nothing_more(shop: Shop) -> None:
    """A process that was thought dead wakes up after another has asked: its page is not stored."""
    start = shop.clock().replace(microsecond=0)
    for copy in range(120):
        number = int(shop.buy())
        shop.sandbox.orders[number]["date_modified"] = start + timedelta(seconds=copy)

    def lose(_: Found) -> None:
        with shop.hub.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql("UPDATE leases SET until = '-infinity'")
        reconcile.reconcile(shop.hub.runtime, shop.channel)

    with pytest.raises(reconcile.Overtaken):
        reconcile.reconcile(shop.hub.runtime, shop.channel, progress=lose)
    assert len(shop.polled()) == 120
    assert sum(row.duplicates for row in shop.polled()) == 100


def test_what_became_true_again_counts_again(shop: Shop) -> None:
    """A7: an order that is changed and set back has the old content, but a younger time; even with the very bytes
    of before it is the present state."""
    order = shop.buy()
    shop.ask()
    old = dict(shop.sandbox.orders[int(order)])
    shop.clock.pass_(minutes=1)
    shop.act(order, "cancel")
    shop.ask()
    assert shop.points() == 0
    shop.sandbox.orders[int(order)] = old
    shop.clock.pass_(minutes=1)
    assert shop.ask().found == 1
    assert shop.points() == 50


def test_orders_in_the_trash_and_new_customers_are_asked_for_too(shop: Shop) -> None:
    order = shop.buy()
    shop.ask()
    shop.clock.pass_(minutes=1)
    shop.act(order, "trash")
    shop.sandbox._account({"name": "Bob", "email": "bob@example.com", "external_id": "77"})
    shop.ask()
    assert shop.points() == 0
    topics = sorted(row.topic for row in shop.polled())
    assert topics == ["poll.customer", "poll.sale", "poll.sale"]
    assert shop.hub.rows("SELECT 1 FROM identities WHERE kind = 'customer' AND value = '77'")
    assert shop.ask().found == 0


def test_new_customers_are_all_found_however_many_there_are(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than any number of pages that a round would look through: here forty pages of three."""
    monkeypatch.setattr(changes, "PER_PAGE", 3)
    for n in range(20):
        shop.sandbox._account(
            {"name": f"Old {n}", "email": f"old{n}@example.com", "external_id": str(500 + n)}
        )
    shop.ask()
    shop.clock.pass_(minutes=30)
    shop.ask()
    for n in range(121):
        shop.sandbox._account(
            {"name": f"New {n}", "email": f"new{n}@example.com", "external_id": str(900 + n)}
        )
    shop.ask()
    known = shop.hub.rows("SELECT 1 FROM identities WHERE kind = 'customer' AND value::int >= 900")
    assert len(known) == 121
    assert shop.ask().found == 0


def test_a_deleted_refund_and_an_order_deleted_for_good_are_found_by_reading_again(shop: Shop) -> None:
    """Neither moves a time nor sends anything; asking for changes does not show them."""
    kept, gone, refunded = shop.buy(), shop.buy(), shop.buy()
    shop.ask()
    told = shop.act(refunded, "refund", amount="20000")
    shop.clock.pass_(minutes=1)
    shop.ask()
    shop.clock.pass_(minutes=30)
    shop.buy(customer=None)
    shop.ask()
    shop.act(refunded, "delete_refund", refund=told["refund"])
    shop.act(gone, "delete")
    found = shop.ask()
    assert (found.seen, found.found) == (1, 0)  # they lie behind what is asked for
    assert shop.points() == 130
    assert reread.reread(shop.hub.runtime, shop.channel) == 2
    assert shop.points() == 100
    before = shop.hub.rows("SELECT id, duplicates FROM deliveries ORDER BY id")
    assert reread.reread(shop.hub.runtime, shop.channel) == 0
    shop.hub.work()
    assert shop.hub.rows("SELECT id, duplicates FROM deliveries ORDER BY id") == before
    assert kept in {row.external_id for row in shop.hub.rows("SELECT external_id FROM transactions")}


def test_a_page_that_is_no_json_is_a_failure_and_the_captcha_is_named(shop: Shop) -> None:
    shop.buy()
    shop.fault("captcha")
    found = shop.ask()
    assert found.fault is not None
    assert found.fault.code == "captcha"
    assert shop.ask().found == 1


def test_installed_once_or_twice_there_is_one_webhook_a_topic(shop: Shop) -> None:
    did = watch.install(shop.hub.runtime, shop.channel, actor="test")
    again = watch.install(shop.hub.runtime, shop.channel, actor="test")
    assert (len(did.made), again.made, len(again.kept)) == (10, (), 10)
    assert len(shop.sandbox.webhooks) == 10
    shop.buy()
    assert shop.points() == 50


def test_a_lost_answer_while_webhooks_are_made_makes_none_twice(shop: Shop) -> None:
    shop.fault("drop_after_write", times=3)
    watch.install(shop.hub.runtime, shop.channel, actor="test")
    assert sorted(w["topic"] for w in shop.sandbox.webhooks.values()) == sorted(
        {w["topic"] for w in shop.sandbox.webhooks.values()}
    )
    assert len(shop.sandbox.webhooks) == 10


def test_the_watchdog_puts_right_what_the_hub_made_and_tells(shop: Shop) -> None:
    watch.install(shop.hub.runtime, shop.channel, actor="test")
    hooks = sorted(shop.sandbox.webhooks)
    shop.sandbox.webhooks[hooks[1]]["status"] = "disabled"
    del shop.sandbox.webhooks[hooks[2]]
    seen = watch.watch(shop.hub.runtime, shop.channel)
    assert (len(seen.did.made), len(seen.did.mended), seen.health.ok) == (1, 1, True)
    assert {w["status"] for w in shop.sandbox.webhooks.values()} == {"active"}
    assert len(shop.sandbox.webhooks) == 10
    (alert,) = shop.hub.rows("SELECT kind, times FROM alerts WHERE settled_at IS NULL")
    assert alert.kind == "channel_mended"
    assert shop.kept().mended == 2
    assert watch.watch(shop.hub.runtime, shop.channel).did.mended == ()
    assert shop.kept().mended == 2


def test_what_a_person_subscribed_is_looked_at_and_left_alone(shop: Shop) -> None:
    shop.sandbox.connect(shop.hub.webhook(shop.channel))
    hook = next(iter(shop.sandbox.webhooks.values()))
    hook["status"] = "disabled"
    seen = watch.watch(shop.hub.runtime, shop.channel)
    assert (seen.health.ok, seen.health.code) == (False, "webhook_off")
    assert hook["status"] == "disabled"
    (alert,) = shop.hub.rows("SELECT kind, detail FROM alerts WHERE settled_at IS NULL")
    assert (alert.kind, alert.detail["code"]) == ("channel_ill", "webhook_off")
    hook["status"] = "active"
    watch.watch(shop.hub.runtime, shop.channel)
    assert shop.hub.rows("SELECT 1 FROM alerts WHERE settled_at IS NULL") == []


def test_a_channel_of_another_kind_is_not_asked_and_not_in_the_way(shop: Shop) -> None:
    from hub.sync.asking import Asker

    shop.hub.add_channel("generic_pos", {"webhook_secret": "s" * 32}, "Till")
    shop.buy()
    asker = Asker(shop.hub.runtime)
    asker.once()
    asker.wait()
    assert shop.points() == 50
    with shop.hub.runtime.sessions() as session:
        assert connections.due(session, shop.clock()) == []


def test_a_restored_hub_asks_for_everything_since_its_backup(shop: Shop) -> None:
    """Leases begin anew there, so the place in the changes must not stay fenced by an old one."""
    shop.buy()
    for _ in range(3):
        shop.ask()
    shop.clock.pass_(minutes=30)
    shop.buy()
    with shop.hub.runtime.sessions.begin() as session:
        after_restore(session)
    found = shop.ask()
    assert (found.found, found.fault) == (1, None)
    assert shop.points() == 100


def test_what_was_put_right_is_looked_at_again_soon(shop: Shop) -> None:
    """A webhook that was switched on again is one failure from being off."""
    watch.install(shop.hub.runtime, shop.channel, actor="test")
    watch.watch(shop.hub.runtime, shop.channel)
    assert shop.kept().watch_at > shop.clock() + timedelta(minutes=50)
    next(iter(shop.sandbox.webhooks.values()))["status"] = "disabled"
    watch.watch(shop.hub.runtime, shop.channel)
    assert shop.kept().watch_at < shop.clock() + timedelta(minutes=6)
