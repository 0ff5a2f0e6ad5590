"""Roles and what each may do: one table, asked by every page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Role = Literal["owner", "marketing", "support", "cashier", "viewer"]
Right = Literal["look", "members", "redeem", "support", "own"]
"""look: see orders, messages and channels. members: see members. redeem: spend a member's points.
support: replay, adjust, claim, re-verify. own: everything else, above all channels and secrets."""

ROLES: tuple[Role, ...] = ("owner", "marketing", "support", "cashier", "viewer")

RIGHTS: Mapping[Role, frozenset[Right]] = {
    "owner": frozenset({"look", "members", "redeem", "support", "own"}),
    "support": frozenset({"look", "members", "redeem", "support"}),
    "marketing": frozenset({"look", "members"}),
    "viewer": frozenset({"look", "members"}),
    "cashier": frozenset({"members", "redeem"}),
}

ROLE_WORDS: Mapping[str, str] = {
    "owner": "Owner",
    "marketing": "Marketing",
    "support": "Support",
    "cashier": "Cashier",
    "viewer": "Viewer",
}


def may(role: Role, right: Right) -> bool:
    """Whether a role has a right."""
    return right in RIGHTS[role]
