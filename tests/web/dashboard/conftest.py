from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.connect import add_channel
from hub.outbox.channels import Channel
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


SHOP = {
    "store_url": "https://shop.example.com",
    "consumer_key": "ck_1",
    "consumer_secret": "cs_1",
    "webhook_secret": "s3cret-of-the-shop",
    "previous_webhook_secret": "0ld-one",
}


@pytest.fixture
def channel(office: Office) -> Channel:
    """A shop of ours that nobody answers for."""
    with office.runtime.sessions.begin() as session:
        return add_channel(
            session, office.runtime, program_id=office.ours.id, kind="woocommerce", name="Shop",
            settings=SHOP, actor="test",
        )  # fmt: skip
