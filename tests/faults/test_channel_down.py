"""A shop that is down, slow or cuts the line: its pushes wait, nobody else's do, nothing is made twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from connectors.generic_pos.sandbox import TillSandbox
from connectors.sandbox_kit import Sandbox
from connectors.shopify.sandbox import ShopifySandbox
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Push
from hub.sync import process, push
from hub.web import keys
from tests.broken_shop import CONNECTORS
from tests.crew import Crew, a_crew
from tests.hubs import Hub, Running, running_hub
from tests.keeping import keeping_shop

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "50k", "name": "50.000 off", "cost": 20, "amount": {"VND": "50000"}}],
}
ANN = {"name": "Ann", "phone": "0912345678", "email": "ann@example.com"}


# --- what the outbox does, with a shop of moods --------------------------------------------------


@pytest.fixture
def crew(database: str, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    with a_crew(database, redis_url, tmp_path, document=DOCUMENT, connectors=CONNECTORS) as crew:
        yield crew


class Moody:
    """A shop whose file says how it behaves, and pushes to it."""

    def __init__(self, crew: Crew, name: str, folder: Path) -> None:
        self.crew, self.file = crew, folder / name
        self.be("well")
        self.channel = crew.hub.add_channel("model_broken", {"shop_file": str(self.file)}, name)

    def be(self, mood: str) -> None:
        self.file.write_text(mood)

    def owe(self, count: int) -> None:
        """That many balances of members are to be pushed."""
        hub = self.crew.hub
        with hub.runtime.sessions.begin() as session:
            ids = session.execute(
                text(
                    """WITH m AS (INSERT INTO members (public_id, program_id)
                           SELECT gen_random_uuid()::text, :p FROM generate_series(1, :n) RETURNING id)
                       INSERT INTO accounts (program_id, member_id) SELECT :p, id FROM m RETURNING member_id"""
                ),
                {"p": hub.program.id, "n": count},
            )
            deliveries.enqueue(session, [self._push(row.member_id) for row in ids])

    def _push(self, member: int) -> Push:
        body = {"action": "set_balance", "member": member}
        return Push(self.crew.hub.program.id, self.channel.id, "set_balance", f"b:{member}", body=body)

    def states(self) -> list[tuple[str, int]]:
        rows = self.crew.hub.rows(
            "SELECT state, attempts FROM deliveries WHERE channel_id = :c ORDER BY attempts, id",
            c=self.channel.id,
        )
        return [(row.state, row.attempts) for row in rows]

    def row(self) -> Any:
        return self.crew.hub.rows("SELECT * FROM channels WHERE id = :c", c=self.channel.id)[0]

    def wake(self) -> None:
        with self.crew.hub.runtime.sessions.begin() as session:
            session.execute(text("UPDATE channels SET down_until = now()"))
            session.execute(text("UPDATE deliveries SET due_at = now() WHERE state = 'due'"))


def test_a_channel_that_is_down_is_left_alone_burns_no_attempts_and_drains_afterwards(
    crew: Crew, tmp_path: Path
) -> None:
    down, well = Moody(crew, "down", tmp_path), Moody(crew, "well", tmp_path)
    down.be("down")
    down.owe(30)
    well.owe(30)
    push.drain(crew.hub.runtime)
    assert set(well.states()) == {("done", 1)}
    assert down.states() == [("due", 0)] * 29 + [("due", 1)]
    waits = []
    for _ in range(4):
        row = down.row()
        waits.append((row.down_until - datetime.now(UTC)).total_seconds())
        assert (row.down_code, row.status) == ("http_503", "active")
        down.wake()
        push.drain(crew.hub.runtime)
    for wait, expected in zip(waits, (60, 120, 240, 480), strict=True):
        assert expected * 0.7 < wait < expected * 1.25
    assert sum(attempts for _, attempts in down.states()) == 5
    down.be("well")
    down.wake()
    push.drain(crew.hub.runtime)
    assert {state for state, _ in down.states()} == {"done"}
    row = down.row()
    assert (row.down_until, row.down_count, row.down_code) == (None, 0, None)


def test_a_slow_channel_hands_back_and_others_have_their_turn(
    crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "TURN", 0.5)
    slow, well = Moody(crew, "slow", tmp_path), Moody(crew, "well", tmp_path)
    slow.be("slow")
    slow.owe(200)  # older than what the other has to be told
    well.owe(20)
    for _ in range(10):  # a drain of its own each: on a slow machine one of 2 s may not do it
        push.drain(crew.hub.runtime, seconds=2)
        if set(well.states()) == {("done", 1)}:
            break
    assert set(well.states()) == {("done", 1)}
    assert set(slow.states()) == {("done", 1), ("due", 0)}, "the slow one had turns, and waits now"


def test_one_channel_is_pushed_to_by_one_worker_at_a_time(crew: Crew, tmp_path: Path) -> None:
    slow, well = Moody(crew, "slow", tmp_path), Moody(crew, "well", tmp_path)
    slow.owe(3)
    well.owe(3)
    lease = timedelta(seconds=60)
    claims = []
    for _ in range(3):
        with crew.hub.runtime.sessions.begin() as session:
            claims.append(deliveries.claim(session, "outbound", limit=2, lease=lease))
            assert deliveries.is_any_due(session, "outbound") is (len(claims) == 1)
    assert [len(c) for c in claims] == [2, 2, 0]
    assert {d.channel_id for c in claims for d in c} == {slow.channel.id, well.channel.id}


def test_a_push_after_a_lost_lease_is_asserted_anew(crew: Crew, tmp_path: Path) -> None:
    """Whoever talked to the channel last may have been the one whose word does not count any more."""
    shop = Moody(crew, "shop", tmp_path)
    shop.owe(1)
    runtime, lease = crew.hub.runtime, timedelta(seconds=60)

    def claim() -> list[deliveries.Claimed]:
        with runtime.sessions.begin() as session:
            return deliveries.claim(session, "outbound", limit=9, lease=lease)

    stale = claim()
    with runtime.sessions.begin() as session:
        session.execute(
            text("UPDATE deliveries SET lease_until = now() - interval '1 s' WHERE state = 'working'")
        )
        deliveries.free_stuck(session)
    push.push(runtime, claim())
    assert [s for s, _ in shop.states()] == ["done"]
    push.push(runtime, stale)
    assert [s for s, _ in shop.states()] == ["due"]
    push.drain(runtime)
    assert [s for s, _ in shop.states()] == ["done"]


def test_a_replayed_look_up_brings_its_answer_again(hub: Hub) -> None:
    """The key of an answer is its own: the second one must not be taken for the first."""
    blog = WooCommerceSandbox()
    with Running(blog) as url:
        hub.connect(blog, url)
        sold = sell(url)
        with hub.runtime.sessions.begin() as session:
            channel = hub.rows("SELECT id FROM channels")[0].id
            what = {"what": "sale", "external_id": sold["external_id"]}
            deliveries.enqueue(session, [Push(hub.program.id, channel, "fetch.sale", "f", body=what)])
        for expected in (1, 2):
            push.drain(hub.runtime)
            fetched = hub.rows("SELECT id FROM deliveries WHERE source = 'fetch'")
            assert len(fetched) == expected
            with hub.runtime.sessions.begin() as session:
                deliveries.replay(session, [hub.rows("SELECT id FROM deliveries WHERE key = 'f'")[0].id])


# --- through the sandboxes -----------------------------------------------------------------------


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


def sell(url: str, price: str = "400000") -> dict[str, Any]:
    line = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": price}
    wish = {"customer": ANN, "currency": "VND", "lines": [line]}
    return dict(requests.post(f"{url}/_sandbox/sales", json=wish, timeout=10).json())


def redeem(hub: Hub) -> str:
    with hub.runtime.sessions.begin() as session:
        _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
    headers = {"Authorization": f"Bearer {key}"}
    found = requests.get(
        f"{hub.url}/api/v1/members", params={"phone": "0912345678"}, headers=headers, timeout=10
    )
    answer = requests.post(
        f"{hub.url}/api/v1/redemptions",
        json={"member": found.json()[0]["id"], "reward": "50k"},
        headers=headers,
        timeout=10,
    )
    return str(answer.json()["code"])


def fault(url: str, name: str, **options: Any) -> None:
    answer = requests.post(f"{url}/_sandbox/faults", json={"fault": name, **options}, timeout=10)
    assert answer.status_code == 200, answer.text


def codes(url: str) -> list[str]:
    return [c["code"].upper() for c in requests.get(f"{url}/_sandbox/codes", timeout=10).json()]


def wake(hub: Hub) -> None:
    with hub.runtime.sessions.begin() as session:
        session.execute(text("UPDATE channels SET down_until = now()"))
        session.execute(text("UPDATE deliveries SET due_at = now() WHERE state = 'due'"))


SHOPS: list[type[Sandbox]] = [TillSandbox, ShopifySandbox, WooCommerceSandbox]


@pytest.mark.parametrize("shop", SHOPS, ids=lambda s: s.kind)
@pytest.mark.parametrize("name", ["drop_after_write", "slow_drip", "server_error"])
def test_whatever_happens_on_the_line_there_is_exactly_one_code(
    hub: Hub, shop: type[Sandbox], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.http.DEADLINE_SECONDS", 2.0)
    sandbox = shop(currency="VND") if shop is ShopifySandbox else shop()
    with Running(sandbox) as url:
        channel = hub.connect(sandbox, url)
        sell(url)
        hub.work()
        code = redeem(hub)
        fault(url, name, times=1, **({"seconds": 0.02} if name == "slow_drip" else {}))
        for _ in range(4):
            push.drain(hub.runtime)
            wake(hub)
            process.drain(hub.runtime)
        assert codes(url).count(code) == 1
        assert _live(hub, channel) == ["live"]
        hub.assert_clean()


@pytest.mark.parametrize("shop", SHOPS, ids=lambda s: s.kind)
def test_a_kept_connection_that_drops_after_the_write_doubles_no_code(
    hub: Hub, shop: type[Sandbox]
) -> None:
    """Two codes in one drain, to a shop that keeps connections; the answer to the second is lost."""
    sandbox = shop(currency="VND") if shop is ShopifySandbox else shop()
    with Running(sandbox) as url, keeping_shop() as front:
        front.behind, sandbox.address = url, front.url.rstrip("/")
        channel = hub.connect(sandbox, url)
        sell(url)
        hub.work()
        made = [redeem(hub), redeem(hub)]
        lost: list[int] = []

        def loses() -> bool:
            if not lost and len(codes(url)) == 2:
                lost.append(front.connections[-1])
                return True
            return False

        front.drops = loses
        for _ in range(4):
            push.drain(hub.runtime)
            wake(hub)
            process.drain(hub.runtime)
        assert front.connections.count(lost[0]) > 1, "it was a kept connection"
        assert sorted(codes(url)) == sorted(made)
        assert _live(hub, channel) == ["live"] * 2
        assert hub.rows("SELECT 1 FROM attempts WHERE code IS NOT NULL") == []
        hub.assert_clean()


def _live(hub: Hub, channel: Channel) -> list[str]:
    rows = hub.rows("SELECT state FROM voucher_channels WHERE channel_id = :c", c=channel.id)
    return [row.state for row in rows]


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [("90", 85, 105), ("-5", 40, 75), ("999999999", 12 * 3600 - 60, 12 * 3600 * 1.11), ("soon", 40, 75)],
)
def test_retry_after_is_honoured_and_capped_and_costs_no_attempt(
    hub: Hub, asked: str, least: float, most: float
) -> None:
    blog = WooCommerceSandbox()
    with Running(blog) as url:
        hub.connect(blog, url)
        sell(url)
        hub.work()
        redeem(hub)
        fault(url, "too_many_requests", times=None, retry_after=asked)
        push.drain(hub.runtime)
        row = hub.rows("SELECT down_until, down_code FROM channels")[0]
        assert row.down_code == "http_429"
        assert least < (row.down_until - datetime.now(UTC)).total_seconds() < most
        waiting = hub.rows("SELECT id, attempts FROM deliveries WHERE topic = 'create_code'")[0]
        assert waiting.attempts == (0 if asked.isdigit() else 1)
        noted = hub.rows("SELECT code FROM attempts WHERE delivery_id = :d", d=waiting.id)
        assert [row.code for row in noted] == ["http_429"]


def test_a_storm_of_429_leaves_nothing_failed_and_drains(hub: Hub) -> None:
    blog = WooCommerceSandbox()
    with Running(blog) as url:
        hub.connect(blog, url)
        sell(url)
        hub.work()
        code = redeem(hub)
        fault(url, "too_many_requests", times=None, retry_after="1")
        for _ in range(deliveries.MAX_ATTEMPTS + 6):
            push.drain(hub.runtime)
            wake(hub)
        assert hub.rows("SELECT 1 FROM deliveries WHERE state = 'failed'") == []
        requests.delete(f"{url}/_sandbox/faults", timeout=10)
        push.drain(hub.runtime)
        assert codes(url).count(code) == 1
