"""The address the start prints leads people to the login, and machines find what they look for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.hubs import Hub, running_hub


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


def test_the_front_leads_to_the_login(hub: Hub) -> None:
    front = requests.get(hub.url, timeout=10)
    assert (front.status_code, front.url) == (200, f"{hub.url}/login?back=/")
    assert 'name="password"' in front.text


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/api/v1/openapi.json", "/docs/hub.sale-1.schema.json"]
)
def test_machines_need_no_login_and_get_no_cookie(hub: Hub, path: str) -> None:
    answer = requests.get(hub.url + path, timeout=10)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
