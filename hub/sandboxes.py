"""The demo's shops: stand-ins for the platforms that run as long as the hub does, each at an address
of its own that it keeps, and with a memory that outlives its process.

`python -m hub.sandboxes KIND PORT MEMORY` is one of them. It ends with the hub that started it.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub import parent
from hub.registry import SANDBOXES


@dataclass(frozen=True, slots=True)
class Stand:
    """One stand-in: where it is, and how it is started."""

    kind: str
    port: int
    memory: Path

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        """What runs it."""
        return [sys.executable, "-m", "hub.sandboxes", self.kind, str(self.port), str(self.memory)]


def stands(data: Path) -> list[Stand]:
    """All of them. Their ports are chosen once and kept in the data directory: the channels of the
    demo hold these addresses."""
    folder = data / "demo"
    folder.mkdir(exist_ok=True)
    ports = _ports(folder / "ports.json")
    return [Stand(kind, ports[kind], folder / f"{kind}.memory") for kind in SANDBOXES]


def _ports(file: Path) -> Mapping[str, int]:
    try:
        known = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    if set(known) >= set(SANDBOXES):
        return dict(known)
    known |= dict(zip(SANDBOXES, _free(len(SANDBOXES)), strict=True))
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(known))
    os.replace(unfinished, file)
    return dict(known)


def _free(number: int) -> list[int]:
    """Ports that nobody listens on now; all are held until the last is found."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def main() -> None:
    """Be one of them."""
    parent.end_with_parent()
    kind, port, memory = sys.argv[1:4]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # requests are the shops' own business
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the address is known
    sys.argv = [kind, "--port", port, "--memory", memory]
    runpy.run_module(SANDBOXES[kind], run_name="__main__")


if __name__ == "__main__":
    main()
