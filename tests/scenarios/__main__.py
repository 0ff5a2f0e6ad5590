"""`python -m tests.scenarios PATH...`: plays scenario files through the product on a real database.

Prints pass, fail (expected and got) or unsupported (which rule, and why) for each, and totals per layer
and topic; ends with 1 when one fails. With --json it prints one object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub import migrate
from hub.runtime import Runtime
from hub.settings import Settings
from tests.scenarios.judging import Result, judge, totals
from tests.servers import own_servers


def load(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The scenarios of files, and of all files in folders. Raises `SystemExit` with a sentence."""
    found: list[dict[str, Any]] = []
    for path in paths:
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        for file in files:
            try:
                read = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise SystemExit(f"error: {file}: {error}") from None
            listed = read if isinstance(read, list) else read.get("scenarios", [])
            found += [one for one in listed if isinstance(one, dict) and "events" in one]
    return found


def run(runtime: Runtime, scenarios: Iterable[dict[str, Any]]) -> Iterator[Result]:
    """Play them one after the other, each in a program of its own."""
    for number, scenario in enumerate(scenarios):
        yield judge(runtime, scenario, f"scenario-{number}")


@contextmanager
def stage() -> Iterator[Runtime]:
    """A hub's database and keys for the time being."""
    with own_servers() as servers, tempfile.TemporaryDirectory() as data:
        migrate.upgrade(servers.database_url)
        settings = replace(
            Settings(), data=Path(data), database_url=servers.database_url, redis_url=servers.redis_url
        )
        runtime = Runtime.start(settings)
        try:
            yield runtime
        finally:
            runtime.engine.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--layer", help="only scenarios of this layer")
    parser.add_argument("--id", help="only this scenario")
    options = parser.parse_args(arguments)
    wanted = [
        scenario
        for scenario in load(options.paths)
        if options.layer in (None, scenario["layer"]) and options.id in (None, scenario["id"])
    ]
    if not wanted:
        sys.stderr.write("error: no scenario there, or none that fits --layer and --id\n")
        return 1
    with stage() as runtime:
        results = []
        for result in run(runtime, wanted):
            results.append(result)
            if not options.json:
                sys.stdout.write(f"{result.status:11} {result.id:10} {result.detail}\n")
    report(results, as_json=options.json)
    return 1 if any(result.status == "fail" for result in results) else 0


def report(results: Sequence[Result], *, as_json: bool) -> None:
    """The totals, as JSON with every result."""
    counted = Counter(result.status for result in results)
    whole = {status: counted[status] for status in ("pass", "fail", "unsupported")}
    if as_json:
        listed = [{"id": r.id, "status": r.status, "detail": r.detail} for r in results]
        found = {
            "totals": whole,
            "by_layer": totals(results, "layer"),
            "by_topic": totals(results, "topic"),
            "results": listed,
        }
        json.dump(found, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    for by in ("layer", "topic"):
        for name, counts in totals(results, by).items():
            sys.stdout.write(f"{by} {name}: {_counts(counts)}\n")
    sys.stdout.write(f"in all: {_counts(whole)}\n")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {status}" for status, number in counts.items())


if __name__ == "__main__":
    sys.exit(main())
