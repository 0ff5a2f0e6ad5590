"""Whether what a channel was asked for is news: only what equals the present winner may be dropped (rules.md A7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.canonical import Customer, Happening, IdentityKind, Sale, Thin, Traits
from hub.outbox.channels import Channel
from hub.transactions.codec import sale_from_json
from hub.transactions.merge import Contribution, snapshot_key

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Memory:
    """What is stored of some sales and customers of a channel."""

    def __init__(
        self, session: Session, channel: Channel, traits: Traits, told: Iterable[Happening]
    ) -> None:
        every = list(told)
        sales = {h.external_id for h in every if isinstance(h, Sale)}
        sales |= {h.external_id for h in every if isinstance(h, Thin) and h.what == "sale"}
        people = {h.customer.external_id or "" for h in every if isinstance(h, Customer)}
        self._winners = _winners(session, channel.id, traits, sales)
        self._people = _people(session, channel, people)

    def has(self, happenings: Sequence[Happening]) -> bool:
        """Whether all of it is known. A hint at the refunds of a sale that is known says nothing more."""
        about = [h for h in happenings if not (isinstance(h, Thin) and h.what == "refunds")]
        return bool(about) and all(self._knows(happening) for happening in about)

    def _knows(self, happening: Happening) -> bool:
        if isinstance(happening, Customer):
            return happening.customer.external_id in self._people
        if isinstance(happening, Sale):
            winner = self._winners.get(happening.external_id)
            return winner is not None and _meaning(winner) == _meaning(happening)
        if isinstance(happening, Thin) and happening.what == "sale" and happening.version is not None:
            winner = self._winners.get(happening.external_id)
            return winner is not None and _is_told(winner, happening, happening.version)
        return False


def _is_told(winner: Sale, listed: Thin, version: int) -> bool:
    """Whether what we have is what a list hints at. It may be wrong in one way only: then it is fetched once
    more, and the same hint is not news a second time."""
    if winner.version != version:
        return winner.version > version
    back = sum(
        money.amount for refund in winner.refunds for money in refund.money if money.status == "success"
    )
    return winner.state is listed.state and listed.refunded in (None, back)


def _meaning(sale: Sale) -> Sale:
    """The sale without when it was true."""
    refunds = tuple(replace(refund, as_of=_NO_TIME) for refund in sale.refunds)
    return replace(sale, as_of=_NO_TIME, refunds=refunds)


def _winners(
    session: Session, channel_id: int, traits: Traits, sales: Collection[str]
) -> Mapping[str, Sale]:
    """The winning snapshot of each sale; one of which a deletion was ever told is not here: whether it is
    gone now is more than a comparison can say."""
    rows = run(
        session,
        """SELECT t.external_id, c.kind, c.ref, c.version, c.as_of, c.raw_hash, c.body
           FROM transactions t JOIN contributions c ON c.transaction_id = t.id
           WHERE t.channel_id = :channel AND t.external_id = ANY(:ids)
             AND c.kind IN ('snapshot', 'gone', 'tombstone')""",
        {"channel": channel_id, "ids": sorted(sales)},
    )
    gone = {row.external_id for row in rows if row.kind != "snapshot"}
    known: dict[str, list[Contribution]] = {}
    for row in rows:
        if row.external_id not in gone:
            body = sale_from_json(row.body)
            one = Contribution(row.kind, row.ref, row.version, row.as_of, row.raw_hash, body)
            known.setdefault(row.external_id, []).append(one)
    best = {i: max(of, key=lambda c: snapshot_key(c, traits)) for i, of in known.items()}
    return {i: c.body for i, c in best.items() if isinstance(c.body, Sale)}


def _people(session: Session, channel: Channel, ids: Collection[str]) -> frozenset[str]:
    rows = run(
        session,
        """SELECT value FROM identities
           WHERE program_id = :program AND kind = :kind AND scope = :channel AND value = ANY(:ids)""",
        {
            "program": channel.program_id,
            "channel": channel.id,
            "kind": IdentityKind.CUSTOMER.value,
            "ids": sorted(ids),
        },
    )
    return frozenset(row.value for row in rows)
