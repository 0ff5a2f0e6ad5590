"""JSON that breaks parsers: the public cases, and more of our own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "data" / "json_torture.json"
DEEP = 100_000


def public_cases() -> Iterator[tuple[str, bytes]]:
    """(name, body) of each case of JSONTestSuite that the file holds."""
    for case in json.loads(CASES.read_text())["cases"]:
        body = _made(case)
        assert hashlib.sha256(body).hexdigest() == case["sha256"], case["name"]
        yield case["name"], body


def _made(case: dict[str, Any]) -> bytes:
    if "base64" in case:
        return base64.b64decode(case["base64"])
    made = case["generate"]
    return f"{made['repeat'] * made['times']}{made.get('then', '')}".encode()


def own_cases() -> Iterator[tuple[str, bytes]]:
    """(name, body) of what the public cases lack."""
    yield "empty", b""
    yield "blank", b" \r\n\t"
    yield "nul byte", b"\x00"
    yield "nul inside", b'{"id": "a\x00b"}'
    yield "escaped nul", b'{"id": "\\u0000", "type": "\\u0000"}'
    yield "lone surrogate", b'{"id": "\\ud800"}'
    yield "lone surrogate as key", b'{"\\udfff": 1}'
    yield "surrogates the wrong way round", b'{"id": "\\udc00\\ud800"}'
    yield "surrogate in UTF-8", b'{"id": "\xed\xa0\x80"}'
    yield "overlong UTF-8", b'{"id": "\xc0\x80"}'
    yield "cut UTF-8", b'{"id": "\xe2\x82"}'
    yield "UTF-16", '{"id": 1}'.encode("utf-16")
    yield "byte order mark", b'\xef\xbb\xbf{"id": 1}'
    yield "gzip", base64.b64decode("H4sIAAAAAAAAA6uuBQBDv6ajAgAAAA==")
    yield "form", b"webhook_id=14&id=7"
    yield "html", b"<html><body>Just a moment...</body></html>"
    yield "truncated", b'{"id": 7, "line_items": [{"id"'
    yield "two values", b'{"id": 7}{"id": 8}'
    yield "trailing comma", b'{"id": 7,}'
    yield "comment", b'{"id": 7} // seven'
    for word in ("NaN", "Infinity", "-Infinity", "nan", "undefined", "True", "None"):
        yield word, f'{{"id": {word}, "total_price": {word}}}'.encode()
    for number in ("1e400", "-1e400", "1e-400", "1E9999999999", "-0", "-0.0", "0e0", "1" * 5000):
        yield f"number {number[:12]}", f'{{"id": {number}, "version": {number}}}'.encode()
    yield "long decimal", b'{"id": 7, "total_price": 0.' + b"3" * 20_000 + b"}"
    yield "long integer in text", b'{"id": 7, "total_price": "' + b"9" * 5000 + b'"}'
    yield "duplicate keys", b'{"id": 7, "id": 8, "total_price": "1.00", "total_price": "9.00"}'
    yield "proto", b'{"__proto__": {"id": 7}, "constructor": {"prototype": {}}}'
    yield "deep objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP
    yield "deep lists", b"[" * DEEP + b"]" * DEEP
    yield "just too deep", b'{"a":' * 201 + b"1" + b"}" * 201
    yield "wide list", b'{"line_items": [' + b",".join([b"0"] * DEEP) + b"]}"
    yield "many keys", b"{" + b",".join(b'"k%d": 0' % n for n in range(DEEP)) + b"}"
    yield "long key", b'{"' + b"k" * 1_000_000 + b'": 7}'
    yield "long text", b'{"id": "' + b"x" * 1_000_000 + b'"}'
    yield "ids of one kind too many", b'{"id": ' + b"[" * 150 + b"7" + b"]" * 150 + b"}"


def every_case() -> list[tuple[str, bytes]]:
    """All of them."""
    return [*public_cases(), *own_cases()]
