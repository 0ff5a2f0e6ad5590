"""What recorded messages mean, without a database: for connector authors and for support.

The same `verify` and `normalise` as live traffic, on files: `x.headers` with `x.body` beside it, a
bare body with its topic, or a folder of either.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from hub.canonical import (
    CustomerRef,
    Happening,
    Ignored,
    Refund,
    Sale,
)
from hub.connector import Budget, Connector, Inbound, JSONObject, Lease, Verdict
from hub.errors import BadPayload, BadSignature, Fault
from hub.http import Http
from hub.transactions.judge import why_ignored
from hub.transactions.merge import amounts

HEADERS, BODY = ".headers", ".body"
_RECEIVED = re.compile(r"^# received (\d+(?:\.\d+)?)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message as found on disk."""

    file: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime | None = None


@dataclass(slots=True)
class Unconnected:
    """A channel handle with nothing behind it: `normalise` and `verify` need settings alone."""

    settings: Mapping[str, Any]
    currency: str = "VND"
    time_zone: str = "Asia/Ho_Chi_Minh"
    http: Http = field(default_factory=Http)
    webhook_url: str = ""

    def state(self) -> tuple[JSONObject, int]:
        return {}, 0

    def save_state(self, value: JSONObject, version: int) -> bool:
        raise NotImplementedError

    @contextmanager
    def once(self, name: str, seconds: float) -> Iterator[Lease | None]:
        raise NotImplementedError(name, seconds)

    def budget(self, name: str) -> Budget:
        raise NotImplementedError(name)

    def now(self) -> datetime:
        return datetime.now(UTC)


def find(paths: Iterable[Path]) -> Iterator[Recorded]:
    """Messages in files and folders, in the order of their names."""
    for path in paths:
        if path.is_dir():
            yield from _folder(path)
        elif path.suffix == HEADERS:
            yield _pair(path)
        elif path.suffix == BODY and path.with_suffix(HEADERS).exists():
            yield _pair(path.with_suffix(HEADERS))
        else:
            yield Recorded(str(path), {}, path.read_bytes())


def inspect(
    connector: type[Connector], message: Recorded, *, secret: str | None = None, topic: str | None = None
) -> JSONObject:
    """One line of `hub inspect`: what the message means, whether it is genuine, what is wrong.

    `verified` is null without a secret, and for a platform's unsigned ping: there is nothing to
    verify on it.
    """
    settings = {"webhook_secret": secret} if secret else {}
    one = connector(Unconnected(settings))
    when = message.received_at or connector.recorded_at(message.headers) or datetime.now(UTC)
    named = topic or one.topic(message.headers, message.body)
    inbound = Inbound(named, message.headers, message.body, when)
    line: JSONObject = {
        "file": message.file,
        "verified": None,
        "happenings": [],
        "ignored": None,
        "error": None,
    }
    if secret:
        line["verified"] = _verified(one, inbound)
    try:
        happenings = one.normalise(inbound)
    except Fault as fault:
        line["error"] = {"fault": fault.fault, "code": fault.code, "detail": fault.detail}
        return line
    line["happenings"] = [shown(h) for h in happenings if not isinstance(h, Ignored)]
    line["ignored"] = _ignored(happenings)
    return line


def shown(happening: Happening) -> JSONObject:
    """A happening as JSON: money in integer minor units, times in ISO 8601."""
    if isinstance(happening, Sale):
        return _sale(happening)
    row: JSONObject = {"kind": happening.kind}
    for field_ in dataclasses.fields(happening):
        value = getattr(happening, field_.name)
        row[field_.name] = _customer(value) if isinstance(value, CustomerRef) else _plain(value)
    if isinstance(happening, Refund):
        row["refunded"] = sum(m.amount for m in happening.money if m.status != "failed")
    return row


def _sale(sale: Sale) -> JSONObject:
    sums = amounts(sale)
    return {
        "kind": "sale",
        "external_id": sale.external_id,
        "number": sale.number,
        "state": sale.state.value,
        "currency": sale.currency,
        "goods_net": sums.goods_net,
        "goods_tax": sums.goods_tax,
        "shipping": sums.shipping,
        "refunded": sums.refunded,
        "eligible": sums.eligible,
        "customer": _customer(sale.customer),
        "codes": list(sale.codes),
        "test": sale.test,
        "total": sale.total,
        "placed_at": sale.placed_at.isoformat(),
        "paid_at": _plain(sale.paid_at),
        "version": sale.version,
        "as_of": sale.as_of.isoformat(),
        "place": _plain(sale.place),
        "origin": _plain(sale.origin),
        "lines": [_plain(line) for line in sale.lines],
        "payments": [_plain(payment) for payment in sale.payments],
        "refunds": [shown(refund) for refund in sale.refunds],
    }


def _customer(customer: CustomerRef | None) -> JSONObject | None:
    return None if customer is None else dict(_plain(customer))


_WRITTEN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (datetime, datetime.isoformat),
    (Enum, lambda value: value.value),
    (Decimal, str),
)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    for kind, write in _WRITTEN:
        if isinstance(value, kind):
            return write(value)
    if isinstance(value, tuple | list | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _ignored(happenings: Iterable[Happening]) -> str | None:
    """The reason when nothing the message says has an effect."""
    found = list(happenings)
    reasons = []
    for happening in found:
        if isinstance(happening, Ignored):
            reasons.append(happening.reason)
        elif isinstance(happening, Sale) and why_ignored(happening):
            reasons.append(str(why_ignored(happening)))
    return reasons[0] if reasons and len(reasons) == len(found) else None


def _verified(connector: Connector, inbound: Inbound) -> bool | None:
    try:
        verdict = connector.verify(inbound)
    except (BadSignature, BadPayload):
        return False
    return True if verdict is Verdict.VERIFIED else None


def _folder(path: Path) -> Iterator[Recorded]:
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        if file.suffix == HEADERS:
            yield _pair(file)
        elif file.suffix == ".json" or (file.suffix == BODY and not file.with_suffix(HEADERS).exists()):
            yield Recorded(str(file), {}, file.read_bytes())


def _pair(headers: Path) -> Recorded:
    text = headers.read_bytes().decode("utf-8", "replace")
    found = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and " " not in name and not line.startswith("#"):
            found[name.strip().lower()] = value.strip()
    received = _RECEIVED.search(text)
    body = headers.with_suffix(BODY)
    return Recorded(
        str(body if body.exists() else headers),
        found,
        body.read_bytes() if body.exists() else b"",
        datetime.fromtimestamp(float(received[1]), UTC) if received else None,
    )
