"""Bodies of messages for people: JSON in order, to the letter."""

from __future__ import annotations

import json
import re

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_DEEPEST = 200


def pretty(text: str) -> str:
    """JSON with a line a value. Numbers, doubled keys and their order stay as they were sent, which a
    parser would not keep; text that is no JSON, or nested beyond reading, stays as it is."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    out: list[str] = []
    depth, before = 0, ""
    for piece in _PIECE.findall(text):
        if piece in "}]":
            depth -= 1
            out.append("" if before in ("{", "[") else _line(depth))
        elif before in ("{", "[", ","):
            out.append(_line(depth))
        out.append(_readable(piece))
        if piece in "{[":
            depth += 1
        if depth > _DEEPEST:
            return text
        before = piece
    return "".join(out)


def _line(depth: int) -> str:
    return "\n" + "  " * depth


def _readable(piece: str) -> str:
    """A colon has a blank behind it; escaped letters are shown as letters, but for halves of a pair,
    which no page can carry."""
    if piece == ":":
        return ": "
    if piece.startswith('"') and "\\u" in piece:
        shown = json.dumps(json.loads(piece), ensure_ascii=False)
        return piece if any("\ud800" <= c <= "\udfff" for c in shown) else shown
    return piece
