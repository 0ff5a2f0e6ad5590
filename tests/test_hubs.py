"""The hub in a box: its web server answers like the real one, and ends when it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import signed
from tests.hubs import Counted, running_hub


def test_whoever_is_answered_leaves_no_error_behind(
    database: str, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A webhook is answered with a list, a page with an iterator that is closed."""
    with running_hub(database, redis_url, tmp_path) as hub:
        till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
        body = signed.till_sale(1, "0912345678")
        headers = signed.headers("generic_pos", body, "1")
        assert requests.post(hub.webhook(till), data=body, headers=headers, timeout=10).ok
        assert requests.get(f"{hub.url}/login", timeout=10).ok
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_it_waits_for_what_is_still_being_answered() -> None:
    begun, go_on, waited = threading.Event(), threading.Event(), threading.Event()

    def slow(_environ: dict[str, Any], _start: Callable[..., Any]) -> Iterator[bytes]:
        begun.set()
        go_on.wait(5)
        yield b"done"

    def ask() -> None:
        answer = counted({}, lambda *_: None)
        assert list(answer) == [b"done"]
        answer.close()

    def wait() -> None:
        counted.wait()
        waited.set()

    counted = Counted(slow)
    threads = [threading.Thread(target=ask), threading.Thread(target=wait)]
    threads[0].start()
    begun.wait(5)
    threads[1].start()
    assert not waited.wait(0.2)
    go_on.set()
    assert waited.wait(5)
    for thread in threads:
        thread.join()


def test_one_that_fails_is_not_waited_for() -> None:
    def fails(_environ: dict[str, Any], _start: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("no answer")

    counted = Counted(fails)
    with pytest.raises(RuntimeError):
        counted({}, lambda *_: None)
    assert counted.busy == 0
