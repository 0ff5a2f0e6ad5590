"""Commands of the hub as processes of their own, forked from one that has imported everything: a start of
Python and its imports costs a second of a core, a fork a hundredth. `hub up` in tests/ups.py starts them for real."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from hub.settings import Settings

CHECKOUT = Path(__file__).parents[1]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["tests.forked", "hub.commands.web", "hub.commands.worker", "hub.commands.sweep"]
)


def start(word: str, environment: Mapping[str, str], log: Path) -> BaseProcess:
    """`hub <word>` in a process group of its own, called `word`; what it says goes to the log."""
    process = _context.Process(target=_run, args=(word, dict(environment), log), name=word)
    process.start()
    while os.getpgid(pid_of(process)) != process.pid:  # else a kill of its group would meet nobody
        time.sleep(0.001)
    return process


def beside(
    work: Callable[[Settings, Connection], None], given: Settings
) -> tuple[Connection, BaseProcess]:
    """A process that runs `work` with these settings and one end of a pipe; our end, and the process."""
    ours, theirs = _context.Pipe()
    process = _context.Process(target=work, args=(given, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def pid_of(process: BaseProcess) -> int:
    """Its pid, which is also its group's."""
    assert process.pid is not None
    return process.pid


def _run(word: str, environment: dict[str, str], log: Path) -> None:
    os.setsid()
    os.chdir(CHECKOUT)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("a") as said, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.argv = ["hub", word]
    from hub.cli import main

    main()
