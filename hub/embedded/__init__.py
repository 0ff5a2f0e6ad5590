"""PostgreSQL and Valkey of our own, out of wheels: started, adopted and stopped on a data directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub.embedded import postgres, valkey
from hub.embedded.place import EmbeddedError, Place, prepare

__all__ = ["EmbeddedError", "Place", "Servers", "prepare", "start", "stop"]


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers listen; the database URL connects as the owner of everything."""

    database_url: str
    redis_url: str


def start(data: Path, *, durable: bool = True) -> Servers:
    """Start both servers on `data`, or adopt those that already run there. Raises `EmbeddedError`.

    `durable=False` lets PostgreSQL forget on a crash: for test clusters only.
    """
    place = prepare(data)
    return Servers(postgres.start(place, durable=durable).url, valkey.start(place).url)


def stop(data: Path) -> None:
    """Stop both servers; nothing happens where none runs."""
    place = prepare(data)
    valkey.stop(place)
    postgres.stop(place)
