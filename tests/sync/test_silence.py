"""When a channel's quiet is silence: against its own hours, asked before it is said, and with a cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.sandbox_kit import Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub import alerts
from hub.desk.telling import sentences
from hub.outbox import connections
from hub.outbox.channels import Channel
from hub.sync import asking, silence, watch
from hub.sync.silence import judge
from tests.clocks import AheadClock
from tests.hubs import Hub, Running, running_hub

ZONE = "Asia/Ho_Chi_Minh"
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)  # a Monday, noon in Vietnam


def hours(
    *, days: int, each: int, opens: int = 8, closes: int = 20, closed_on: int | None = None
) -> list[tuple[datetime, int]]:
    """So many arrivals in each hour that the shop is open, up to an hour ago."""
    found = []
    for hour in range(1, days * 24):
        start = NOW.replace(minute=0) - timedelta(hours=hour)
        here = start.astimezone(UTC) + timedelta(hours=7)
        if opens <= here.hour < closes and here.weekday() != closed_on:
            found.append((start, each))
    return found


def test_three_usual_gaps_at_this_hour_are_silence() -> None:
    """Six an hour by day: a gap of ten minutes."""
    shop = hours(days=28, each=6)
    assert (found := judge(shop, NOW - timedelta(minutes=25), NOW, ZONE)) is not None
    assert not found.is_silent
    assert (found := judge(shop, NOW - timedelta(minutes=40), NOW, ZONE)) is not None
    assert found.is_silent
    assert timedelta(minutes=9) < found.gap < timedelta(minutes=11)


def test_night_is_not_silence_and_the_morning_counts_from_its_opening() -> None:
    shop = hours(days=28, each=6)
    last = datetime(2026, 11, 22, 12, 55, tzinfo=UTC)  # 19:55 in the shop's evening
    before_opening = datetime(2026, 11, 23, 0, 59, tzinfo=UTC)  # 7:59
    assert (found := judge(shop, last, before_opening, ZONE)) is not None
    assert not found.is_silent
    assert (found := judge(shop, last, before_opening + timedelta(minutes=40), ZONE)) is not None
    assert found.is_silent


def test_a_day_of_rest_is_not_silence_once_three_weeks_are_known() -> None:
    sunday = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
    last = datetime(2026, 11, 21, 12, 59, tzinfo=UTC)
    known = [one for one in hours(days=28, each=6, closed_on=6) if one[0] <= last]
    assert (found := judge(known, last, sunday, ZONE)) is not None
    assert not found.is_silent
    recent = [one for one in known if one[0] > NOW - timedelta(days=12)]
    assert (found := judge(recent, last, sunday, ZONE)) is not None
    assert found.is_silent  # too little is known of its Sundays


@pytest.mark.parametrize("known", [hours(days=5, each=6), hours(days=20, each=6)[:7], []])
def test_a_channel_of_which_little_is_known_is_not_judged(known: list[tuple[datetime, int]]) -> None:
    assert judge(known, NOW - timedelta(hours=1), NOW, ZONE) is None


# --- through the hub -------------------------------------------------------------------------------


@dataclass
class Shop:
    """A connected shop that has sent something every few minutes for four weeks, and then no more."""

    hub: Hub
    sandbox: Sandbox
    channel: Channel
    url: str
    clock: AheadClock

    def fault(self, name: str, **options: Any) -> None:
        wish = {"fault": name, **options}
        requests.post(f"{self.url}/_sandbox/faults", json=wish, timeout=10).raise_for_status()

    def buy(self) -> None:
        wish = {
            "customer": {"name": "Ann", "phone": "0912345678"},
            "lines": [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": "50000"}],
        }
        requests.post(f"{self.url}/_sandbox/sales", json=wish, timeout=10).raise_for_status()

    def busy(self, *, until: timedelta) -> None:
        """Ten arrivals in every hour of four weeks, the last one so long ago."""
        now = self.clock()
        with self.hub.runtime.sessions.begin() as session:
            session.connection().exec_driver_sql(
                """INSERT INTO arrivals (channel_id, hour, minutes)
                   SELECT %(channel)s, h, repeat('1000001000', 6)::bit(60)
                   FROM generate_series(date_trunc('hour', %(now)s - interval '27 days'),
                                        date_trunc('hour', %(now)s) - interval '1 hour', interval '1 hour') h
                   ON CONFLICT DO NOTHING""",
                {"channel": self.channel.id, "now": now - until},
            )

    def listen(self) -> None:
        """As the sweeper does: listen, ask what is due, listen again."""
        silence.listen(self.hub.runtime)
        asker = asking.Asker(self.hub.runtime)
        asker.once()
        asker.wait()
        silence.listen(self.hub.runtime)
        self.hub.work()

    def told(self) -> list[alerts.Alert]:
        with self.hub.runtime.sessions() as session:
            return [a for a in alerts.unsettled(session, self.hub.program.id) if a.kind == silence.KIND]

    def causes(self) -> list[str]:
        return [alert.detail["cause"] for alert in self.told()]


@pytest.fixture(params=[WooCommerceSandbox, ShopifySandbox])
def shop(
    request: pytest.FixtureRequest, database: str, redis_url: str, tmp_path: Path
) -> Iterator[Shop]:
    clock = AheadClock()
    sandbox: Sandbox = request.param()
    with (
        running_hub(
            database, redis_url, tmp_path, document={"earn": {"per": {"VND": "1000", "USD": "1000"}}}
        ) as hub,
        Running(sandbox) as url,
    ):
        hub.runtime.settings = replace(hub.runtime.settings, public_url=hub.url)
        channel = hub.add_channel(sandbox.kind, sandbox.settings(), "Shop")
        watch.install(hub.runtime, channel, actor="test")
        yield Shop(hub, sandbox, channel, url, clock)


def forget_subscriptions(sandbox: Sandbox) -> None:
    if isinstance(sandbox, WooCommerceSandbox):
        sandbox.webhooks.clear()
    elif isinstance(sandbox, ShopifySandbox):
        sandbox._subscriptions.clear()


def test_subscriptions_that_are_gone_are_the_cause_and_what_they_missed_is_fetched(shop: Shop) -> None:
    shop.busy(until=timedelta(hours=1))
    forget_subscriptions(shop.sandbox)
    shop.buy()
    shop.listen()
    assert shop.causes() == ["subscription_gone"]
    shop.hub.assert_clean()
    assert shop.hub.balance(phone="+84912345678") == 50
    (alert,) = shop.told()
    with shop.hub.runtime.sessions() as session:
        (said,) = sentences(session, [alert])
    assert said.startswith("Shop has sent nothing since")
    assert "subscriptions were gone" in said
    shop.listen()
    assert [alert.times for alert in shop.told()] == [1]
    shop.buy()
    shop.listen()
    assert shop.told() == []  # it speaks again


def test_a_dead_shop_is_named_as_the_cause(shop: Shop) -> None:
    shop.busy(until=timedelta(hours=1))
    fault = "unauthorised" if isinstance(shop.sandbox, WooCommerceSandbox) else "frozen"
    shop.fault(fault, times=None)
    shop.listen()
    assert shop.causes() == ["bad_key" if fault == "unauthorised" else "shop_frozen"]


def test_a_quiet_time_in_which_nothing_was_missed_is_no_alarm(shop: Shop) -> None:
    shop.busy(until=timedelta(minutes=20))
    with shop.hub.runtime.sessions() as session:
        found = silence.quiet(session, shop.channel.id, shop.clock(), ZONE)
    shop.listen()
    assert found is not None
    if found.expected < silence.SURELY:
        assert shop.causes() == []
    with shop.hub.runtime.sessions() as session:
        kept = connections.of_channel(session, shop.channel.id)
    assert kept is not None
    assert kept.watched_at is not None


def test_a_till_that_cannot_be_asked_is_told_when_it_is_sure(hub_of_till: Shop) -> None:
    hub_of_till.busy(until=timedelta(hours=2))
    hub_of_till.listen()
    assert hub_of_till.causes() == ["nothing_found"]


@pytest.fixture
def hub_of_till(database: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    with running_hub(database, redis_url, tmp_path) as hub:
        channel = hub.add_channel("generic_pos", {"webhook_secret": "s" * 32}, "Till")
        yield Shop(hub, WooCommerceSandbox(), channel, "", AheadClock())


def test_what_comes_by_webhook_is_counted_once_a_minute_and_answers_of_ours_are_not(
    hub_of_till: Shop,
) -> None:
    from tests.shops import delivery

    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with hub_of_till.hub.runtime.sessions.begin() as session:
        its = (session, hub_of_till.hub.program.id, hub_of_till.channel.id)
        for minutes, source in (
            (1, "webhook"),
            (1, "webhook"),
            (2, "webhook"),
            (3, "fetch"),
            (4, "poll"),
        ):
            delivery(*its, received_at=now - timedelta(minutes=minutes), source=source)
    for _ in range(2):
        silence.listen(hub_of_till.hub.runtime)
    (row,) = hub_of_till.hub.rows("SELECT sum(bit_count(minutes)) AS n FROM arrivals")
    assert row.n == 2


def test_what_a_person_has_looked_at_is_not_told_again_while_it_is_the_same(hub_of_till: Shop) -> None:
    hub_of_till.busy(until=timedelta(hours=2))
    hub_of_till.listen()
    (alert,) = hub_of_till.told()
    runtime, program = hub_of_till.hub.runtime, hub_of_till.hub.program.id
    with runtime.sessions.begin() as session:
        assert alerts.settle(session, program, alert.id, actor="user:1", now=runtime.clock())
    hub_of_till.listen()
    assert hub_of_till.told() == []


def test_while_the_hub_was_away_nobody_was_silent(hub_of_till: Shop) -> None:
    hub_of_till.busy(until=timedelta(minutes=0))
    hub_of_till.listen()
    hub_of_till.clock.ahead = timedelta(hours=9)
    hub_of_till.hub.runtime.clock = hub_of_till.clock
    hub_of_till.listen()
    assert hub_of_till.told() == []
    for _ in range(30):  # it listens again, and now nothing comes for two hours
        hub_of_till.clock.ahead += timedelta(minutes=4)
        silence.listen(hub_of_till.hub.runtime)
    assert hub_of_till.causes() == ["nothing_found"]


def test_a_long_history_is_walked_to_its_end_before_anybody_is_judged(
    hub_of_till: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.shops import delivery

    monkeypatch.setattr(silence, "_SLICE", 2)
    monkeypatch.setattr(silence, "_SLICES", 1)
    hub_of_till.busy(until=timedelta(hours=2))
    with hub_of_till.hub.runtime.sessions.begin() as session:
        for _ in range(3):
            its = (session, hub_of_till.hub.program.id, hub_of_till.channel.id)
            delivery(*its, received_at=datetime.now(UTC) - timedelta(hours=2), state="done")
    hub_of_till.listen()  # looks at two and at one more
    silence.listen(hub_of_till.hub.runtime)
    assert hub_of_till.causes() == ["nothing_found"]
    with hub_of_till.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM marks; DELETE FROM alerts")
    silence.listen(hub_of_till.hub.runtime)
    assert hub_of_till.causes() == []
