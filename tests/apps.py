"""Web applications for tests: a process makes its addresses and compiles its templates once (a tenth of a
second and more), and lends them to one test after another with that test's means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from hub.app import attach, routes
from hub.runtime import Runtime

_free: list[Flask] = []
_lent: list[Flask] = []


def an_app(runtime: Runtime) -> Flask:
    """An application on these means, until the test ends."""
    app = _free.pop() if _free else routes()
    _lent.append(app)
    attach(app, runtime.settings, runtime)
    return app


@contextmanager
def lending() -> Iterator[None]:
    """What is lent within the block is free for others after it."""
    yield
    _free.extend(_lent)
    _lent.clear()
