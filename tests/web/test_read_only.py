"""A database that only reads (a standby, a full disk): come back later, and never a thank-you."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import Connection, Engine

from hub.web import keys
from tests import signed
from tests.hubs import Hub, running_hub


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def reading_only(hub: Hub, owner: Engine) -> Iterator[None]:
    """New connections of the hub cannot write, until the test is over."""
    setting = f"ALTER DATABASE {owner.url.database}"
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _switch(hub, connection, f"{setting} SET default_transaction_read_only = on")
        yield
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        _switch(hub, connection, f"{setting} RESET default_transaction_read_only")


def _switch(hub: Hub, connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)
    hub.runtime.engine.dispose()


def test_nothing_is_acknowledged_and_the_sender_is_told_to_come_back(
    hub: Hub, request: pytest.FixtureRequest
) -> None:
    till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    with hub.runtime.sessions.begin() as session:
        _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
    request.getfixturevalue("reading_only")
    body = signed.till_sale(1, "0912345678")
    told = requests.post(
        hub.webhook(till), data=body, headers=signed.headers("generic_pos", body, "1"), timeout=15
    )
    bearer = {"Authorization": f"Bearer {key}"}
    asked = requests.get(f"{hub.url}/api/v1/rewards", headers=bearer, timeout=15)
    assert (told.status_code, asked.status_code) == (503, 503)
    assert "retry-after" in told.headers
    assert asked.json()["code"] == "database_away"
    assert hub.rows("SELECT 1 FROM deliveries") == []
