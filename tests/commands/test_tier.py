"""`hub tier`, `hub member tag`, `hub program reassess`: by name, once for each key, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.cli import main
from tests.counter import Counter
from tests.hubs import Hub, running_hub

DOCUMENT: dict[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "tiers": {
        "currency": "VND",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold", "from": "1000000", "multiplier": "2"},
        ],
    },
    "segments": [{"id": "press", "tags": ["press"]}],
}
ANN = "0912345678"
Say = Callable[..., str]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        till = Counter(hub)
        for number in (2, 1):
            till.sell(number, 1_000_000, f"2026-11-0{number}T03:00:00Z")
            till.work()
        yield hub


@pytest.fixture
def say(hub: Hub, capsys: pytest.CaptureFixture[str]) -> Say:
    def say(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(words)
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err
        return shown.out + shown.err

    return say


def test_where_a_member_stands(say: Say) -> None:
    head, *history = (json.loads(line) for line in say("tier", "show", ANN, "--json").splitlines())
    assert (head["tier"]["id"], head["count"], head["next"]) == ("gold", "2000000", None)
    assert [(row["tier"], row["why"]) for row in history] == [("gold", "reached"), ("member", "reached")]
    assert "Gold (gold)" in say("tier", "show", ANN)


def test_the_tiers_with_their_members(say: Say) -> None:
    rows = [json.loads(line) for line in say("tier", "list", "--json").splitlines()]
    assert [(row["tier"], row["from"], row["members"]) for row in rows] == [
        ("member", "0", 0), ("gold", "1000000", 1),
    ]  # fmt: skip


def test_decisions(say: Say) -> None:
    told = json.loads(say("tier", "set", ANN, "member", "--reason", "r", "--key", "k", "--json"))
    assert (told["before"], told["tier"], told["repeated"]) == ("gold", "member", False)
    assert json.loads(say("tier", "set", ANN, "member", "--reason", "r", "--key", "k", "--json"))[
        "repeated"
    ]
    assert "was used for another decision" in say(
        "tier", "review", ANN, "--reason", "r", "--key", "k", code=1
    )
    told = json.loads(
        say("tier", "guarantee", ANN, "gold", "--until", "2099-01-01", "--reason", "r", "--json")
    )
    assert (told["before"], told["tier"]) == ("member", "gold")
    assert json.loads(say("tier", "release", ANN, "--reason", "r", "--json"))["tier"] == "member"
    assert json.loads(say("tier", "count", ANN, "5000000", "--reason", "r", "--json"))["tier"] == "gold"
    assert "There is no tier platinum" in say("tier", "set", ANN, "platinum", "--reason", "r", code=1)
    assert "AMOUNT must be a number" in say("tier", "count", ANN, "0.5", "--reason", "r", code=2)


def test_the_day_of_joining(say: Say) -> None:
    assert "2020-03-04" in say("tier", "joined", ANN, "2020-03-04", "--json")
    (head, *_) = say("tier", "show", ANN, "--json").splitlines()
    assert json.loads(head)["joined_at"].startswith("2020-03-03T17:00")
    assert "Nobody has joined yet" in say("tier", "joined", ANN, "2099-01-01", code=1)


def test_tags(say: Say) -> None:
    assert json.loads(say("member", "tag", ANN, "press", "--json"))["tags"] == "press"
    (head, *_) = say("tier", "show", ANN, "--json").splitlines()
    assert json.loads(head)["segments"] == ["press"]
    assert json.loads(say("member", "tag", ANN, "press", "--off", "--json"))["tags"] == ""


def test_reassess_shows_and_posts(say: Say, hub: Hub) -> None:
    rows = [json.loads(line) for line in say("program", "reassess", "--json").splitlines()]
    assert [(r["number"], r["context_late"], r["tier"], r["points_before"], r["points"]) for r in rows] == [
        ("1", True, "member", 100, 100), ("2", False, "gold", 100, 200),
    ]  # fmt: skip
    assert hub.balance(phone="+84912345678") == 200
    assert "100 points would be posted" in say("program", "reassess")
    assert "100 points were posted" in say("program", "reassess", "--post")
    assert hub.balance(phone="+84912345678") == 300
    assert "No sale was told of late" in say("program", "reassess")
    hub.assert_clean()
