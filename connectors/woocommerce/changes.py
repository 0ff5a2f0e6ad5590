"""What changed in a store, page by page, and orders read again: the store asked for what it did not tell.

Orders: `modified_after` is exclusive and compares whole seconds; with naive times it means shop time unless
`dates_are_gmt=true` (seen on running stores; see README.md). Pages are not counted: an order that changes while
we read moves to the end, and everything behind its old place up by one. So each request begins just before the last
second that was read, and what was read of that second is passed over.
Customers have no such filter: new ones are listed by when they registered; a change of one is told by webhook only.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.woocommerce.client import Store
from hub.connector import Inbound
from hub.errors import ChannelDown

PER_PAGE = 100
"""The most WooCommerce gives (101 is refused)."""
_SECOND = timedelta(seconds=1)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_DECODER = json.JSONDecoder()
_BLANK, _COMMA = re.compile(r"\s*"), re.compile(r"\s*,?\s*")

POLLED_SALE = "poll.sale"
POLLED_CUSTOMER = "poll.customer"


def changed(store: Store, since: datetime, now: Callable[[], datetime]) -> Iterator[Inbound]:
    """Orders, those in the trash too, and new customers, the oldest change first."""
    streams = (
        orders(store, since, now, status="any"),
        orders(store, since, now, status="trash"),
        _customers(store, since, now),
    )
    return heapq.merge(*streams, key=lambda inbound: inbound.changed_at or since)


def read_again(store: Store, ids: Sequence[str], now: Callable[[], datetime]) -> Iterator[Inbound]:
    """These orders, wherever they are; one that was deleted for good does not come."""
    for status in ("any", "trash"):
        listed = one_page(store, "orders", PER_PAGE, include=",".join(ids), status=status)
        for order in listed.things:
            yield message(POLLED_SALE, order, listed.date, now, order.modified)


def orders(
    store: Store, since: datetime, now: Callable[[], datetime], *, status: str
) -> Iterator[Inbound]:
    """Orders of that status which changed since then, the oldest change first."""
    after, page, read, size = since - _SECOND, 1, set[int](), PER_PAGE
    while True:
        try:
            listed = one_page(
                store, "orders", size, modified_after=gmt(after), dates_are_gmt="true",
                orderby="modified", order="asc", status=status, page=str(page),
            )  # fmt: skip
        except ChannelDown as error:
            if error.code != "too_long" or size == 1:
                raise
            size, page = max(1, size // 10), 1  # orders of thousands of lines: fewer at once
            continue
        for order in listed.things:
            if order.id not in read:
                yield message(POLLED_SALE, order, listed.date, now, order.modified)
        if len(listed.things) < size:
            return
        last = listed.things[-1].modified
        of_last = {order.id for order in listed.things if order.modified == last}
        if last - _SECOND > after:
            after, page, read = last - _SECOND, 1, of_last
        else:  # more orders than a page have changed in this one second
            page, read = page + 1, read | of_last


def _customers(store: Store, since: datetime, now: Callable[[], datetime]) -> Iterator[Inbound]:
    """New ones, those who registered first first; WooCommerce lists the role `customer` alone, so no staff.
    Most rounds need one page, the newest; where all of that are new, the first new one is searched for by halves."""
    newest = _people(store, 1, "desc")
    if len(newest.things) < PER_PAGE or newest.things[-1].created < since:
        for one in reversed(newest.things):
            if one.created >= since:
                yield message(POLLED_CUSTOMER, one, newest.date, now, one.created)
        return
    page = _first_page(store, since, -(-(newest.total or 0) // PER_PAGE))
    while True:
        listed = _people(store, page, "asc")
        for one in listed.things:
            if one.created >= since:
                yield message(POLLED_CUSTOMER, one, listed.date, now, one.created)
        if len(listed.things) < PER_PAGE:
            return
        page += 1


def _people(store: Store, page: int, order: str) -> Listed:
    return one_page(store, "customers", PER_PAGE, orderby="registered_date", order=order, page=str(page))


def _first_page(store: Store, since: datetime, pages: int) -> int:
    """The page before that of the first who registered since then: one who is deleted meanwhile moves the others
    up by a place. Where the store does not say how many pages there are, the first of all."""
    low, high = 1, max(1, pages)
    while low < high:
        middle = (low + high) // 2
        things = _people(store, middle, "asc").things
        if not things or things[-1].created >= since:
            high = middle
        else:
            low = middle + 1
    return max(1, low - 1)


@dataclass(frozen=True, slots=True)
class _Thing:
    """One element of a list: its id and times, and its text to the letter."""

    id: int
    created: datetime
    modified: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One page, when the store answered, and how many there are on all pages, where it says so."""

    things: Sequence[_Thing]
    date: str
    total: int | None = None


def one_page(store: Store, path: str, size: int, **params: str) -> Listed:
    """One page of a list. Raises `ChannelDown` and `Misconfigured`."""
    answer = store.get(path, per_page=str(size), **params)
    things = [_thing(path, value, text) for value, text in _elements(path, answer.body)]
    total = answer.headers.get("x-wp-total", "")
    return Listed(things, answer.headers.get("date", ""), int(total) if total.isdecimal() else None)


def _elements(path: str, body: bytes) -> Iterator[tuple[Any, str]]:
    """The elements of a JSON list, each with its own text: a number printed anew would be another."""
    text = body.decode("utf-8-sig")
    at = _BLANK.match(text, 0).end()  # type: ignore[union-attr]
    if text[at : at + 1] != "[":
        raise ChannelDown("not_a_list", f"the store answered GET {path} with something else than a list")
    at = _BLANK.match(text, at + 1).end()  # type: ignore[union-attr]
    while text[at : at + 1] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield value, text[at:end]
        at = _COMMA.match(text, end).end()  # type: ignore[union-attr]


def _thing(path: str, value: Any, text: str) -> _Thing:
    if not isinstance(value, dict) or not isinstance(value.get("id"), int):
        raise ChannelDown("not_a_list", f"the store lists something without an id at GET {path}")
    created, changed = (_time(value.get(name)) for name in ("date_created_gmt", "date_modified_gmt"))
    return _Thing(value["id"], created or _NEVER, changed or created or _NEVER, text)


def message(
    topic: str, thing: _Thing, date: str, now: Callable[[], datetime], changed_at: datetime
) -> Inbound:
    """One element of a list as a message."""
    headers = {"date": date} if date else {}
    return Inbound(topic, headers, thing.text.encode(), now(), changed_at=changed_at)


def _time(text: object) -> datetime | None:
    """A `_gmt` time, which bears no zone; plugins leave it out."""
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError:
        return None


def gmt(moment: datetime) -> str:
    """A time as the store reads it with `dates_are_gmt`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
