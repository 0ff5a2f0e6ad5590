"""The address the start prints answers, and so do all it names."""

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


def test_the_front_page_names_addresses_that_answer(hub: Hub) -> None:
    front = requests.get(hub.url, timeout=10)
    assert front.status_code == 200
    named = [word for word in front.text.split() if word.startswith("/")]
    assert len(named) == 3
    assert {requests.get(hub.url + path, timeout=10).status_code for path in named} == {200}
