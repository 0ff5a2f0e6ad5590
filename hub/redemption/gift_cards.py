"""Gift cards: codes with money in them that belong to whoever has them, until somebody collects it.

What is collected is store credit, spent in parts and in every channel. No channel is told of the code
itself: a shop that took it would know nothing of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.members.switch import is_off
from hub.members.view import root_of
from hub.redemption import states
from hub.redemption.quoting import refusal
from hub.redemption.uses import code_key


class NoGiftCard(LookupError):
    """There is no such code, or it is none of a gift card."""


class NotCollectable(Exception):
    """The money cannot be had: `why` is a code of `hub.words.CODE_WORDS`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Collecting:
    """Who collects the money of which code."""

    program_id: int
    member_id: int
    code: str
    actor: str
    chain_key: bytes
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """The money of a gift card, which is a member's store credit now: minor units."""

    voucher: str
    currency: str
    amount: int
    repeated: bool


def collect(session: Session, deed: Collecting) -> Collected:
    """Make the money of a gift card a member's store credit. The code can be collected once: the same
    member again changes nothing, of two members at once one gets it. Raises `NoGiftCard` and
    `NotCollectable`."""
    card = _lock(session, deed)
    ((currency, amount),) = card.reward_terms["gift_card"].items()
    reference = f"gift:{card.id}"
    owner = _collected_by(session, deed.program_id, reference)
    if owner is not None and owner == root_of(session, deed.member_id):
        return Collected(card.public_id, currency, amount, repeated=True)
    if owner is not None:
        raise NotCollectable("gift_card_collected")
    why = refusal(card, deed.now or commands.moment(session))
    if why is not None or is_off(session, deed.member_id):
        raise NotCollectable(why or "account_disabled")
    states.move(session, card.id, "use_seen", deed.actor)
    command = Command(
        deed.program_id,
        deed.member_id,
        reference=reference,
        actor=deed.actor,
        chain_key=deed.chain_key,
        now=deed.now,
        explanation=({"code": "gift_card_collected", "points": str(amount)},),
        currency=currency,
    )
    commands.adjust(session, command, amount)
    return Collected(card.public_id, currency, amount, repeated=False)


def _lock(session: Session, deed: Collecting) -> Any:
    """The voucher's row, before any account's (rules.md C4)."""
    rows = run(
        session,
        """SELECT v.id, v.public_id, v.state, v.starts_at, v.expires_at, r.reward_terms,
                  NULL AS asking, NULL AS owner
           FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
           WHERE v.program_id = :program AND v.code_key = :key FOR NO KEY UPDATE OF v""",
        {"program": deed.program_id, "key": code_key(deed.code)},
    )
    if not rows or not rows[0].reward_terms.get("gift_card"):
        raise NoGiftCard(deed.code)
    return rows[0]


def _collected_by(session: Session, program_id: int, reference: str) -> int | None:
    rows = run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root
           FROM entries e JOIN accounts a ON a.id = e.account_id JOIN members m ON m.id = a.holder_id
           WHERE e.program_id = :program AND e.reference = :reference""",
        {"program": program_id, "reference": reference},
    )
    return rows[0].root if rows else None
