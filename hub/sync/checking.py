"""Codes as the hub has them against codes as their channels say: compared, told, made right.

A channel is only asked; what is to be changed there goes through the outbox like everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from hub.audit import record
from hub.bulk import run
from hub.connector import CodeThere, RevokeCode
from hub.errors import Fault
from hub.outbox import channels, deliveries
from hub.redemption.states import WORKING
from hub.redemption.telling import code_pushes
from hub.registry import UnknownConnector
from hub.runtime import Runtime

log = structlog.get_logger()
ACTOR = "hub:check"
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """A code that is not in a channel as the hub has it."""

    code: str
    voucher: str
    channel: str
    found: str
    """`missing`: to be used there, and not there. `usable`: taken back, and still there. `used_untold`: used
    there, and no order told of it. Else the code of a fault: the channel did not answer."""
    repaired: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One code in one channel, as the hub has it."""

    voucher_id: int
    voucher: str
    code: str
    program_id: int
    channel_id: int
    external_id: str | None
    works: bool
    """It is to be used there; else it is to be gone."""


def places(
    runtime: Runtime, program_id: int | None = None, *, after: int = 0, limit: int = AT_ONCE
) -> list[Place]:
    """Codes that channels have confirmed, by voucher from that id on: all that can be used, and those that
    were taken back within a month."""
    with runtime.sessions() as session:
        rows = run(
            session,
            """SELECT v.id AS voucher_id, v.public_id AS voucher, v.code, v.program_id, vc.channel_id, vc.external_id,
                      vc.state = 'live' AS works
               FROM vouchers v JOIN voucher_channels vc ON vc.voucher_id = v.id
               JOIN channels c ON c.id = vc.channel_id AND c.status = 'active'
               WHERE v.id > :after AND (CAST(:program AS bigint) IS NULL OR v.program_id = :program)
                 AND (c.down_until IS NULL OR c.down_until <= clock_timestamp())
                 AND CASE WHEN v.state = ANY(:working) THEN vc.state = 'live'
                     ELSE vc.state = 'revoked' AND vc.updated_at > clock_timestamp() - interval '1 month' END
               ORDER BY v.id, vc.channel_id LIMIT :limit""",
            {"after": after, "program": program_id, "working": sorted(WORKING), "limit": limit},
        )
    return [Place(**row._mapping) for row in rows]


_MARK = "codes_checked"
"""Where the sweeper's asking has come to: a row, so that a hub that is started anew goes on there."""


def next_places(runtime: Runtime, limit: int) -> list[Place]:
    """The places whose turn it is; from the beginning again after the last."""
    with runtime.sessions() as session:
        rows = run(session, "SELECT place FROM marks WHERE name = :name", {"name": _MARK})
    return places(runtime, after=rows[0].place if rows else 0, limit=limit)


def checked(runtime: Runtime, found: Sequence[Place], limit: int) -> None:
    """These were asked about. The last code of a full page may have more places: it comes again."""
    upto = 0
    if len(found) == limit:
        last, first = found[-1].voucher_id, found[0].voucher_id
        upto = last if last == first else last - 1
    with runtime.sessions.begin() as session:
        run(
            session,
            """INSERT INTO marks (name, place) VALUES (:name, :place)
               ON CONFLICT (name) DO UPDATE SET place = excluded.place""",
            {"name": _MARK, "place": upto},
        )


def check(runtime: Runtime, place: Place, *, repair: bool) -> Finding | None:
    """Ask the channel about one code. No transaction is open meanwhile; what is made right is asked for
    only where the hub still has it so. None: all is well, or the channel cannot be asked."""
    with runtime.sessions() as session:
        channel = channels.by_ids(session, [place.channel_id])[place.channel_id]
    try:
        connector = channels.connector_of(runtime, channel)
        if "read_code" not in connector.capabilities():
            return None
        there = connector.read_code(RevokeCode(place.code, place.voucher, place.external_id))
    except (Fault, UnknownConnector) as fault:
        code = fault.code if isinstance(fault, Fault) else "no_connector"
        return Finding(place.code, place.voucher, channel.public_id, code, repaired=False)
    found = _compared(place, there)
    if found is None:
        return None
    repaired = repair and found in _REPAIRS and _repair(runtime, place, channel, found)
    log.warning(
        "a code is not as its channel says", voucher=place.voucher, channel=channel.id, found=found
    )
    return Finding(place.code, place.voucher, channel.public_id, found, repaired)


def check_all(runtime: Runtime, program_id: int, *, repair: bool) -> Iterator[Finding]:
    """Every code of a programme."""
    after = 0
    while found := places(runtime, program_id, after=after):
        # a voucher whose channels were cut off by the limit is begun anew
        whole = [p for p in found if p.voucher_id != found[-1].voucher_id] or found
        batch = whole if len(found) == AT_ONCE else found
        for place in batch:
            finding = check(runtime, place, repair=repair)
            if finding is not None:
                yield finding
        after = batch[-1].voucher_id


def _compared(place: Place, there: CodeThere | None) -> str | None:
    usable = there is not None and there.usable
    if place.works and not usable:
        return "used_untold" if there is not None and there.used else "missing"
    return "usable" if usable and not place.works else None


_REPAIRS = {"missing": ("live", "planned", "create_code"), "usable": ("revoked", "live", "revoke_code")}
"""Finding -> the state it is in by the hub, the state it really is in, and what the channel is told."""


def _repair(runtime: Runtime, place: Place, channel: Any, found: str) -> bool:
    believed, really, topic = _REPAIRS[found]
    with runtime.sessions.begin() as session:
        changed = run(
            session,
            """UPDATE voucher_channels vc SET state = :really, updated_at = clock_timestamp()
               FROM vouchers v WHERE v.id = vc.voucher_id AND vc.voucher_id = :voucher AND vc.channel_id = :channel
                 AND vc.state = :believed AND (v.state = ANY(:working)) = :works RETURNING vc.voucher_id""",
            {
                "really": really,
                "believed": believed,
                "voucher": place.voucher_id,
                "channel": place.channel_id,
                "working": sorted(WORKING),
                "works": place.works,
            },
        )
        if changed:
            deliveries.enqueue(session, code_pushes(place.program_id, place.voucher, topic, [channel]))
            detail = {"found": found, "channel": channel.public_id}
            record(session, place.program_id, ACTOR, "code.repaired", place.voucher, detail)
    return bool(changed)
