"""Forgetting a person: who it was goes, what was booked stays (reliability: drop the mapping, not the rows).

Their orders stay with the member, who has neither name nor key any more: a claim on each order takes the
place of the names in its messages, so a late refund still finds the right account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.audit import record
from hub.bulk import run
from hub.members import identity
from hub.outbox.channels import Channel
from hub.sync.understand import FORGOTTEN


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What forgetting somebody came to."""

    identities: int
    orders: int
    messages: int


def forget(session: Session, program_id: int, member_id: int, *, actor: str, now: datetime) -> Forgotten:
    """Forget a member (a root) and all that was merged into it. A second time finds nothing more."""
    people = [
        row.id
        for row in run(
            session,
            """SELECT id FROM members WHERE program_id = :program AND (id = :id OR alias_of = :id)
               ORDER BY id FOR NO KEY UPDATE""",
            {"program": program_id, "id": member_id},
        )
    ]
    keys = run(
        session,
        """DELETE FROM identities WHERE program_id = :program AND member_id = ANY(:people)
           RETURNING kind, scope, value""",
        {"program": program_id, "people": people},
    )
    orders = _keep_orders(session, program_id, member_id, people)
    messages = _scrub_messages(session, orders)
    for row in keys:
        if row.kind == "customer":
            messages += _scrub_numbered(session, row.scope, row.value)
    messages += _scrub_history(
        session, program_id, [identity.digest(row.kind, row.scope, row.value) for row in keys]
    )
    _scrub_pushes(session, program_id, people)
    _empty(session, program_id, people, now)
    done = Forgotten(len(keys), len(orders), messages)
    if keys:
        detail = {"identities": done.identities, "orders": done.orders, "messages": done.messages}
        subject = run(session, "SELECT public_id FROM members WHERE id = :id", {"id": member_id})
        record(session, program_id, actor, "member.forgotten", subject[0].public_id, detail)
    return done


def forget_shop(session: Session, channel: Channel, *, actor: str, now: datetime) -> None:
    """Forget everybody whom the hub knows through this channel alone; others lose only their customer
    id in it. The channel's messages lose their bodies, and it its last secrets."""
    for root in _known_here_alone(session, channel):
        forget(session, channel.program_id, root, actor=actor, now=now)
    of_channel = {"program": channel.program_id, "channel": channel.id, "body": FORGOTTEN}
    run(
        session,
        """UPDATE transactions t SET claim_member_id = t.member_id WHERE t.program_id = :program
           AND t.channel_id = :channel AND t.member_id IS NOT NULL AND t.claim_member_id IS NULL""",
        of_channel,
    )
    run(
        session,
        """UPDATE contributions c SET body = c.body - 'customer' FROM transactions t
           WHERE t.id = c.transaction_id AND t.channel_id = :channel AND c.body ? 'customer'""",
        of_channel,
    )
    run(
        session,
        """DELETE FROM identities WHERE program_id = :program AND kind = 'customer' AND scope = :channel""",
        of_channel,
    )
    run(
        session,
        "UPDATE deliveries SET body = :body, headers = '{}' WHERE channel_id = :channel AND state <> 'working'",
        of_channel,
    )
    run(session, "DELETE FROM quarantine WHERE channel_id = :channel", of_channel)
    run(
        session,
        """UPDATE channels SET secrets = CASE WHEN status = 'disconnected' THEN ''::bytea ELSE secrets END
           WHERE id = :channel""",
        of_channel,
    )
    record(session, channel.program_id, actor, "channel.forgotten", channel.public_id, {})


def _known_here_alone(session: Session, channel: Channel) -> list[int]:
    """Members whom no other channel knows and who bought in no other."""
    rows = run(
        session,
        """WITH known AS (
               SELECT DISTINCT coalesce(m.alias_of, m.id) AS root FROM identities i JOIN members m ON m.id = i.member_id
               WHERE i.program_id = :program AND i.kind = 'customer' AND i.scope = :channel)
           SELECT k.root, NOT EXISTS (
                      SELECT 1 FROM members m JOIN identities i ON i.member_id = m.id
                      WHERE (m.id = k.root OR m.alias_of = k.root) AND i.kind = 'customer' AND i.scope <> :channel)
                  AND NOT EXISTS (
                      SELECT 1 FROM members m JOIN transactions t ON t.member_id = m.id
                      WHERE (m.id = k.root OR m.alias_of = k.root) AND t.channel_id <> :channel) AS alone
           FROM known k ORDER BY k.root""",
        {"program": channel.program_id, "channel": channel.id},
    )
    return [row.root for row in rows if row.alone]


def scrub_customer(session: Session, channel: Channel, external_id: str) -> None:
    """Messages about a customer whom no member has (any more)."""
    _scrub_numbered(session, channel.id, external_id)


def scrub_own(session: Session, delivery_id: int) -> None:
    """The request itself names whom it is about; it has been answered."""
    given = {"id": delivery_id, "body": FORGOTTEN}
    run(session, "UPDATE deliveries SET body = :body, headers = '{}' WHERE id = :id", given)


def _keep_orders(session: Session, program_id: int, member_id: int, people: Sequence[int]) -> list[int]:
    """The member's orders, held by a claim and without the buyer's data in what is kept of them."""
    orders = [
        row.id
        for row in run(
            session,
            """UPDATE transactions SET claim_member_id = coalesce(claim_member_id, :member)
               WHERE program_id = :program AND member_id = ANY(:people) RETURNING id""",
            {"program": program_id, "member": member_id, "people": people},
        )
    ]
    run(
        session,
        """UPDATE contributions SET body = body - 'customer'
           WHERE transaction_id = ANY(:orders) AND body ? 'customer'""",
        {"orders": orders},
    )
    return orders


def _scrub_messages(session: Session, orders: Sequence[int]) -> int:
    """The messages that told of these orders, and what was asked and answered for them."""
    return _scrub(
        session,
        """SELECT c.delivery_id FROM contributions c WHERE c.transaction_id = ANY(:orders)
           UNION SELECT d.id FROM transactions t JOIN deliveries d
               ON d.channel_id = t.channel_id AND d.subject = 'sale:' || t.external_id
               WHERE t.id = ANY(:orders)""",
        orders=list(orders),
    )


def _scrub_numbered(session: Session, channel_id: int, external_id: str) -> int:
    """Messages about a customer: their number is the customer's id (`Connector.describe`)."""
    return _scrub(
        session,
        """SELECT id FROM deliveries WHERE channel_id = :channel AND number = :value
           AND topic ~ 'customer'""",
        channel=channel_id,
        value=external_id,
    )


def _scrub_history(session: Session, program_id: int, about: Sequence[str]) -> int:
    """What was fetched of a channel's history and waits to be brought in: it would bring them back."""
    rows = run(
        session,
        """UPDATE backfill_items i SET about = '{}', who = '' FROM backfills b
           WHERE b.id = i.backfill_id AND b.program_id = :program AND i.about && CAST(:about AS text[])
           RETURNING i.delivery_id""",
        {"program": program_id, "about": list(about)},
    )
    return _scrub(
        session, "SELECT unnest(CAST(:ids AS bigint[]))", ids=[row.delivery_id for row in rows]
    )


def _scrub_pushes(session: Session, program_id: int, people: Sequence[int]) -> int:
    """What was sent out about a member: its requests named them."""
    subjects = [f"member:{member}" for member in people]
    return _scrub(
        session,
        "SELECT id FROM deliveries WHERE program_id = :program AND subject = ANY(:subjects) AND state <> 'due'",
        program=program_id,
        subjects=subjects,
    )


def _scrub(session: Session, which: str, **parameters: object) -> int:
    rows = run(
        session,
        f"""UPDATE deliveries SET body = :body, headers = '{{}}' WHERE id IN ({which})
            AND state <> 'working' AND body <> :body RETURNING id""",
        {"body": FORGOTTEN, **parameters},
    )
    ids = [row.id for row in rows]
    run(session, "UPDATE attempts SET exchanges = '[]' WHERE delivery_id = ANY(:ids)", {"ids": ids})
    return len(ids)


def _empty(session: Session, program_id: int, people: Sequence[int], now: datetime) -> None:
    """What is known of the person besides their points."""
    given = {"program": program_id, "people": list(people), "now": now}
    run(
        session,
        """UPDATE members SET name = '', birthday = NULL, address = '{}', locale = NULL, profile_as_of = NULL,
                  forgotten_at = coalesce(forgotten_at, :now) WHERE id = ANY(:people)""",
        given,
    )
    for table in ("consents", "member_tags"):
        run(
            session,
            f"DELETE FROM {table} WHERE program_id = :program AND member_id = ANY(:people)",
            given,
        )
    run(
        session,
        """DELETE FROM merge_suggestions WHERE program_id = :program
           AND (member_id = ANY(:people) OR other_id = ANY(:people))""",
        given,
    )
