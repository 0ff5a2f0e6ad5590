"""Schemathesis asks what the served document says: no 5xx, and every answer is as described."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hub.ledger import commands
from hub.ledger.commands import Command
from hub.web import keys
from hub.web.api.document import METHODS
from tests.apps import an_app
from tests.hubs import Hub, running_hub
from tests.pace import paced
from tests.people import add

with warnings.catch_warnings():  # what it imports warns of its own future
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode, checks
    from schemathesis.specs.openapi import checks as described

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}},
    "rewards": [{"id": "tea", "name": "Tea", "cost": 1, "amount": {"VND": "50000"}}],
    "actions": [{"id": "review", "points": 5}],
    "tiers": {"levels": [{"id": "gold", "name": "Gold", "from": "1000000"}], "currency": "VND"},
}
CHECKS = [
    checks.not_a_server_error,
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_headers_conformance,
    described.response_schema_conformance,
]


@dataclass
class House:
    """A hub, what is in it by the names of the document's parameters, and a key to all of it."""

    hub: Hub
    app: Flask
    key: str
    known: Mapping[str, str]


@pytest.fixture
def house(database: str, redis_url: str, tmp_path: Path) -> Iterator[House]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        app = an_app(hub.runtime)
        with hub.runtime.sessions.begin() as session:
            _, key = keys.create(session, hub.program, name="t", scopes=keys.SCOPES, actor="test")
            ann = add(session, "members", public_id="mem_ann", program_id=hub.program.id, name="Ann")
            order = Command(hub.program.id, ann, "start", "test", hub.runtime.chain_key)
            commands.adjust(session, order, 1_000_000)
            shop = add(session, "channels", public_id="chn_a", program_id=hub.program.id, kind="generic_pos",
                       name="Till", token="t" * 32, secrets=b"")  # fmt: skip
            add(session, "transactions", public_id="txn_a", program_id=hub.program.id, channel_id=shop,
                external_id="1", state="paid", currency="VND", placed_at="2026-11-01Z")  # fmt: skip
        with app.test_client() as client:
            bought = client.post(
                "/api/v1/redemptions",
                json={"member": "mem_ann", "reward": "tea"},
                headers={"Authorization": f"Bearer {key}"},
            ).get_json()
        known = {
            "member_id": "mem_ann", "member": "mem_ann", "transaction_id": "txn_a", "order": "txn_a",
            "redemption_id": bought["id"], "code": bought["code"], "channel": "chn_a", "reward": "tea",
            "event": "review", "tag": "vip", "currency": "VND", "tier": "gold",
        }  # fmt: skip
        yield House(hub, app, key, known)


def test_whatever_is_asked_the_answer_is_as_the_document_says(house: House) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", house.app)
    asked = 0
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            asked += _ask(house, operation, mode)
    assert asked > 100
    house.hub.assert_clean()


def _ask(house: House, operation: Any, mode: GenerationMode) -> int:
    """Ask one operation a number of times; how often."""
    count = 0
    strategy = operation.as_strategy(generation_mode=mode)

    @seed(1)
    @settings(
        max_examples=paced(4, 50),
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy, knows=st.booleans())
    def ask(case: Any, knows: bool) -> None:
        nonlocal count
        if knows:
            _name_what_is_there(case, house.known)
        count += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case.call_and_validate(
                headers={**(case.headers or {}), "Authorization": f"Bearer {house.key}"}, checks=CHECKS
            )

    ask()
    return count


def _name_what_is_there(case: Any, known: Mapping[str, str]) -> None:
    """Made-up ids end in a 404: most questions are worth more about something that is there."""
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: known[name] for name in part if name in known})


def test_every_operation_says_its_scope_and_what_it_answers(house: House) -> None:
    document = house.app.extensions["hub_openapi"]
    assert document["openapi"] == "3.1.0"
    found = {
        (path, method): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }
    assert {one["x-scope"] for one in found.values()} == set(keys.SCOPES)
    assert len({one["operationId"] for one in found.values()}) == len(found)
    for (path, method), one in found.items():
        names = {parameter["name"] for parameter in one.get("parameters", ())}
        reads = method == "get" or path.endswith(("/quote", "/simulate", "/one-time-codes"))
        assert ("Idempotency-Key" in names) is (method == "post" and not reads), path
        assert one["responses"]["default"]["content"].keys() == {"application/problem+json"}


def test_the_reference_page_shows_every_operation_without_a_foreign_host(house: House) -> None:
    answer = house.app.test_client().get("/api/v1/reference", headers={"Accept-Language": "vi"})
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for path in house.app.extensions["hub_openapi"]["paths"]:
        assert f"{path}</code>" in answer.text, path
    assert "lines[].sku" in answer.text
    assert '<html lang="vi"' in answer.text
    assert "Cần quyền" in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "style=" not in answer.text
