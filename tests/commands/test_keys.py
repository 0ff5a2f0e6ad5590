"""API keys at the command line: made, listed without their secrets, revoked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.hubs import Hub, running_hub

Command = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


def test_a_key_is_listed_with_its_last_use_and_opens_nothing_once_revoked(
    hub: Hub,
    run: Command,
) -> None:
    (made,) = run("program", "key", "Till", "--scope", "members:read")

    def ask() -> int:
        headers = {"Authorization": f"Bearer {made['key']}"}
        return requests.get(f"{hub.url}/api/v1/members?limit=1", headers=headers, timeout=10).status_code

    assert run("program", "keys")[0]["last_used_at"] is None
    assert ask() == 200
    (listed,) = run("program", "keys")
    assert (listed["id"], listed["scopes"], listed["revoked_at"]) == (made["id"], "members:read", None)
    assert listed["last_used_at"] is not None
    assert made["key"] not in str(listed)
    run("program", "revoke-key", made["id"])
    assert ask() == 401
    assert run("program", "keys")[0]["revoked_at"] is not None
    (again,) = run("program", "revoke-key", made["id"], code=1, as_json=False)
    assert f"there is no key '{made['id']}' that is in force" in again["said"]
    audited = hub.rows("SELECT action FROM audit WHERE action LIKE 'api_key.%' ORDER BY id")
    assert [row.action for row in audited] == ["api_key.created", "api_key.revoked"]
