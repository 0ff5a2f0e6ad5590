"""Deliveries recorded from real stores: `x.headers` (an HTTP request head) with `x.body` beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hub.connector import Connector, Inbound

TESTS = Path(__file__).parent.parent


def headers_of(path: Path) -> dict[str, str]:
    """Header lines, names in lower case; the request line and comments are left out."""
    lines = path.read_text().splitlines()[1:]
    pairs = (line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    return {name.strip().lower(): value.strip() for name, value in pairs}


def recorded(connector: Connector, folder: Path) -> dict[str, Inbound]:
    """Name without suffix -> message, in the order of the names."""
    found = {}
    for body in sorted(folder.glob("*.body")):
        headers, content = headers_of(body.with_suffix(".headers")), body.read_bytes()
        topic = connector.topic(headers, content)
        found[body.stem] = Inbound(topic, headers, content, datetime(2026, 11, 23, tzinfo=UTC))
    return found
