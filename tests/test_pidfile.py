from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.pidfile import AlreadyHeld, held

HOLD = """
import sys, time
from pathlib import Path
from hub.pidfile import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        with pytest.raises(AlreadyHeld, match=f"pid {first.pid}") as refusal, held(tmp_path):
            pass
        assert refusal.value.pid == first.pid
        first.kill()


def test_the_number_of_a_killed_holder_means_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
        first.wait()
    with held(tmp_path):
        assert (tmp_path / "hub.pid").read_text().strip() not in ("", str(first.pid))


def test_after_the_block_the_directory_is_free(tmp_path: Path) -> None:
    with held(tmp_path):
        pass
    with held(tmp_path):
        assert (tmp_path / "hub.pid").read_text()
