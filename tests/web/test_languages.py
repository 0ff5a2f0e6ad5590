"""Problems of the API in the language the caller asks for; code and type stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hub.ledger.commands import Command, adjust
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.web import keys
from tests.apps import an_app
from tests.people import START, add

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "big", "name": "Big", "cost": 1500, "amount": {"VND": "50000"}}],
}
Ask = Callable[..., TestResponse]


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime.start(Settings(data=tmp_path, database_url=database, redis_url=redis_url))
    yield runtime
    runtime.engine.dispose()


@pytest.fixture
def client(runtime: Runtime) -> FlaskClient:
    return an_app(runtime).test_client()


@pytest.fixture
def ask(runtime: Runtime, client: FlaskClient) -> Ask:
    """A request with a key and an Accept-Language, of a program whose member Ann has 120 points."""
    with runtime.sessions.begin() as session:
        program = store.create(
            session, slug="cafe", name="Cafe", currency="VND", time_zone="Asia/Ho_Chi_Minh", region="VN",
            starts_at=START, document=DOCUMENT, actor="test",
        )  # fmt: skip
        member = add(session, "members", public_id="mem_ann", program_id=program.id, name="Ann")
        adjust(session, Command(program.id, member, "start", "test", runtime.chain_key), 120)
        _, secret = keys.create(session, program, name="till", scopes=keys.SCOPES, actor="test")

    def ask(verb: str, path: str, language: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {secret}", "Accept-Language": language}
        return client.open(f"/api/v1{path}", method=verb, headers=headers, **more)

    return ask


@pytest.mark.parametrize("language", ["vi", "vi-VN,vi;q=0.9,en;q=0.5", "fr, vi;q=0.3"])
def test_a_problem_is_told_in_vietnamese(ask: Ask, language: str) -> None:
    wish = {"member": "mem_ann", "reward": "big"}
    answer = ask("POST", "/redemptions", language, json=wish)
    assert answer.status_code == 409
    assert answer.json == {
        "type": "/problems/not-enough-points",
        "title": "Không đủ điểm",
        "status": 409,
        "code": "not_enough_points",
        "detail": "Ưu đãi cần 1.500 điểm; hiện dùng được 120.",
        "available": 120,
        "needed": 1500,
    }
    assert answer.headers["Content-Language"] == "vi"
    assert "Accept-Language" in answer.headers["Vary"]


@pytest.mark.parametrize("language", ["", "en", "de", "en-GB,vi;q=0.1", "*", ";;q=,"])
def test_else_it_is_told_in_english(ask: Ask, language: str) -> None:
    answer = ask("GET", "/members/mem_nobody", language)
    assert answer.json is not None
    assert (answer.json["code"], answer.json["detail"]) == ("not_found", "There is no such member.")
    assert answer.headers["Content-Language"] == "en"


def test_one_callers_language_is_not_the_next_ones(ask: Ask) -> None:
    titles = [ask("GET", "/members/mem_nobody", one).json["title"] for one in ("vi", "", "vi")]  # type: ignore[index]
    assert titles == ["Không tìm thấy", "Not found", "Không tìm thấy"]


@pytest.mark.parametrize(
    ("verb", "path", "more", "code", "detail"),
    [
        ("GET", "/nowhere", {}, "not_found", "Địa chỉ này không có gì."),
        ("DELETE", "/rewards", {}, "method_not_allowed", "Địa chỉ này không nhận phương thức này."),
        ("POST", "/redemptions", {"json": {}}, "invalid_request", "member: Thiếu trường bắt buộc này."),
        ("POST", "/redemptions", {"data": b"[NaN]"}, "not_json", "$: Nội dung gửi đến không phải JSON."),
        ("GET", "/members", {}, "invalid_request",
         "chỉ điền một trong phone, email, card, customer"),
    ],
)  # fmt: skip
def test_what_flask_and_the_schemas_refuse_is_vietnamese_too(
    ask: Ask, verb: str, path: str, more: dict[str, Any], code: str, detail: str
) -> None:
    answer = ask(verb, path, "vi", **more)
    assert answer.json is not None
    assert (answer.json["code"], answer.json["detail"]) == (code, detail)


def test_without_a_key_the_answer_is_vietnamese(client: FlaskClient) -> None:
    answer = client.get("/api/v1/rewards", headers={"Accept-Language": "vi"})
    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["title"] == "Thiếu khóa API"
