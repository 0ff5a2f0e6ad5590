"""Messages that did not verify: looked at, and verified again once the secret was put right.

What verifies now enters the inbox as any message does and leaves the quarantine in the same
transaction; its key makes it one with the sender's later tries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.connector import Connector, Inbound, Verdict
from hub.errors import Fault
from hub.outbox import channels
from hub.outbox.channels import Channel, Handle
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.sync import receive

SOURCE = "quarantine"
"""Where such a delivery came from, as its row says."""

Ending = Literal["enters", "ping", "refused"]


@dataclass(frozen=True, slots=True)
class Held:
    """One message in quarantine."""

    id: int
    channel_id: int
    received_at: datetime
    code: str
    detail: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """What verifying a message again says now."""

    held: Held
    ending: Ending
    code: str | None = None
    detail: str | None = None
    known: bool = False
    """It enters, and the very message is in the inbox already."""


_COLUMNS = "id, channel_id, received_at, code, detail, headers, body"


def of_channel(session: Session, channel: Channel) -> list[Held]:
    """What a channel has in quarantine, newest first; bounded in number and bytes when it is kept."""
    rows = run(
        session,
        f"""SELECT {_COLUMNS} FROM quarantine WHERE channel_id = :channel AND program_id = :program
            ORDER BY id DESC""",
        {"channel": channel.id, "program": channel.program_id},
    )
    return [Held(**row._mapping) for row in rows]


def one(session: Session, program_id: int, held_id: int) -> Held | None:
    """One message of a program's."""
    rows = run(
        session,
        f"SELECT {_COLUMNS} FROM quarantine WHERE id = :id AND program_id = :program",
        {"id": held_id, "program": program_id},
    )
    return Held(**rows[0]._mapping) if rows else None


def counts(session: Session, program_id: int) -> dict[int, int]:
    """Channel id -> how many messages it has in quarantine."""
    rows = run(
        session,
        "SELECT channel_id, count(*) AS n FROM quarantine WHERE program_id = :program GROUP BY channel_id",
        {"program": program_id},
    )
    return {row.channel_id: row.n for row in rows}


def check(runtime: Runtime, channel: Channel, held: Iterable[Held]) -> list[Checked]:
    """What verifying these again would say, under the settings the channel has now."""
    messages = list(held)
    try:
        connector = channels.connector_of(runtime, channel)
    except (Fault, UnknownConnector) as fault:
        code = fault.code if isinstance(fault, Fault) else "no_connector"
        return [Checked(m, "refused", code, str(fault)) for m in messages]
    return [_checked(connector, m, _inbound(runtime, channel, connector, m)) for m in messages]


def verify_again(
    session: Session,
    runtime: Runtime,
    channel: Channel,
    *,
    ids: Sequence[int] | None = None,
    actor: str,
) -> list[Checked]:
    """Verify a channel's messages again (those of `ids`, else all). What verifies enters the inbox
    and leaves the quarantine; the rest stays, with the reason of now. Two at once: the second finds
    what the first left. The caller rings the bell once this is committed."""
    found = check(runtime, channel, _locked(session, channel, ids))
    if not found:
        return []
    connector = channels.connector_of(runtime, channel) if any(_enters(c) for c in found) else None
    entering = [c for c in found if _enters(c)]
    known: set[int] = set()
    if connector is not None:
        known = _enter(session, runtime, channel, connector, entering)
    _forget(session, [c.held.id for c in found if c.ending != "refused"])
    _note_reasons(session, [c for c in found if c.ending == "refused"])
    ended = {str(e): n for e, n in Counter(c.ending for c in found).items()}
    record(session, channel.program_id, actor, "quarantine.verified", channel.public_id, ended)
    return [Checked(c.held, c.ending, c.code, c.detail, c.held.id in known) for c in found]


def _enters(checked: Checked) -> bool:
    return checked.ending == "enters"


def _locked(session: Session, channel: Channel, ids: Sequence[int] | None) -> list[Held]:
    which = "" if ids is None else "AND id = ANY(:ids)"
    rows = run(
        session,
        f"""SELECT {_COLUMNS} FROM quarantine WHERE channel_id = :channel AND program_id = :program {which}
            ORDER BY id FOR UPDATE""",
        {"channel": channel.id, "program": channel.program_id, "ids": list(ids or ())},
    )
    return [Held(**row._mapping) for row in rows]


def _inbound(runtime: Runtime, channel: Channel, connector: Connector, held: Held) -> Inbound:
    """The message as it came, at the moment it came: a signed time is compared with that."""
    url = Handle(runtime, channel).webhook_url
    topic = connector.topic(held.headers, held.body)
    return Inbound(topic, held.headers, held.body, held.received_at, url)


def _checked(connector: Connector, held: Held, inbound: Inbound) -> Checked:
    try:
        verdict = connector.verify(inbound)
    except Fault as fault:
        return Checked(held, "refused", fault.code, fault.detail)
    return Checked(held, "ping" if verdict is Verdict.PING else "enters")


def _enter(
    session: Session,
    runtime: Runtime,
    channel: Channel,
    connector: Connector,
    entering: Sequence[Checked],
) -> set[int]:
    """The way every message takes; returns the quarantine's ids of those that were there already."""
    messages = {
        c.held.id: receive.message(
            channel, connector, _inbound(runtime, channel, connector, c.held), source=SOURCE
        )
        for c in entering
    }
    receive.insert(session, list(messages.values()))
    return {held_id for held_id, message in messages.items() if message.duplicate}


def _forget(session: Session, ids: Sequence[int]) -> None:
    run(session, "DELETE FROM quarantine WHERE id = ANY(:ids)", {"ids": list(ids)})


def _note_reasons(session: Session, refused: Iterable[Checked]) -> None:
    for checked in refused:
        if checked.code != checked.held.code:
            run(
                session,
                "UPDATE quarantine SET code = :code, detail = :detail WHERE id = :id",
                {"code": checked.code, "detail": checked.detail, "id": checked.held.id},
            )
