"""The programme by the API: its document, what a draft would change, and putting it into force."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import requests

from hub.web import keys
from tests.hubs import Hub, running_hub

DOCUMENT: dict[str, Any] = {"earn": {"points": 1, "per": {"VND": "10000"}}}
DRAFT: dict[str, Any] = {"earn": {"points": 2, "per": {"VND": "10000"}}}
Ask = Any


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        yield hub


@pytest.fixture
def ask(hub: Hub) -> Ask:
    with hub.runtime.sessions.begin() as session:
        _, secret = keys.create(session, hub.program, name="t", scopes=["program"], actor="test")

    def asked(method: str, path: str = "", key: str = "", language: str = "en", **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {secret}", "Accept-Language": language}
        headers |= {"Idempotency-Key": key} if key else {}
        url = f"{hub.url}/api/v1/program{path}"
        return requests.request(method, url, json=body or None, headers=headers, timeout=10)

    return asked


def test_the_document_in_force_is_told_as_it_is_written(ask: Ask) -> None:
    told = ask("GET").json()
    assert (told["number"], told["newest"], told["document"]) == (1, 1, DOCUMENT)
    assert ask("GET", "/versions/1").json() == told
    assert [ask("GET", f"/versions/{n}").status_code for n in (0, 2, 10**30)] == [404, 404, 404]


def test_a_draft_is_shown_setting_by_setting_and_changes_nothing(hub: Hub, ask: Ask) -> None:
    told = ask("POST", "/check", document=DRAFT).json()
    assert told["changes"] == [{"setting": "earn[0].points", "before": "1", "after": "2"}]
    assert "2 points for every" in told["terms"][0]["lines"][0]
    assert (
        "2 điểm" in ask("POST", "/check", language="vi", document=DRAFT).json()["terms"][0]["lines"][0]
    )
    assert len(hub.rows("SELECT 1 FROM program_versions")) == 1


def test_a_draft_that_is_wrong_is_refused_with_its_path(hub: Hub, ask: Ask) -> None:
    wrong = {"earn": {"points": 1, "per": {"VND": "-1"}}}
    for path in ("/check", "/versions"):
        refused = ask("POST", path, document=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_program")
        assert refused.json()["path"].startswith("earn")
    assert len(hub.rows("SELECT 1 FROM program_versions")) == 1


def test_a_draft_takes_effect_once_for_each_key(hub: Hub, ask: Ask) -> None:
    done = ask("POST", "/versions", key="k", document=DRAFT, base=1)
    assert (done.status_code, done.json()["number"]) == (201, 2)
    assert ask("POST", "/versions", key="k", document=DRAFT, base=1).json() == done.json()
    assert ask("GET").json()["document"] == DRAFT
    assert [row["number"] for row in ask("GET", "/versions").json()] == [2, 1]
    assert len(hub.rows("SELECT 1 FROM program_versions")) == 2


def test_a_draft_of_an_old_version_is_refused_and_names_the_newer_one(hub: Hub, ask: Ask) -> None:
    ask("POST", "/versions", document=DRAFT, base=1)
    refused = ask("POST", "/versions", document=DOCUMENT, base=1)
    assert (refused.status_code, refused.json()["code"], refused.json()["newest"]) == (
        409,
        "overtaken",
        2,
    )
    assert len(hub.rows("SELECT 1 FROM program_versions")) == 2


def test_of_eight_who_change_the_same_version_at_once_one_does(hub: Hub, ask: Ask) -> None:
    """Eight threads behind a barrier, each with the same base."""
    barrier = Barrier(8)

    def one(_number: int) -> int:
        barrier.wait()
        return int(ask("POST", "/versions", document=DRAFT, base=1).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(8))) == [201] + [409] * 7
    assert len(hub.rows("SELECT 1 FROM program_versions")) == 2


def test_a_draft_may_begin_later_and_never_in_the_past(hub: Hub, ask: Ask) -> None:
    now = datetime.now(UTC)
    refused = ask(
        "POST", "/versions", document=DRAFT, effective_from=(now - timedelta(days=1)).isoformat()
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "in_the_past")
    later = ask(
        "POST", "/versions", document=DRAFT, effective_from=(now + timedelta(days=1)).isoformat()
    )
    assert later.status_code == 201
    told = ask("GET").json()
    assert (told["number"], told["newest"], told["document"]) == (1, 2, DOCUMENT)
