"""PostgreSQL gone, back again, or only willing to read: never a thank-you for what is not on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import requests

from hub import embedded, migrate
from hub.db import libpq_url
from hub.outbox.channels import Channel
from hub.web import keys
from tests import signed
from tests.crew import Crew, a_crew
from tests.ups import a_home, wait_for

REWARDS = [{"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}}]
DOCUMENT = {"earn": {"points": 1, "per": {"VND": "10000"}}, "rewards": REWARDS}


@dataclass
class House:
    """A hub on a PostgreSQL that the test may take away."""

    crew: Crew
    till: Channel
    key: str
    data: Path

    def send(self, number: int) -> requests.Response:
        body = signed.till_sale(number, "0912345678")
        headers = signed.headers("generic_pos", body, str(number))
        return requests.post(self.crew.hub.webhook(self.till), data=body, headers=headers, timeout=15)

    def ask(self, verb: str, path: str) -> requests.Response:
        wish = {"member": "mem_x", "reward": "small"} if verb == "POST" else None
        bearer = {"Authorization": f"Bearer {self.key}"}
        return requests.request(
            verb, f"{self.crew.hub.url}{path}", headers=bearer, json=wish, timeout=15
        )

    def keys(self) -> list[str]:
        return [row.key for row in self.crew.hub.rows("SELECT key FROM deliveries ORDER BY id")]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with a_home() as home:
        servers = embedded.start(home / "data", durable=True)
        migrate.upgrade(servers.database_url)
        with a_crew(servers.database_url, servers.redis_url, tmp_path, document=DOCUMENT) as crew:
            till = crew.hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "till")
            with crew.hub.runtime.sessions.begin() as session:
                _, key = keys.create(
                    session, crew.hub.program, name="t", scopes=keys.SCOPES, actor="test"
                )
            crew.serve()
            yield House(crew, till, key, home / "data")


def assert_try_again(answer: requests.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0


def test_while_the_database_is_away_everybody_is_told_to_come_again(house: House) -> None:
    assert house.send(1).status_code == 200
    embedded.stop(house.data)
    for number in (2, 3):
        assert_try_again(house.send(number))
    for verb, path in (("GET", "/api/v1/rewards"), ("POST", "/api/v1/redemptions")):
        answer = house.ask(verb, path)
        assert_try_again(answer)
        assert answer.headers["content-type"] == "application/problem+json"
    assert house.ask("GET", "/readyz").status_code == 503
    assert house.ask("GET", "/healthz").status_code == 200
    embedded.start(house.data, durable=True)
    wait_for(lambda: house.send(4).status_code == 200, seconds=20)
    assert house.send(2).status_code == 200
    assert house.keys() == ["1", "4", "2"]
    assert house.ask("GET", "/api/v1/rewards").status_code == 200


def test_a_database_that_only_reads_takes_nothing_and_says_so(house: House) -> None:
    assert house.send(1).status_code == 200
    _read_only(house, "on")
    assert_try_again(house.send(2))
    assert_try_again(house.ask("POST", "/api/v1/redemptions"))
    _read_only(house, "off")
    wait_for(lambda: house.send(2).status_code == 200, seconds=20)
    assert house.keys() == ["1", "2"]


def _read_only(house: House, state: str) -> None:
    url = libpq_url(house.crew.hub.runtime.settings.database_url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        name = connection.info.dbname
        connection.execute(
            f'ALTER DATABASE "{name}" SET default_transaction_read_only = {state}'.encode()
        )
        connection.execute(
            b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            b" WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
