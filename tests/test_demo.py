"""`make run`: the demo is played, its shops stay, and what it left to be replayed can be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from hub.sandboxes import stands
from tests.ups import Up, a_home, free_port, wait_for

pytestmark = pytest.mark.slow


class Demo:
    """A `hub up --demo`, and what it says as it goes."""

    def __init__(self, home: Path, port: int) -> None:
        self.up = Up(home, port, "--demo", HUB_LEASE_SECONDS="8")
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.up.process.stdout is not None
        with self.up.process.stdout as said:
            for line in said:
                self.said.append(line.strip())

    def wait_for(self, words: str) -> None:
        wait_for(
            lambda: any(words in line for line in self.said),
            120,
            lambda: "\n".join([*self.said, self.up.log()]),
        )

    def hub(self, *words: str) -> list[dict[str, Any]]:
        """A command beside the running hub; its JSON lines."""
        done = subprocess.run(
            [sys.executable, "-m", "hub", *words, "--json"], env=self.up.environment, cwd=self.up.home,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    def shops(self) -> dict[str, str]:
        return {stand.kind: stand.address for stand in stands(self.up.data)}

    def codes(self, kind: str) -> set[str]:
        """The codes that can be used in that shop now."""
        found = requests.get(f"{self.shops()[kind]}/_sandbox/codes", timeout=10).json()
        return {code["code"].upper() for code in found if code["active"]}

    def failed(self) -> list[dict[str, Any]]:
        return self.hub("deliveries", "--state", "failed")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.up.process.send_signal(number)
        self.up.process.wait(timeout=30)
        self._reader.join(timeout=10)


def alive(address: str) -> bool:
    try:
        return requests.get(f"{address}/_sandbox/settings", timeout=3).ok
    except requests.ConnectionError:
        return False


def test_the_demo_leaves_a_failed_push_that_a_person_can_replay_even_after_a_crash() -> None:
    with a_home() as home:
        demo = Demo(home, free_port())
        try:
            demo.wait_for("The dashboard is at")
            last = demo.said[-2:]
            assert "Log in as owner@hub.local with the password" in last[0], (
                "what people need stands last"
            )
            assert last[1] == f"The dashboard is at http://localhost:{demo.up.port}"
            wait_for(demo.failed, 30)  # it was refused before its delivery says so
            (failed,) = demo.failed()
            (left,) = [line for line in demo.said if "to replay it by hand" in line]
            code = left.split("refused ")[1].split(";")[0]
            before = demo.shops()
            assert code not in demo.codes("woocommerce")
            assert demo.codes("shopify") >= {code}
            demo.end(signal.SIGKILL)
            wait_for(lambda: not any(map(alive, before.values())), 15)

            demo = Demo(home, demo.up.port)
            demo.wait_for("The dashboard is at")
            assert demo.shops() == before
            assert not any("password" in line for line in demo.said), "shown once is shown once"
            wait_for(lambda: all(map(alive, before.values())), 30)
            assert code in demo.codes("shopify"), "a shop remembers what it knew"
            assert [row["id"] for row in demo.failed()] == [failed["id"]]
            demo.hub("replay", str(failed["id"]))
            # what was being pushed when it was killed holds its channel until its lease ends
            wait_for(lambda: code in demo.codes("woocommerce"), 60)
            assert demo.failed() == []
        finally:
            if demo.up.process.poll() is None:
                demo.end()
        assert not any(map(alive, before.values())), "an ordered end takes the shops along"


def test_the_shops_keep_their_addresses(tmp_path: Path) -> None:
    first = stands(tmp_path)
    assert len({stand.port for stand in first}) == len(first) >= 3
    assert stands(tmp_path) == first
