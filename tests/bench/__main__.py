"""`make bench`: how fast the hub takes messages in and posts them, against plain durable INSERTs.

Prints one JSON object. The denominator is pgbench on the same cluster: 16 clients, one INSERT of
3.3 KB with its unique key per commit into a copy of the deliveries table with its indexes, durable;
taken before and after the others, the mean counts. Machines are noisy: compare the ratios, which come
from one run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hub import migrate
from hub.connect import add_channel
from hub.outbox.channels import Channel
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from tests.bench import double_spend, ingest, inserts, load, posting, redeem
from tests.people import START
from tests.servers import own_servers

DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "paying": {"points": 1, "worth": {"VND": "1000"}},
}


@dataclass(frozen=True)
class Bench:
    """A durable hub with one till channel."""

    settings: Settings
    runtime: Runtime
    channel: Channel


@contextmanager
def bench_hub(port: int) -> Iterator[Bench]:
    """Own servers, durable like an operator's."""
    with own_servers(durable=True) as servers, tempfile.TemporaryDirectory() as data:
        migrate.upgrade(servers.database_url)
        settings = replace(
            Settings(),
            data=Path(data),
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            port=port,
        )
        runtime = Runtime.start(settings)
        with runtime.sessions.begin() as session:
            program = store.create(
                session,
                slug="bench",
                name="Bench",
                currency="VND",
                time_zone="Asia/Ho_Chi_Minh",
                region="VN",
                starts_at=START,
                document=DOCUMENT,
                actor="bench",
            )
            channel = add_channel(
                session,
                runtime,
                program_id=program.id,
                kind="generic_pos",
                name="Till",
                settings={"webhook_secret": load.SECRET, "callback_url": "http://127.0.0.1:9/callback"},
                actor="bench",
            )
        try:
            yield Bench(settings, runtime, channel)
        finally:
            runtime.engine.dispose()


def main() -> None:
    """Run all measurements, or those named."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="length of the insert and ingest runs")
    parser.add_argument("--orders", type=int, default=12_000, help="orders to post")
    parser.add_argument("--port", type=int, default=18480)
    options = parser.parse_args()
    with bench_hub(options.port) as bench:
        base = inserts.measure(bench.settings.database_url, options.seconds)
        taken = ingest.measure(bench.settings, bench.runtime, bench.channel, options.seconds)
        posted = posting.measure(bench.settings, bench.runtime, bench.channel, options.orders)
        redeemed = redeem.measure(bench.settings, bench.runtime, bench.channel, options.seconds)
        spent = double_spend.measure(bench.settings, bench.runtime)
        # a machine's pace changes within a minute: the denominator is taken before and after
        base = (base + inserts.measure(bench.settings.database_url, options.seconds)) / 2
    result = {
        "insert": {"clients": inserts.CLIENTS, "row_bytes": inserts.ROW_BYTES, "per_s": round(base)},
        "ingest": {"per_s": round(taken), "ratio": round(taken / base, 3)},
        "posting": {"per_s": round(posted), "ratio": round(posted / base, 3)},
        "redeem": redeemed,
        "double_spend": spent,
    }
    json.dump(result, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
