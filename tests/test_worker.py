"""A worker whose doorbell is away."""

from __future__ import annotations

import pytest

from hub.errors import Refusal
from hub.settings import Settings
from hub.worker import run


def test_a_worker_without_redis_ends_with_a_sentence() -> None:
    with pytest.raises(Refusal, match="Redis does not answer"):
        run(Settings(redis_url="redis://127.0.0.1:1/0"))
