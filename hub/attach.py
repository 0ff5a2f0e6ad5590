"""The servers a command or the supervisor works with: those of the settings, those of a running
hub, or embedded ones started for the purpose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from hub import embedded
from hub.embedded import EmbeddedError, Place, postgres, valkey
from hub.i18n import gettext as _
from hub.pidfile import AlreadyHeld, held
from hub.settings import Settings

PATIENCE = 15.0
"""How long a hub that is just starting may take (seconds)."""

Say = Callable[[str], None]


@contextmanager
def attached(settings: Settings, *, create: bool = False) -> Iterator[Settings]:
    """Settings with the servers' addresses filled in. Beside `hub up` its servers are used; when no
    hub runs, what the settings do not bring is started for the block. Without `create` there must
    have been a hub: asking in the wrong place must not make an empty one. Raises `EmbeddedError`."""
    if settings.database_url and settings.redis_url:
        yield settings
        return
    _refuse_nothing_there(settings, create)
    place = embedded.prepare(settings.data)
    with ExitStack() as stack:
        if _hold(stack, settings):
            yield stack.enter_context(servers(settings, lambda _: None))
        else:
            _wait(place, settings)
            yield _reached(settings, place)


@contextmanager
def servers(settings: Settings, say: Say) -> Iterator[Settings]:
    """Start, or take over, what the settings do not bring, and end it after the block; the caller
    holds the data directory. Raises `EmbeddedError`."""
    place = None if settings.database_url and settings.redis_url else embedded.prepare(settings.data)
    if place is None:
        yield settings
        return
    try:
        if not settings.database_url:
            _tell(say, f"PostgreSQL on {place.cluster}", postgres.start(place).adopted)
        if not settings.redis_url:
            _tell(say, "Valkey", valkey.start(place).adopted)
        yield _reached(settings, place)
    finally:
        if not settings.redis_url:
            valkey.stop(place)
        if not settings.database_url:
            postgres.stop(place)


def revive(given: Settings) -> list[str]:
    """Start embedded servers that died; the names of those that had. `given` are the settings as
    loaded, before addresses were filled in."""
    if given.database_url and given.redis_url:
        return []
    place = embedded.prepare(given.data)
    died = []
    if not given.database_url and postgres.running_pid(place) is None:
        postgres.start(place)
        died.append("PostgreSQL")
    if not given.redis_url and valkey.running_pid(place) is None:
        valkey.start(place)
        died.append("Valkey")
    return died


def _hold(stack: ExitStack, settings: Settings) -> bool:
    """Hold the data directory until the stack ends; False when a hub runs on it."""
    try:
        stack.enter_context(held(settings.data))
    except AlreadyHeld:
        return False
    return True


def _refuse_nothing_there(settings: Settings, create: bool) -> None:
    if not create and not settings.database_url and not settings.data.exists():
        raise EmbeddedError(
            _(
                "there is no hub on {data}: start one (hub up), or name the directory of the one "
                "that you mean (HUB_DATA)",
                data=settings.data,
            )
        )


def _reached(settings: Settings, place: Place) -> Settings:
    return replace(
        settings,
        database_url=settings.database_url or postgres.url(place),
        redis_url=settings.redis_url or valkey.url(place),
    )


def _wait(place: Place, settings: Settings) -> None:
    ends = time.monotonic() + PATIENCE
    while not (
        (settings.database_url or postgres.running_pid(place))
        and (settings.redis_url or valkey.running_pid(place))
    ):
        if time.monotonic() > ends:
            raise EmbeddedError(
                _("the hub on {data} is starting or ending; try again in a moment", data=place.data)
            )
        time.sleep(0.1)


def _tell(say: Say, name: str, adopted: bool) -> None:
    if adopted:
        say(_("{name} was left running and is taken over", name=name))
    else:
        say(_("{name} is up", name=name))
