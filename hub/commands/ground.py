"""What the commands that work with the database share."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hub import i18n
from hub.attach import attached
from hub.errors import Fault, Refusal
from hub.i18n import gettext as _
from hub.settings import load

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hub.connector import Connector
    from hub.outbox.channels import Channel
    from hub.program.store import Program
    from hub.runtime import Runtime


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


ACTOR = f"cli:{_login()}"
"""Who did it, as noted on entries, replays and in the audit."""


def program_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--program`, needed only where the hub has several; `HUB_PROGRAM` names it for all commands."""
    return click.option(
        "-p",
        "--program",
        envvar="HUB_PROGRAM",
        help="Slug or id; may be left out when there is only one, or HUB_PROGRAM names it.",
    )(command)


def find_connector(kind: str, extra: Mapping[str, str]) -> type[Connector]:
    """The connector of a kind; `extra` are those that the settings add. Raises `Refusal`."""
    from hub.registry import CONNECTORS, UnknownConnector, connector_class

    known = sorted({*CONNECTORS, *extra})
    if kind not in known:
        names = ", ".join(known)
        raise Refusal(
            _("there is no connector {kind!r:.50}; there are: {known}", kind=kind, known=names)
        )
    try:
        return connector_class(kind, extra)
    except UnknownConnector as error:
        raise Refusal(
            _("the connector {kind} cannot be used: {error}", kind=kind, error=error)
        ) from None


@contextmanager
def ground() -> Iterator[Runtime]:
    """A runtime beside the running hub, or on its own when none runs."""
    from hub import log, migrate
    from hub.runtime import Runtime

    log.beside()
    with attached(load()) as settings:
        runtime = Runtime.start(settings)
        migrate.refuse_outdated(runtime.engine)
        try:
            yield runtime
        finally:
            runtime.engine.dispose()


def find_program(session: Session, slug: str | None) -> Program:
    """The named programme, or the only one. Raises `Refusal`."""
    from hub.program import store

    if slug:
        found = store.by_slug(session, slug)
        if found is None:
            raise Refusal(_("there is no programme {slug!r}; `hub program list` shows them", slug=slug))
        return found
    every = store.all_programs(session)
    if len(every) == 1:
        return every[0]
    if not every:
        raise Refusal(_("there is no programme yet; make one with `hub program add`"))
    known = ", ".join(p.slug for p in every)
    raise Refusal(_("name one with --program: {known}", known=known))


def own_words(runtime: Runtime, kind: str) -> Mapping[str, str]:
    """What the codes of one kind of channel mean; nothing for a kind that is not there any more."""
    from hub.registry import UnknownConnector

    try:
        return runtime.connector_class(kind).words
    except UnknownConnector:
        return {}


def find_channel(session: Session, public_id: str) -> Channel:
    """The channel of an id. Raises `Refusal`."""
    from hub.outbox import channels

    its = channels.by_public_id(session, public_id)
    if its is None:
        raise Refusal(
            _("there is no channel {channel!r}; `hub channel list` shows them", channel=public_id)
        )
    return its


def said(fault: Fault, own: Mapping[str, str]) -> str:
    """A fault for the operator: the sentence of its code, then where exactly, as it was found."""
    from hub.words import of_fault, of_field

    if fault.code == "bad_settings":
        path, _colon, sentence = fault.detail.partition(": ")
        return f"{path}: {of_field(sentence)}"
    if i18n.language() == i18n.SOURCE:
        return fault.detail
    return f"{of_fault(fault.code, fault.fault, None, own)} ({fault.detail})"
