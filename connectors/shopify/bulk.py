"""Bulk operations: Shopify runs a query over all of a shop by itself and leaves the answer as a file of lines of JSON.

`bulkOperationRunQuery` begins one (five at once in a shop), `bulkOperation(id)` says how far it is, `url` is where the
file lies for seven days; of one that failed, `partialDataUrl` has what it had by then. Each object of a connection has
a line of its own, those of a nested one with `__parentId`; asked for grouped, they stand under their parent, which is
what lets a file of any size be read in parts of a few megabytes (`Range`, which the store of these files knows:
https://cloud.google.com/storage/docs/xml-api/get-object-download). Five connections at most, two deep, none in a list.
https://shopify.dev/docs/api/usage/bulk-operations/queries
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.shopify import operations
from connectors.shopify.client import Admin, bad_answer
from hub.connector import ChannelHandle
from hub.errors import BadPayload, ChannelDown, Rejected
from hub.payload import parse_object

PART = 2 * 1024 * 1024
"""Bytes of the file that are read at once."""
MOST = 9 * 1024 * 1024
"""An object with all that belongs to it is not longer than this."""
_BUSY = frozenset({"operation_in_progress", "limit_reached"})
_AGAIN = timedelta(minutes=2)
_GOING = frozenset({"CREATED", "RUNNING", "CANCELING"})


class Gone(Exception):
    """The file is there no more: its address has expired."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One bulk operation as Shopify tells of it."""

    id: str
    status: str
    created_at: datetime
    url: str | None
    partial_url: str | None
    error: str | None
    roots: int
    """How many objects it has found, those of nested connections not counted."""

    @property
    def goes_on(self) -> bool:
        """It is not at its end yet."""
        return self.status in _GOING

    @property
    def is_complete(self) -> bool:
        """All of the answer is in the file; no file: it found nothing."""
        return self.status == "COMPLETED"

    @property
    def file(self) -> str | None:
        """Where what there is of the answer lies."""
        return self.url or self.partial_url


@dataclass(frozen=True, slots=True)
class Group:
    """An object, and those of its nested connections."""

    root: dict[str, Any]
    children: tuple[dict[str, Any], ...]
    upto: int
    """The byte of the file at which the next one begins."""


def begin(channel: ChannelHandle, query: str) -> Operation:
    """Have a query run. Raises `Rejected` where Shopify does not take it, `ChannelDown` where the shop has as
    many operations running as it may."""
    try:
        payload = Admin(channel).change("bulkOperationRunQuery", operations.BULK_RUN, query=query)
    except Rejected as refused:
        if refused.code not in _BUSY:
            raise
        raise ChannelDown(
            "bulk_busy", "the shop runs other bulk operations", retry_at=channel.now() + _AGAIN
        ) from None
    return _operation(payload.get("bulkOperation"))


def look(channel: ChannelHandle, operation_id: str) -> Operation | None:
    """How far it is; None: Shopify knows it no more, or not where its file is."""
    node = Admin(channel).run(operations.BULK_OPERATION, id=operation_id).node("bulkOperation")
    found = None if node is None else _operation(node)
    return None if found is None or found.status == "EXPIRED" else found


def _operation(node: Any) -> Operation:
    try:
        return Operation(
            str(node["id"]),
            str(node["status"]),
            datetime.fromisoformat(str(node["createdAt"])).astimezone(UTC),
            node.get("url"),
            node.get("partialDataUrl"),
            node.get("errorCode"),
            int(node.get("rootObjectCount") or 0),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        raise bad_answer("bulkOperation") from None


def read(channel: ChannelHandle, url: str, at: int, *, complete: bool) -> tuple[list[Group], bool]:
    """The groups of the file from a byte on, as many as a part holds, and whether those are the last.
    `complete`: false for a file that was cut short, whose last group may lack something and is left out.
    Raises `Gone`, and `ChannelDown` (`too_long` where the store sends the whole file at once)."""
    size = PART
    while True:
        part, is_end = _part(channel, url, at, size)
        groups = list(_groups(part, at, is_last=is_end and complete))
        if groups or is_end:
            return groups, is_end
        if size >= MOST:
            raise ChannelDown("too_long", f"an object of the bulk operation is longer than {MOST} bytes")
        size = min(size * 2, MOST)


def _part(channel: ChannelHandle, url: str, at: int, size: int) -> tuple[bytes, bool]:
    headers = {"range": f"bytes={at}-{at + size - 1}", "accept-encoding": "identity"}
    answer = channel.http.request("GET", url, headers=headers, max_bytes=MOST)
    if answer.status == 200:  # a short file may come whole
        return answer.body[at : at + size], len(answer.body) <= at + size
    if answer.status == 206:
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        if not total.isdigit():
            raise bad_answer("the length of the file")
        return answer.body, at + len(answer.body) >= int(total)
    if answer.status == 416:
        return b"", True
    if 400 <= answer.status < 500:
        raise Gone
    raise bad_answer("the file of the bulk operation")


def _groups(part: bytes, at: int, *, is_last: bool) -> Iterator[Group]:
    root: dict[str, Any] | None = None
    children: list[dict[str, Any]] = []
    for line in part.splitlines(keepends=True):
        if not line.endswith(b"\n") and not is_last:
            break
        node = _parsed(line)
        parent = node.pop("__parentId", None)
        if parent is None:
            if root is not None:
                yield Group(root, tuple(children), at)
            root, children = node, []
        elif root is None or parent != root.get("id"):
            raise bad_answer("each line under its parent")
        else:
            children.append(node)
        at += len(line)
    if root is not None and is_last:
        yield Group(root, tuple(children), at)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        return parse_object(line)
    except BadPayload:
        raise bad_answer("a line of JSON") from None
