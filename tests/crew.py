"""Processes of the hub on a test's servers, each started and killed on its own: `hub web`, `hub
worker`, `hub sweep` as `hub up` runs them, without its supervisor."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from tests import forked
from tests.forked import pid_of
from tests.hubs import START, Hub
from tests.ups import free_port, wait_for


@dataclass
class Crew:
    """One hub whose processes the test starts and ends."""

    hub: Hub
    environment: Mapping[str, str]
    log: Path
    running: list[BaseProcess] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where `hub web` answers, on this machine."""
        return int(self.environment["PORT"])

    def start(self, word: str, **environment: str) -> BaseProcess:
        """`hub <word>`, in a process group of its own."""
        process = forked.start(word, {**self.environment, **environment}, self.log)
        self.running.append(process)
        return process

    def serve(self, **environment: str) -> BaseProcess:
        """`hub web`, once it answers."""
        web = self.start("web", **environment)
        wait_for(self._answers, seconds=60, said=self.log.read_text)
        return web

    def kill(self, process: BaseProcess) -> None:
        """kill -9, with everything it started."""
        with suppress(ProcessLookupError):
            os.killpg(pid_of(process), signal.SIGKILL)
        process.join()
        self.running.remove(process)

    def end(self) -> None:
        for process in list(self.running):
            self.kill(process)

    def resident(self, process: BaseProcess) -> int:
        """Bytes of memory of a process and those it started (Linux)."""
        found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        ours = [entry for entry in found if _group(entry) == pid_of(process)]
        pages = [int((entry / "statm").read_text().split()[1]) for entry in ours]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.hub.url}/healthz", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def a_crew(
    database: str,
    redis_url: str,
    home: Path,
    *,
    document: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Crew]:
    """A program and its settings on that database; no process runs yet. `settings` are the test's
    own, `environment` the processes'."""
    given = Settings(
        data=home,
        database_url=database,
        redis_url=redis_url,
        port=free_port(),
        allow_private_hosts=("127.0.0.1", "localhost"),
        **settings,
    )
    runtime = Runtime.start(given)
    with runtime.sessions.begin() as session:
        program = store.create(
            session, slug="corner", name="Corner", currency="VND", time_zone="Asia/Ho_Chi_Minh",
            region="VN", starts_at=START, document=document, actor="test",
        )  # fmt: skip
    crew = Crew(
        Hub(runtime, program, lambda: f"http://127.0.0.1:{given.port}"),
        _environment(given) | dict(environment or {}),
        home / "crew.log",
    )
    try:
        yield crew
    finally:
        crew.end()
        runtime.engine.dispose()


def _environment(settings: Settings) -> dict[str, str]:
    ours = {
        "HUB_DATA": str(settings.data),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PORT": str(settings.port),
        "PYTHONPATH": str(forked.CHECKOUT),
        "HUB_WEB_PROCESSES": "1",
        "HUB_BATCH_SIZE": str(settings.batch_size),
        "HUB_LEASE_SECONDS": str(settings.lease_seconds),
        "HUB_SWEEP_SECONDS": str(settings.sweep_seconds),
        "HUB_ALLOW_PRIVATE_HOSTS": "127.0.0.1,localhost",
        "HUB_CONNECTORS": ",".join(f"{k}={v}" for k, v in settings.connectors.items()),
        "HUB_LOG_FORMAT": "json",
    }
    return {**os.environ, **ours}


def _group(entry: Path) -> int | None:
    """The process group of a process (proc(5): the third field behind the name), None when gone."""
    with suppress(OSError, IndexError):
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[2])
    return None
