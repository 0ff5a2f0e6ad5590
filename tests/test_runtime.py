from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from hub.db import LIMITS
from hub.runtime import Runtime
from hub.settings import Settings


def test_the_ledgers_key_is_to_be_had_while_every_connection_waits_for_it(
    database: str, tmp_path: Path
) -> None:
    """Fifty redemptions were the first thing a fresh web process saw: each held a connection and waited
    for the key, which waited for a connection."""
    runtime = Runtime.start(Settings(data=tmp_path, database_url=database), "web")
    with ExitStack() as held:
        for _ in range(LIMITS["web"].pool):
            held.enter_context(runtime.engine.connect())
        key = runtime.chain_key
    runtime.engine.dispose()
    again = Runtime.start(runtime.settings)
    assert again.chain_key == key
    again.engine.dispose()
