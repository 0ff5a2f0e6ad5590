"""A hub, and its commands as an operator runs them beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.cli import main
from tests.hubs import Hub, running_hub

Command = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def run(
    hub: Hub,
    database: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command, with what is typed; returns its JSON lines, or what it said where it is to refuse."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("HUB_DATA", str(tmp_path))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    def run(*words: str, code: int = 0, as_json: bool = True, typed: str = "") -> list[dict[str, Any]]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"] if as_json else [*words])
        shown = capsys.readouterr()
        assert ended.value.code == code, shown.err + shown.out
        if code or not as_json:
            return [{"said": shown.err + shown.out}]
        return [json.loads(line) for line in shown.out.splitlines()]

    return run
