"""Look-ups: the answer of the Admin API, complete, as a message that enters the inbox."""

from __future__ import annotations

import json
import time
from typing import Any

from connectors.shopify import operations
from connectors.shopify import vocabulary as words
from connectors.shopify.client import Admin, Result, bad_answer
from connectors.shopify.shop import gid
from hub.connector import ChannelHandle, Inbound, Lookup
from hub.errors import ChannelDown, Rejected

_MOST_PAGES = 40
_PATIENCE = 20.0
"""Seconds a fetch may wait in all for the rate limit between two pages: without waiting, an order of
some hundred lines would drain the bucket at the same page each time it is tried."""


def fetch(channel: ChannelHandle, lookup: Lookup) -> list[Inbound]:
    """Ask for a sale (with all its lines and refunds), a customer, a product or a code. A sale's
    refunds come with the sale."""
    admin = Admin(channel)
    if lookup.what in ("sale", "refunds"):
        result, body = _Reader(channel, admin).sale(gid("Order", lookup.external_id))
        return [_message(channel, lookup, "sale", result, body)]
    if lookup.what == "customer":
        result = admin.run(operations.CUSTOMER, id=gid("Customer", lookup.external_id))
    elif lookup.what == "product":
        result = admin.run(operations.PRODUCT, id=gid("Product", lookup.external_id))
    elif lookup.what == "code":
        result = admin.run(operations.CODE_BY_CODE, code=lookup.external_id)
    else:
        raise Rejected("no_such_lookup", f"Shopify cannot be asked for a {lookup.what}")
    return [_message(channel, lookup, lookup.what, result, result.answer.body)]


def _message(channel: ChannelHandle, lookup: Lookup, what: str, result: Result, body: bytes) -> Inbound:
    headers = {"content-type": "application/json", words.LOOKUP: lookup.external_id}
    if date := result.answer.headers.get("date"):
        headers["date"] = date
    return Inbound(f"fetch.{what}", headers, body, channel.now())


class _Reader:
    """Reads one sale to its end, page by page."""

    def __init__(self, channel: ChannelHandle, admin: Admin) -> None:
        self._channel = channel
        self._admin = admin
        self._patience = _PATIENCE

    def sale(self, order_id: str) -> tuple[Result, bytes]:
        """The raw answer, or, for an order with refunds or many lines, the same with them filled in.

        Refunds are asked for one by one: nested in the order, their pages would multiply the cost
        beyond what Shopify lets one query ask for.
        """
        result = self._admin.run(operations.ORDER, id=order_id)
        order = result.node("order")
        if order is None or not (_has_more(order, "lineItems") or order.get("refunds")):
            return result, result.answer.body
        self._fill(order, "lineItems", operations.ORDER_LINES, "order", order_id)
        order["refunds"] = [self._refund(refund) for refund in order.get("refunds") or ()]
        return result, json.dumps({"data": {"order": order}}, default=str).encode()

    def _refund(self, listed: Any) -> dict[str, Any]:
        refund_id = listed.get("id") if isinstance(listed, dict) else None
        refund = self._ask(operations.REFUND, id=refund_id).node("refund")
        if refund is None:
            raise bad_answer("the refund it listed")
        self._fill(refund, "refundLineItems", operations.REFUND, "refund", str(refund_id))
        return refund

    def _fill(self, parent: dict[str, Any], name: str, document: str, root: str, node_id: str) -> None:
        """Append all further pages of a connection to its first."""
        for _ in range(_MOST_PAGES):
            if not _has_more(parent, name):
                return
            after = parent[name]["pageInfo"].get("endCursor")
            page = self._ask(document, id=node_id, after=after).node(root)
            if page is None or not isinstance(page.get(name), dict):
                raise bad_answer(name)
            nodes = [*parent[name].get("nodes", ()), *page[name].get("nodes", ())]
            parent[name] = {**page[name], "nodes": nodes}
        raise ChannelDown("too_long", f"the order has more than {_MOST_PAGES} pages of {name}")

    def _ask(self, document: str, **variables: Any) -> Result:
        try:
            return self._admin.run(document, **variables)
        except ChannelDown as error:
            if error.code != "throttled" or error.retry_at is None:
                raise
            wait = (error.retry_at - self._channel.now()).total_seconds()
            if wait > self._patience:
                raise
            self._patience -= wait
            time.sleep(max(0.0, wait))
        return self._admin.run(document, **variables)


def _has_more(parent: dict[str, Any], name: str) -> bool:
    connection = parent.get(name)
    if not isinstance(connection, dict) or not isinstance(connection.get("pageInfo"), dict):
        raise bad_answer(name)
    return bool(connection["pageInfo"].get("hasNextPage"))
