"""Programs cannot see each other: somebody else's id is answered like one that does not exist."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from hub.ids import new_id
from hub.ledger import commands
from hub.members import staff, view
from hub.outbox import channels
from hub.program import store
from hub.program.store import Program
from hub.redemption.redeem import Order, redeem
from hub.runtime import Runtime
from hub.settings import Settings
from hub.web import keys
from tests.apps import an_app
from tests.people import START, add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "small", "name": "Small", "cost": 20, "amount": {"VND": "50000"}}],
}
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPEN = {"/api/v1/openapi.json", "/api/v1/reference"}
"""Routes that need no key and say nothing about anybody."""


@dataclass(frozen=True)
class House:
    """One program with a member who has redeemed, and a key that may do everything."""

    program: Program
    member: str
    transaction: str
    redemption: str
    voucher: str
    code: str
    key: str
    version: str
    """The newest of the programme: their programme has one more than ours."""

    def ids(self, argument: str) -> list[str]:
        """What to put where a route takes this argument."""
        return {
            "member_id": [self.member],
            "transaction_id": [self.transaction],
            "redemption_id": [self.redemption],
            "tag": ["press"],
            "ref": [f"Lan of {self.program.slug}"],
            "number": [self.version],
            "code": [self.code, self.code.lower(), self.voucher],
        }[argument]


@dataclass(frozen=True)
class Street:
    """Two houses behind one door."""

    runtime: Runtime
    client: FlaskClient
    ours: House
    theirs: House

    def ask(self, verb: str, path: str, key: str | None = None, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {key or self.ours.key}"}
        return self.client.open(path, method=verb, headers=headers, **more)

    def rules(self) -> list[Rule]:
        found = self.client.application.url_map.iter_rules()
        return [rule for rule in found if rule.rule.startswith("/api/") and rule.rule not in OPEN]


@pytest.fixture
def street(database: str, redis_url: str, tmp_path: Path) -> Iterator[Street]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url)
    runtime = Runtime.start(settings)
    ours, theirs = (house(runtime, slug) for slug in ("ours", "theirs"))
    yield Street(runtime, an_app(runtime).test_client(), ours, theirs)
    runtime.engine.dispose()


def house(runtime: Runtime, slug: str) -> House:
    chain_key = runtime.chain_key
    with runtime.sessions.begin() as session:
        program = store.create(
            session, slug=slug, name=slug, currency="VND", time_zone="UTC", region="VN",
            starts_at=START, document=DOCUMENT, actor="test",
        )  # fmt: skip
        channel = add(
            session, "channels", public_id=new_id("chn"), program_id=program.id, kind="generic_pos",
            name="Till", token=slug, secrets=b"",
        )  # fmt: skip
        public_id = new_id("mem")
        member = add(session, "members", public_id=public_id, program_id=program.id, name="Ann")
        add(
            session, "identities", program_id=program.id, member_id=member, kind="phone",
            value=f"+8491234567{len(slug)}",
        )  # fmt: skip
        transaction = new_id("txn")
        add(
            session, "transactions", public_id=transaction, program_id=program.id, channel_id=channel,
            external_id="1", member_id=member,
        )  # fmt: skip
        staff.put(session, program.id, f"Lan of {slug}", member, runtime.clock())
        order = commands.Command(program.id, member, "start", "test", chain_key)
        commands.adjust(session, order, 100)
        wish = Order(program.id, member, "small", "test", chain_key)
        version = 1
        if slug == "theirs":
            now = datetime.now(UTC)
            version = store.add_version(
                session, program, DOCUMENT, effective_from=now, now=now, actor="test"
            )
        rules = store.versions(session, program)[0]
        done = redeem(session, wish, rules, channels.of_program(session, program.id))
        _, key = keys.create(session, program, name="t", scopes=keys.SCOPES, actor="test")
    return House(program, public_id, transaction, done.id, done.voucher, done.code, key, str(version))


def paths(rule: Rule, house: House) -> list[str]:
    """The route with every id of that house in the place of its arguments."""
    names = sorted(rule.arguments)
    found = []
    for values in itertools.product(*(house.ids(name) for name in names)):
        path = rule.rule
        for name, value in zip(names, values, strict=True):
            path = re.sub(rf"<(\w+:)?{name}>", value, path)
        found.append(path)
    return found


def test_every_route_and_verb_answers_another_programs_ids_like_unknown_ones(street: Street) -> None:
    tried = 0
    for rule in street.rules():
        for path, verb in itertools.product(paths(rule, street.theirs), VERBS):
            if not rule.arguments:
                continue
            answer = street.ask(verb, path)
            expected = 404 if verb in (rule.methods or ()) else 405
            assert answer.status_code == expected, (verb, path, answer.text)
            unknown = street.ask(verb, re.sub(r"_[0-9a-z]{16}\b", "_0000000000000000", path))
            if "/vouchers/" not in path:
                assert (answer.status_code, answer.text) == (unknown.status_code, unknown.text)
            tried += expected == 404
    assert tried >= 8


def test_the_same_routes_answer_the_owner(street: Street) -> None:
    """Or the test above would pass on routes that answer nobody."""
    for rule in street.rules():
        for path in paths(rule, street.theirs):
            if rule.arguments and "GET" in (rule.methods or ()):
                assert street.ask("GET", path, street.theirs.key).status_code == 200, path


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_lists_and_commands_know_nothing_of_another_programs_people(street: Street, verb: str) -> None:
    theirs = street.theirs
    if verb == "GET":
        for query in ({"phone": "+84912345676"}, {"phone": "0912345676"}):
            answer = street.ask("GET", "/api/v1/members", query_string=query)
            assert (answer.status_code, answer.json) == (200, [])
        own = street.ask("GET", "/api/v1/members", theirs.key, query_string={"phone": "0912345676"})
        assert [m["id"] for m in own.json or []] == [theirs.member]
        return
    wish = {"member": theirs.member, "reward": "small"}
    answer = street.ask("POST", "/api/v1/redemptions", json=wish)
    assert (answer.status_code, (answer.json or {})["code"]) == (404, "not_found")
    with street.runtime.sessions() as session:
        found = view.find(session, theirs.program.id, theirs.member)
        assert found is not None
        assert view.balance(session, found.id, street.runtime.clock())["balance"] == 80


def test_nothing_is_answered_without_a_key(street: Street) -> None:
    headers: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer hubkey_unknown"},
        {"Authorization": f"Basic {street.ours.key}"},
        {"Authorization": "Bearer hubkey_\xff\xfe"},
        {"Authorization": f"Bearer {street.ours.key}x"},
    )
    for rule, given in itertools.product(street.rules(), headers):
        for verb in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            path = paths(rule, street.ours)[0]
            answer = street.client.open(path, method=verb, headers=given, json={})
            assert answer.status_code == 401, (verb, path, given)
            assert answer.content_type == "application/problem+json"
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_key_opens_nothing_from_the_next_request_on(street: Street) -> None:
    path = f"/api/v1/members/{street.ours.member}"
    assert street.ask("GET", path).status_code == 200
    with street.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE api_keys SET revoked_at = now()")
    assert street.ask("GET", path).status_code == 401


def test_every_route_needs_its_scope_and_says_which(street: Street) -> None:
    with street.runtime.sessions.begin() as session:
        _, bare = keys.create(session, street.ours.program, name="none", scopes=(), actor="test")
    for rule in street.rules():
        for verb in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            query = {"phone": "0912345678"} if rule.rule == "/api/v1/members" else {}
            wish = {"member": street.ours.member, "reward": "small"} if verb == "POST" else None
            path = paths(rule, street.ours)[0]
            answer = street.ask(verb, path, bare, json=wish, query_string=query)
            assert answer.status_code == 403, (verb, path, answer.text)
            assert (answer.json or {})["code"] == "missing_scope"
            assert (answer.json or {})["scope"] in keys.SCOPES


def test_a_scope_is_no_more_than_it_says(street: Street) -> None:
    with street.runtime.sessions.begin() as session:
        _, reader = keys.create(
            session, street.ours.program, name="r", scopes=["members:read"], actor="test"
        )
    assert street.ask("GET", f"/api/v1/members/{street.ours.member}", reader).status_code == 200
    wish = {"member": street.ours.member, "reward": "small"}
    assert street.ask("POST", "/api/v1/redemptions", reader, json=wish).status_code == 403
    assert street.ask("GET", f"/api/v1/vouchers/{street.ours.code}", reader).status_code == 403


@pytest.mark.parametrize(
    "text", ["%00", "a%00b", "%ED%A0%80", "%FF", "..", "'; DROP TABLE members --", "x" * 5000, "☃"]
)
def test_odd_texts_in_addresses_and_queries_are_no_error_of_ours(street: Street, text: str) -> None:
    for rule in street.rules():
        for name in rule.arguments:
            answer = street.ask("GET", rule.rule.replace(f"<{name}>", text))
            assert 400 <= answer.status_code < 500, (rule.rule, text, answer.status_code)
    for kind in ("phone", "email", "card", "customer"):
        answer = street.ask("GET", f"/api/v1/members?{kind}={text}")
        assert answer.status_code < 500, (kind, text, answer.text)
        assert answer.status_code != 200 or answer.json == []
    answer = street.ask("GET", f"/api/v1/members/{street.ours.member}/entries?cursor={text}")
    assert answer.status_code in (400, 422)
