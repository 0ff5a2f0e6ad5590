"""A thousand tries to spend the same points, over the API of the real web server: one wins, the sums are exact."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import local

import requests

from hub.bulk import run
from hub.ids import new_id
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.ledger.verify import verify
from hub.program import store
from hub.program.store import Program
from hub.runtime import Runtime
from hub.settings import Settings
from hub.web import keys
from tests.bench.ingest import start
from tests.people import START, add

ATTEMPTS = 1000
CLIENTS = 16
COST = 50
DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [{"id": "r", "name": "R", "cost": COST, "amount": {"VND": "50000"}}],
}


def measure(settings: Settings, runtime: Runtime) -> dict[str, float]:
    """Attempts, winners and the 99th percentile of an answer's milliseconds; fails when a sum is off, or
    when anybody gets another answer than the code or the refusal."""
    program, member, key = _prepare(runtime)
    with _served(settings):
        answers = _spend(settings.port, key, member)
    statuses = [status for status, _ in answers]
    assert set(statuses) == {201, 409}, set(statuses)
    _check(runtime, program)
    times = sorted(milliseconds for _, milliseconds in answers)
    return {
        "attempts": len(answers),
        "winners": statuses.count(201),
        "p99_ms": round(times[int(len(times) * 0.99) - 1], 1),
    }


def _prepare(runtime: Runtime) -> tuple[Program, str, str]:
    """A programme, and a member with the points of one reward."""
    with runtime.sessions.begin() as session:
        program = store.create(
            session, slug="double", name="Double", currency="VND", time_zone="Asia/Ho_Chi_Minh", region="VN",
            starts_at=START, document=DOCUMENT, actor="bench",
        )  # fmt: skip
        public_id = new_id("mem")
        member = add(session, "members", public_id=public_id, program_id=program.id, name="Ann")
        gift = Command(program.id, member, "gift", "bench", runtime.chain_key)
        commands.adjust(session, gift, COST)
        _, key = keys.create(session, program, name="bench", scopes=keys.SCOPES, actor="bench")
    return program, public_id, key


@contextmanager
def _served(settings: Settings) -> Iterator[None]:
    server = start(settings)
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)


def _spend(port: int, key: str, member: str) -> list[tuple[int, float]]:
    """(status, milliseconds) of each attempt, each with a key of its own, from so many clients at once."""
    kept = local()

    def attempt(number: int) -> tuple[int, float]:
        if not hasattr(kept, "http"):
            kept.http = requests.Session()
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"till-{number}"}
        began = time.monotonic()
        answer = kept.http.post(
            f"http://127.0.0.1:{port}/api/v1/redemptions", json={"member": member, "reward": "r"},
            headers=headers, timeout=30,
        )  # fmt: skip
        return answer.status_code, (time.monotonic() - began) * 1000

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(attempt, range(ATTEMPTS)))


def _check(runtime: Runtime, program: Program) -> None:
    with runtime.sessions() as session:
        (row,) = run(
            session,
            """SELECT (SELECT count(*) FROM redemptions WHERE program_id = :id) AS redemptions,
                      (SELECT count(*) FROM vouchers WHERE program_id = :id) AS vouchers,
                      (SELECT sum(balance) FROM accounts WHERE program_id = :id) AS balance""",
            {"id": program.id},
        )
        report = verify(session, runtime.chain_key, program.id)
    assert (row.redemptions, row.vouchers, row.balance) == (1, 1, 0), row
    assert report.clean, report.findings
