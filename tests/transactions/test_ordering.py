"""Sales of one moment stand in the order of their ids' bytes, wherever they are read."""

from __future__ import annotations

import re
from pathlib import Path

import hub

_SALES_IN_ORDER = re.compile(r"ORDER BY t\.placed_at, t\.channel_id, t\.external_id(.*)")


def test_the_collation_of_a_database_has_no_say_in_which_of_two_sales_came_first() -> None:
    """The rules sort in Python, by code points: a database of another collation would put `a1` before `B1`, and
    two places that ask for the first order of a code, or of a friend, would name two."""
    found = {
        file.name: match[1]
        for file in Path(hub.__file__).parent.rglob("*.py")
        for match in _SALES_IN_ORDER.finditer(file.read_text())
    }
    assert {"past.py", "coded.py", "referrals.py", "uses.py", "double_uses.py", "windows.py"} <= set(
        found
    )
    assert {name: rest for name, rest in found.items() if not rest.startswith(' COLLATE "C')} == {}
