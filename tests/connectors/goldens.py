"""Golden answers: what `normalise` gives for recorded messages, as JSON beside the tests.

`HUB_WRITE_GOLDENS=1` writes them anew; read the difference before you commit it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any


def plain(happenings: Iterable[Any]) -> list[dict[str, Any]]:
    """Happenings as JSON; what is empty is left out."""
    return [{"kind": h.kind, **_plain(dataclasses.asdict(h))} for h in happenings]


def check(path: Path, found: Mapping[str, list[dict[str, Any]]]) -> None:
    """Compare with the golden file, naming the first message that differs."""
    if os.environ.get("HUB_WRITE_GOLDENS"):
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    golden = json.loads(path.read_text())
    assert sorted(found) == sorted(golden)
    for name, happenings in found.items():
        assert happenings == golden[name], name


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in (None, "", [], {}, False)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
