"""What channels say about their customers: names, birthdays, consents, deletions, merges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.canonical import Customer
from hub.members.resolve import Directory, Mention

__all__ = ["Customer", "Mention", "follow", "follow_earlier", "learn_birthdays", "update"]

_PROFILE = {
    "id": "bigint",
    "name": "text",
    "birthday": "date",
    "address": "jsonb",
    "locale": "text",
    "as_of": "timestamptz",
}
_CONSENT = {
    "member_id": "bigint",
    "channel_id": "bigint",
    "what": "text",
    "given": "boolean",
    "at": "timestamptz",
    "wording": "text",
}


def update(
    session: Session, program_id: int, told: Iterable[tuple[Mention, Customer]], directory: Directory
) -> None:
    """Take over what the newest message says; what it does not say stays (absence wipes nothing)."""
    newest: dict[int, Customer] = {}
    consents: list[dict[str, Any]] = []
    for mention, customer in told:
        member = directory.find(mention)
        if member is None:
            continue
        if member not in newest or customer.as_of > newest[member].as_of:
            newest[member] = customer
        consents += _consents(member, mention.channel_id, customer)
    _write_profiles(session, newest)
    _write_consents(session, program_id, consents)


def learn_birthdays(session: Session, directory: Directory, told: Iterable[tuple[Mention, str]]) -> None:
    """Take birthdays that sales tell over where none is known: a record of the customer knows better."""
    found = {directory.find(mention): _birthday(text) for mention, text in told}
    rows = [
        {"id": member, "birthday": day}
        for member, day in sorted((m, d) for m, d in found.items() if m is not None and d is not None)
    ]
    if rows:
        columns = {"id": "bigint", "birthday": "date"}
        run(
            session,
            f"""UPDATE members m SET birthday = r.birthday FROM {unnest(columns)}
                WHERE m.id = r.id AND m.birthday IS NULL""",
            arrays(columns, rows),
        )


def follow(
    session: Session,
    program_id: int,
    merged: Sequence[tuple[int, str, str]],
    gone: Sequence[tuple[int, str]],
) -> None:
    """Follow what a channel did to its customers: (channel, gone id, kept id) of merges, (channel,
    id) of deletions. Points stay where they are; two members that a channel says are one person
    become a suggestion. Merges are remembered: they may be told before their customers are."""
    for channel_id, gone_id, kept_id in merged:
        _remember(session, channel_id, gone_id, kept_id)
        _merge(session, program_id, channel_id, gone_id, kept_id)
    for channel_id, external_id in gone:
        run(
            session,
            """UPDATE identities SET gone_at = clock_timestamp()
               WHERE program_id = :program AND kind = 'customer' AND scope = :channel AND value = :value
                 AND gone_at IS NULL""",
            {"program": program_id, "channel": channel_id, "value": external_id},
        )


def follow_earlier(session: Session, program_id: int, directory: Directory) -> None:
    """Follow merges that were told before their customers were known here."""
    wanted = sorted({(i.scope, i.value) for i in directory.new_identities if i.kind == "customer"})
    if not wanted:
        return
    columns = {"channel_id": "bigint", "external_id": "text"}
    rows = run(
        session,
        f"""SELECT DISTINCT m.channel_id, m.gone_external_id AS gone, m.kept_external_id AS kept
            FROM {unnest(columns)} JOIN customer_merges m ON m.channel_id = r.channel_id
             AND (m.gone_external_id = r.external_id OR m.kept_external_id = r.external_id)
            ORDER BY 1, 2, 3""",
        arrays(columns, [dict(zip(columns, one, strict=True)) for one in wanted]),
    )
    for row in rows:
        _merge(session, program_id, row.channel_id, row.gone, row.kept)


def _remember(session: Session, channel_id: int, gone_id: str, kept_id: str) -> None:
    run(
        session,
        """INSERT INTO customer_merges (channel_id, gone_external_id, kept_external_id)
           VALUES (:channel, :gone, :kept) ON CONFLICT DO NOTHING""",
        {"channel": channel_id, "gone": gone_id, "kept": kept_id},
    )


def _merge(session: Session, program_id: int, channel_id: int, gone_id: str, kept_id: str) -> None:
    found = {
        row.value: row.member_id
        for row in run(
            session,
            """SELECT value, member_id FROM identities WHERE program_id = :program AND kind = 'customer'
                 AND scope = :channel AND value = ANY(:values) ORDER BY value FOR UPDATE""",
            {"program": program_id, "channel": channel_id, "values": [gone_id, kept_id]},
        )
    }
    if gone_id in found and kept_id not in found:
        run(
            session,
            """INSERT INTO identities (program_id, member_id, kind, scope, value)
               VALUES (:program, :member, 'customer', :channel, :value) ON CONFLICT DO NOTHING""",
            {"program": program_id, "member": found[gone_id], "channel": channel_id, "value": kept_id},
        )
    elif len(set(found.values())) == 2:
        low, high = sorted(found.values())
        run(
            session,
            """INSERT INTO merge_suggestions (program_id, member_id, other_id, reason)
               VALUES (:program, :low, :high, 'merged_by_channel') ON CONFLICT DO NOTHING""",
            {"program": program_id, "low": low, "high": high},
        )


def _write_profiles(session: Session, newest: dict[int, Customer]) -> None:
    if not newest:
        return
    rows = [
        {
            "id": member,
            "name": c.customer.name[:200],
            "birthday": _birthday(c.customer.birthday),
            "address": json.dumps(dict(c.customer.address)),
            "locale": c.customer.locale,
            "as_of": c.as_of,
        }
        for member, c in sorted(newest.items())
    ]
    run(
        session,
        f"""UPDATE members m SET
                name = CASE WHEN r.name <> '' THEN r.name ELSE m.name END,
                birthday = coalesce(r.birthday, m.birthday),
                address = CASE WHEN r.address <> '{{}}' THEN r.address ELSE m.address END,
                locale = coalesce(r.locale, m.locale), profile_as_of = r.as_of
            FROM {unnest(_PROFILE)}
            WHERE m.id = r.id AND (m.profile_as_of IS NULL OR m.profile_as_of <= r.as_of)""",
        arrays(_PROFILE, rows),
    )


def _consents(member: int, channel_id: int, customer: Customer) -> list[dict[str, Any]]:
    return [
        {
            "member_id": member,
            "channel_id": channel_id,
            "what": c.what,
            "given": c.given,
            "at": c.at or customer.as_of,
            "wording": c.wording[:1000],
        }
        for c in customer.customer.consents
    ]


def _write_consents(session: Session, program_id: int, rows: Sequence[dict[str, Any]]) -> None:
    """What, when, in which channel, in which words: every change is kept."""
    if not rows:
        return
    run(
        session,
        f"""INSERT INTO consents (program_id, member_id, channel_id, what, given, at, wording)
            SELECT :program, r.member_id, r.channel_id, r.what, r.given, r.at, r.wording FROM {unnest(_CONSENT)}
            ON CONFLICT DO NOTHING""",
        {**arrays(_CONSENT, rows), "program": program_id},
    )


def _birthday(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
