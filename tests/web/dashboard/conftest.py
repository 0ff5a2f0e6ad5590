from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.runtime import Runtime
from hub.settings import Settings
from tests.desks import Office

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}}],
}


@pytest.fixture
def office(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    """Two programs with people in every role."""
    settings = Settings(
        data=tmp_path, database_url=database, redis_url=redis_url, allow_private_hosts=("127.0.0.1",)
    )
    runtime = Runtime.start(settings, "web")
    yield Office.new(runtime, DOCUMENT)
    runtime.engine.dispose()
