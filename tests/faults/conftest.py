"""Faults are logged here by the hundred: plainly, a traceback with values takes a third of a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    shown = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[structlog.stdlib.add_log_level, shown])
    yield
    structlog.reset_defaults()
