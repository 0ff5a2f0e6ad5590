"""What a till waits for is counted in statements: each is a way to the database and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.runtime import Runtime
from hub.web import keys
from tests.apps import an_app
from tests.hubs import running_hub
from tests.people import add
from tests.statements import counted

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}},
}
MOST = {"quote": 2, "hold": 10, "commit": 6, "void": 9}
"""With the look-up of the API key, the idempotency key, the audit and what channels are told."""


class Till:
    def __init__(self, runtime: Runtime, key: str) -> None:
        self.runtime, self.key = runtime, key
        self.client = Client(an_app(runtime))

    def ask(self, path: str, key: str = "", **wish: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": key}
        answer = self.client.post(f"/api/v1/redemptions{path}", json=wish or None, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        return answer.json


@pytest.fixture
def till(database: str, redis_url: str, tmp_path: Path) -> Iterator[Till]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        callback = {"webhook_secret": "whsec_c2VjcmV0", "callback_url": "https://till.example/"}
        hub.add_channel("generic_pos", callback, "Till")
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            ann = add(session, "members", public_id="mem_ann", program_id=hub.program.id, name="Ann")
            commands.adjust(
                session, Command(hub.program.id, ann, "g", "test", hub.runtime.chain_key), 900
            )
        yield Till(hub.runtime, key)


def test_a_till_waits_for_few_statements(till: Till) -> None:
    wish: dict[str, Any] = {"member": "mem_ann", "points": 20, "bill": 500_000}
    till.ask("/quote", **wish)  # a first request reads what all later ones know
    till.ask(f"/{till.ask('', 'a', hold=True, **wish)['id']}/commit", "b")
    with counted() as quote:
        till.ask("/quote", **wish)
    with counted() as hold:
        held = till.ask("", "c", hold=True, **wish)["id"]
    with counted() as commit:
        assert till.ask(f"/{held}/commit", "d")["code"]
    held = till.ask("", "e", hold=True, **wish)["id"]
    with counted() as void:
        assert till.ask(f"/{held}/void", "f")["state"] == "released"
    sent = {"quote": quote, "hold": hold, "commit": commit, "void": void}
    assert {step: len(statements) for step, statements in sent.items()} == MOST, sent
