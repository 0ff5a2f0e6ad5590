"""What changed in a shop: orders by `updated_at`, listed lightly; what is news is then fetched whole.

`orders(query: "updated_at:>='...'", sortKey: UPDATED_AT)`, paged by cursor: an order that changes while we read moves
to the end and is read there. A list of whole orders would cost some hundred points each; of ids, times, states and
refunded money it costs four. An order that the hub knows so is dropped by the core, the others are looked up.
Without the scope read_all_orders Shopify lists the orders of the last 60 days only, and says nothing of the others.
https://shopify.dev/docs/api/admin-graphql/latest/queries/orders
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.shopify import operations
from connectors.shopify import vocabulary as words
from connectors.shopify.client import Admin, Result, bad_answer
from connectors.shopify.shop import gid
from hub.connector import ChannelHandle, Inbound
from hub.errors import ChannelDown

PATIENCE = 60.0
"""Seconds that one round may wait in all for the rate limit between its pages."""


def changed(channel: ChannelHandle, since: datetime) -> Iterator[Inbound]:
    """Every order that changed since then, the oldest change first."""
    pages = _Pages(channel)
    query = f"updated_at:>='{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
    after: str | None = None
    while True:
        result = pages.ask(query, after)
        orders = result.node("orders") or {}
        nodes, info = orders.get("nodes"), orders.get("pageInfo")
        if not isinstance(nodes, list) or not isinstance(info, dict):
            raise bad_answer("orders")
        yield from (_message(channel, node) for node in nodes)
        if not info.get("hasNextPage"):
            return
        after = info.get("endCursor")


def read_again(channel: ChannelHandle, ids: Sequence[str]) -> Iterator[Inbound]:
    """These orders, listed as lightly; one that is gone as the message of its deletion, which may have been lost.

    `nodes` finds at once what was written, and null is what is not there: orders are asked for that are younger
    than the 60 days after which Shopify hides them. Where it shows none of several, something else is wrong,
    and none is called gone. https://shopify.dev/docs/api/admin-graphql/latest/queries/nodes
    """
    result = Admin(channel).run(operations.AGAIN, ids=[gid("Order", one) for one in ids])
    nodes = result.data.get("nodes")
    if not isinstance(nodes, list) or len(nodes) != len(ids):
        raise bad_answer("nodes")
    shows_some = any(node is not None for node in nodes) or len(ids) == 1
    for external_id, node in zip(ids, nodes, strict=True):
        if node is not None:
            yield _message(channel, node)
        elif shows_some:
            yield _deletion(channel, external_id)


def _deletion(channel: ChannelHandle, external_id: str) -> Inbound:
    now = channel.now()
    headers = {"content-type": "application/json", words.TRIGGERED_AT: now.isoformat()}
    return Inbound("orders/delete", headers, json.dumps({"id": int(external_id)}).encode(), now)


class _Pages:
    """Asks for pages, waiting a little where the rate limit says so."""

    def __init__(self, channel: ChannelHandle) -> None:
        self._channel = channel
        self._admin = Admin(channel)
        self._patience = PATIENCE

    def ask(self, query: str, after: str | None) -> Result:
        while True:
            try:
                return self._admin.run(operations.CHANGES, query=query, after=after)
            except ChannelDown as error:
                if error.code != "throttled" or error.retry_at is None:
                    raise
                wait = max(0.2, (error.retry_at - self._channel.now()).total_seconds())
                if wait > self._patience:
                    raise
                self._patience -= wait
                time.sleep(wait)


def _message(channel: ChannelHandle, node: Any) -> Inbound:
    changed_at = node.get("updatedAt") if isinstance(node, dict) else None
    try:
        moment = datetime.fromisoformat(str(changed_at)).astimezone(UTC)
    except ValueError:
        raise bad_answer("orders.nodes.updatedAt") from None
    body = json.dumps(node, sort_keys=True, separators=(",", ":"), default=str).encode()
    headers = {"content-type": "application/json"}
    return Inbound(words.POLLED_SALE, headers, body, channel.now(), changed_at=moment)
