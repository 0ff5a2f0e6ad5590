"""Webhooks through the real web server, 16 keep-alive connections, each message signed and durable."""

from __future__ import annotations

import multiprocessing
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.queues import Queue

from hub.bulk import run
from hub.outbox.channels import Channel
from hub.runtime import Runtime
from hub.settings import Settings
from tests.bench import load
from tests.bench.inserts import CLIENTS, ROW_BYTES

PROCESSES = 2


def measure(settings: Settings, runtime: Runtime, channel: Channel, seconds: int) -> float:
    """Acknowledged webhooks a second; fails when one of them is not on disk."""
    server = start(settings)
    try:
        counts: Queue[tuple[int, float]] = multiprocessing.Queue()
        clients = [
            multiprocessing.Process(
                target=_client, args=(settings.port, channel.token, n, seconds, counts)
            )
            for n in range(PROCESSES)
        ]
        for client in clients:
            client.start()
        found = [counts.get(timeout=seconds + 120) for _ in clients]
        for client in clients:
            client.join()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)
    acknowledged = sum(count for count, _ in found)
    with runtime.sessions.begin() as session:
        stored = run(session, "SELECT count(*) AS n FROM deliveries WHERE direction = 'inbound'")[0].n
        run(session, "DELETE FROM deliveries WHERE direction = 'inbound'")
    assert stored == acknowledged, f"{acknowledged} acknowledged, {stored} stored"
    return sum(count / elapsed for count, elapsed in found)


def environment(settings: Settings) -> dict[str, str]:
    """What tells a process of the hub where everything is."""
    return {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "HUB_DATA": str(settings.data),
        "PORT": str(settings.port),
        "HUB_API_RATE": "0",  # one key plays many tills
    }


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """The web server, listening."""
    server = subprocess.Popen(
        [sys.executable, "-m", "hub", "web"],
        env=os.environ | environment(settings),
        start_new_session=True,
    )
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", settings.port), timeout=1).close()
            time.sleep(1)
            return server
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the web server did not start")


def _client(port: int, token: str, number: int, seconds: int, counts: Queue[tuple[int, float]]) -> None:
    """One process with half of the connections, each sending its next message when it is answered.
    Raw sockets, so that the client costs little of the machine it measures."""
    prepared = iter(_requests(token, number, 4000 * seconds // PROCESSES))
    waiting = selectors.DefaultSelector()
    for _ in range(CLIENTS // PROCESSES):
        connection = socket.create_connection(("127.0.0.1", port))
        waiting.register(connection, selectors.EVENT_READ)
        connection.sendall(next(prepared))
    count, started = 0, time.monotonic()
    ends = started + seconds
    while waiting.get_map():
        for key, _ in waiting.select():
            answered = key.fileobj
            assert isinstance(answered, socket.socket)
            answer = answered.recv(4096)
            assert b" 200 " in answer[:20], answer
            count += 1
            following = next(prepared, None) if time.monotonic() < ends else None
            if following is None:
                waiting.unregister(answered)
                answered.close()
            else:
                answered.sendall(following)
    counts.put((count, time.monotonic() - started))


def _requests(token: str, number: int, count: int) -> list[bytes]:
    prepared = []
    for n, body in enumerate(load.bodies(count, seed=100 + number, pad_to=ROW_BYTES)):
        headers = load.signed(body, f"bench-{number}-{n}") | {
            "host": "127.0.0.1",
            "content-length": str(len(body)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        prepared.append(f"POST /webhooks/{token} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    return prepared
