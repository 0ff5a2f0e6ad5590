"""What a shop sold before it was connected: all its customers, then its orders, in pages that can be gone on with.

Both are gathered by Shopify itself (`connectors.shopify.bulk`), the oldest change first: an order placed since then has
changed since then. A bulk query cannot ask for a refund's lines, which hang in a list, so an order with refunds is
looked up whole besides. An operation that fails half-way leaves what it had, and the next begins behind that; where it
leaves nothing, or Shopify does not take the query, orders are listed (`connectors.shopify.changes`) and looked up one
by one; customers who never bought are in no order, so then they are left out, and people are told. Without the scope
read_all_orders Shopify shows the orders of the last 60 days only, and says nothing of the others:
https://shopify.dev/docs/api/admin-graphql/latest/objects/Order
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

from connectors.shopify import bulk, changes, operations, shop
from connectors.shopify import fetch as lookups
from connectors.shopify import vocabulary as words
from connectors.shopify.bulk import Group, Operation
from connectors.shopify.client import bad_answer
from hub.connector import ChannelHandle, HistoryPage, Inbound, Lookup
from hub.errors import ChannelDown, Misconfigured, Rejected

PAGE = 100
LOOKED_UP = 20
"""Orders of a page that are looked up: what was read of a page that failed is read again."""
HIDDEN_AFTER = timedelta(days=60)
PATIENCE = 60.0
"""Seconds that one page may wait in all for the rate limit."""
POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """How far the reading is: the bookmark."""

    step: Literal["customers", "orders", "listed"]
    since: str = ""
    """What changed then or later; "": everything."""
    operation: str = ""
    """The bulk operation that gathers it; "": it is still to begin."""
    at: int = 0
    """The byte of its file at which the next object begins."""
    last: str = ""
    """When the last object that was read had changed."""
    told: int = 0
    """Messages of the steps before."""
    here: int = 0
    """Messages of this step."""

    def as_text(self) -> str:
        """The bookmark."""
        return json.dumps(asdict(self), separators=(",", ":"))


def pages(channel: ChannelHandle, since: datetime, bookmark: str) -> Iterator[HistoryPage]:
    """Customers, then orders. Raises `ChannelDown` where Shopify has to be waited for."""
    place = Place(**json.loads(bookmark)) if bookmark else Place("customers")
    reading = _Reading(channel, since, place)
    if not bookmark and since < channel.now() - HIDDEN_AFTER and shop.hides_older_orders(channel):
        yield reading.page(note="last_60_days")
    yield from reading.pages()


class _Reading:
    """One reading, from its place on."""

    def __init__(self, channel: ChannelHandle, since: datetime, place: Place) -> None:
        self._channel = channel
        self._since = since.astimezone(UTC).isoformat()
        self.place = place
        self._roots: int | None = None
        self._is_done = False

    def page(self, messages: Sequence[Inbound] = (), note: str = "") -> HistoryPage:
        """The next page, at the place as it is now."""
        expected = None if self._roots is None else self.place.told + self._roots
        return HistoryPage(messages, self.place.as_text(), expected, note)

    def pages(self) -> Iterator[HistoryPage]:
        """All that is left."""
        while self.place.step != "listed":
            yield from self._gathered()
            if self._is_done:
                return
        yield from self._listed()

    # --- by bulk operations ---

    def _gathered(self) -> Iterator[HistoryPage]:
        if not self.place.operation:
            try:
                begun = bulk.begin(self._channel, self._query())
            except Rejected:
                yield self._without_bulk()
                return
            self.place = replace(self.place, operation=begun.id, at=0)
            yield self.page()
        operation = yield from self._awaited()
        if operation is None:
            self.place = replace(self.place, operation="", at=0)
            return
        try:
            yield from self._file(operation)
        except bulk.Gone:
            self.place = replace(self.place, operation="", at=0)
            return
        yield from self._behind(operation)

    def _query(self) -> str:
        if self.place.step == "customers":
            return operations.bulk_customers(self.place.since)
        return operations.bulk_orders(self.place.since or self._since)

    def _awaited(self) -> Generator[HistoryPage, None, Operation | None]:
        while True:
            operation = bulk.look(self._channel, self.place.operation)
            if operation is None or not operation.goes_on:
                return operation
            time.sleep(POLL_SECONDS)
            yield self.page()

    def _file(self, operation: Operation) -> Iterator[HistoryPage]:
        if self.place.step == "orders" and operation.is_complete:
            self._roots = operation.roots
        is_end = operation.file is None
        while not is_end:
            assert operation.file is not None
            groups, is_end = bulk.read(
                self._channel, operation.file, self.place.at, complete=operation.is_complete
            )
            for some in _in_pages(groups):
                messages = self._messages(operation, some)
                last = str(some[-1].root.get("updatedAt") or self.place.last)
                here = self.place.here + len(messages)
                self.place = replace(self.place, at=some[-1].upto, last=last, here=here)
                yield self.page(messages)

    def _behind(self, operation: Operation) -> Iterator[HistoryPage]:
        """The next step, or, of an operation that failed, what it had not come to."""
        place = self.place
        told = place.told + place.here
        if operation.is_complete:
            self._is_done = place.step == "orders"
            if not self._is_done:
                self.place = Place("orders", told=told)
                yield self.page()
            return
        if operation.error == "ACCESS_DENIED":
            raise Misconfigured(
                "access_denied", f"Shopify denies access to its {place.step}: give the app the scopes"
            )
        if not place.last or place.last == place.since:
            yield self._without_bulk()
            return
        self.place = Place(place.step, since=place.last, told=told)
        yield self.page()
        raise ChannelDown(
            "bulk_failed", f"Shopify's bulk operation ended: {operation.error or operation.status}"
        )

    def _without_bulk(self) -> HistoryPage:
        """Customers come with their orders, orders one by one."""
        place = self.place
        self.place = Place(
            "listed", since=place.since if place.step == "orders" else "", told=place.told
        )
        if place.step == "customers":
            return self.page(note="no_list_of_customers")
        return self.page(note="one_by_one")

    def _messages(self, operation: Operation, groups: Sequence[Group]) -> list[Inbound]:
        if self.place.step == "customers":
            return [_customer(self._channel, operation, group) for group in groups]
        patience = _Patience(self._channel)
        found: list[Inbound] = []
        for group in groups:
            if group.root.get("refunds"):
                found += patience.fetch(group.root.get("id"))
            else:
                found.append(_order(self._channel, operation, group))
        return found

    # --- one by one ---

    def _listed(self) -> Iterator[HistoryPage]:
        begins = datetime.fromisoformat(self.place.since or self._since)
        told = changes.changed(self._channel, begins)
        while some := list(islice(told, LOOKED_UP)):
            begins = max([begins, *(one.changed_at for one in some if one.changed_at)])
            patience = _Patience(self._channel)
            messages = [m for one in some for m in patience.fetch(json.loads(one.body)["id"])]
            self.place = replace(self.place, since=begins.isoformat())
            yield self.page(messages)


def _in_pages(groups: Sequence[Group]) -> Iterator[list[Group]]:
    page: list[Group] = []
    looked_up = 0
    for group in groups:
        page.append(group)
        looked_up += bool(group.root.get("refunds"))
        if len(page) == PAGE or looked_up == LOOKED_UP:
            yield page
            page, looked_up = [], 0
    if page:
        yield page


# --- messages, as the answers of look-ups are ------------------------------------------------------


def _order(channel: ChannelHandle, operation: Operation, group: Group) -> Inbound:
    nodes: dict[str, list[dict[str, Any]]] = {"LineItem": [], "ShippingLine": []}
    for child in group.children:
        nodes.setdefault(str(child.pop("__typename", "")), []).append(child)
    order = group.root | {
        "lineItems": {"nodes": nodes["LineItem"], "pageInfo": {"hasNextPage": False, "endCursor": None}},
        "shippingLines": {"nodes": nodes["ShippingLine"]},
    }
    return _message(channel, operation, "sale", "order", order)


def _customer(channel: ChannelHandle, operation: Operation, group: Group) -> Inbound:
    return _message(channel, operation, "customer", "customer", group.root)


def _message(
    channel: ChannelHandle, operation: Operation, what: str, name: str, node: dict[str, Any]
) -> Inbound:
    """`date` is when this was surely so: the operation had begun, and the object had changed for the last
    time (rules.md A2)."""
    try:
        changed = datetime.fromisoformat(str(node["updatedAt"])).astimezone(UTC)
        external_id = str(node["id"]).rsplit("/", 1)[-1]
    except (KeyError, ValueError, OverflowError):
        raise bad_answer(f"id and updatedAt of each {name}") from None
    date = email.utils.format_datetime(max(changed, operation.created_at), usegmt=True)
    headers = {"content-type": "application/json", words.LOOKUP: external_id, "date": date}
    body = json.dumps(
        {"data": {name: node}}, sort_keys=True, separators=(",", ":"), default=str
    ).encode()
    return Inbound(f"fetch.{what}", headers, body, channel.now())


class _Patience:
    """Looks orders up, waiting where the rate limit says so, not longer than a page may take."""

    def __init__(self, channel: ChannelHandle) -> None:
        self._channel = channel
        self._left = PATIENCE

    def fetch(self, gid: Any) -> list[Inbound]:
        order = Lookup("sale", str(gid).rsplit("/", 1)[-1])
        while True:
            try:
                return lookups.fetch(self._channel, order)
            except ChannelDown as error:
                if error.code != "throttled" or error.retry_at is None:
                    raise
                wait = max(0.2, (error.retry_at - self._channel.now()).total_seconds())
                if wait > self._left:
                    raise
                self._left -= wait
                time.sleep(wait)
