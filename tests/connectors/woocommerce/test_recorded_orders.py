"""What a real store sent, to the byte, in the order it was sent, backwards and shuffled: the books are equal."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.connect import add_channel
from hub.outbox.channels import Channel
from hub.program import store
from hub.sync import process
from tests.connectors.recorded import TESTS, headers_of
from tests.connectors.woocommerce.conftest import SETTINGS
from tests.hubs import START, Hub, running_hub
from tests.pace import paced

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "1000", "USD": "1", "EUR": "1", "JPY": "100", "KWD": "1"}}
}
FOLDER = TESTS / "payloads" / "woocommerce"
Files = list[Path]
Ordering = Callable[[Files], Sequence[Path]]

ORDERINGS: dict[str, Ordering] = {
    "recorded": lambda files: files,
    "reversed": lambda files: files[::-1],
    "twice": lambda files: [*files, *files[::-1]],
    **{
        f"shuffled {seed}": lambda files, seed=seed: random.Random(seed).sample(files, len(files))  # type: ignore[misc]
        for seed in range(paced(2, 6))
    },
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT, currency="USD") as hub:
        yield hub


def connected(hub: Hub, slug: str) -> Channel:
    """The store, connected to a programme of its own."""
    with hub.runtime.sessions.begin() as session:
        program = store.create(
            session, slug=slug, name=slug, currency="USD", time_zone="Asia/Ho_Chi_Minh", region="VN",
            starts_at=START, document=DOCUMENT, actor="test",
        )  # fmt: skip
        return add_channel(
            session, hub.runtime, program_id=program.id, kind="woocommerce", name="Store", settings=SETTINGS,
            actor="test", shares_shop=True,
        )  # fmt: skip


def send(hub: Hub, channel: Channel, files: Sequence[Path]) -> None:
    with requests.Session() as line:
        for body in files:
            headers = headers_of(body.with_suffix(".headers"))
            kept = {
                n: v for n, v in headers.items() if n.startswith(("x-wc", "content-type", "user-agent"))
            }
            answer = line.post(hub.webhook(channel), data=body.read_bytes(), headers=kept, timeout=10)
            assert answer.status_code == 200, body.name


def books(hub: Hub, program: int) -> tuple[list[Any], list[Any]]:
    """Orders as they stand, and what each identity's member holds."""
    orders = hub.rows(
        """SELECT external_id, number, state, currency, goods_net, goods_tax, shipping, refunded, eligible, points,
                  codes, placed_at, test, waiting_for FROM transactions WHERE program_id = :p ORDER BY external_id""",
        p=program,
    )
    balances = hub.rows(
        """SELECT i.kind, i.value, a.balance FROM identities i JOIN members m ON m.id = i.member_id
           JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
           WHERE i.program_id = :p ORDER BY i.kind, i.value""",
        p=program,
    )
    return [tuple(row) for row in orders], [tuple(row) for row in balances]


def test_in_whatever_order_a_recorded_store_is_heard_its_books_are_the_same(hub: Hub) -> None:
    files = sorted(FOLDER.glob("*.body"))
    found = {}
    for name, ordering in ORDERINGS.items():
        channel = connected(hub, name.replace(" ", "-"))
        send(hub, channel, ordering(files))
        while process.drain(hub.runtime):
            pass
        found[name] = books(hub, channel.program_id)
    orders, balances = found["recorded"]
    assert len(orders) > 20
    assert sum(1 for order in orders if order[9] > 0) > 3
    assert sum(row[2] for row in balances) > 0
    for name, those in found.items():
        assert those == (orders, balances), name
    assert (
        hub.rows(
            "SELECT 1 FROM deliveries WHERE direction = 'inbound' AND state IN ('failed', 'parked', 'due')"
        )
        == []
    )
    hub.assert_clean()
