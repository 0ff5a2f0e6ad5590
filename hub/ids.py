"""Opaque public identifiers: what the outside sees instead of our row numbers."""

from __future__ import annotations

import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o or u, which people misread."""


def new_id(prefix: str) -> str:
    """A random id such as `mem_4k0w...` with 80 bits of chance."""
    number = secrets.randbits(80)
    return f"{prefix}_{''.join(ALPHABET[(number >> shift) & 31] for shift in range(75, -1, -5))}"


def new_token() -> str:
    """An unguessable address for a channel's webhook (160 bits)."""
    number = secrets.randbits(160)
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(155, -1, -5))


def is_token(text: str) -> bool:
    """Whether a text can be a channel's address: anything else need not be looked up."""
    return len(text) == 32 and all(character in ALPHABET for character in text)


CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""32 characters that are read out and typed without mistakes: no 0, 1, I, O."""


def new_code(prefix: str = "") -> str:
    """A discount code of 13 characters (65 bits) in groups: `HUB-7Q2F-XK9M-...`."""
    number = secrets.randbits(65)
    text = "".join(CODE_ALPHABET[(number >> shift) & 31] for shift in range(60, -1, -5))
    groups = [text[:5], text[5:9], text[9:]]
    return "-".join([prefix, *groups] if prefix else groups)
