"""One inbound delivery, understood: its happenings sorted into what the core does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hub.canonical import (
    Code,
    Customer,
    CustomerMerged,
    Deleted,
    Happening,
    Ignored,
    Product,
    Refund,
    Sale,
    Thin,
)
from hub.connector import Connector, Inbound, PrivacyRequest
from hub.errors import BadPayload, Fault
from hub.money import MAX_MINOR
from hub.outbox.deliveries import Claimed
from hub.transactions.merge import Contribution, ContributionKind
from hub.transactions.post import CLOCK_SKEW, Arrival, Key

FORGOTTEN = b'{"forgotten":true}'
"""What stands in the place of a message's body when a person was forgotten; its hash stays, so a
repetition is still one."""

_FIRST_YEAR, _LAST_YEAR = 1900, 9000
"""Times outside are placeholders (0001-01-01 is .NET's "none"), and no calendar arithmetic in any time
zone may run over the ends of what Python can tell."""
_LONGEST_ID = 200
_LONGEST_NUMBER, _LONGEST_CODE, _MOST_CODES = 100, 255, 50
"""What is longer is no number to search by and no code of ours; an index could not hold it."""


@dataclass(slots=True)
class Understood:
    """What one delivery says, ready for a batch."""

    delivery: Claimed
    fault: Fault | None = None
    number: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    merged: list[CustomerMerged] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    gone: list[Deleted] = field(default_factory=list)
    """Deleted customers and shops."""
    thin: list[Thin] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    privacy: PrivacyRequest | None = None

    @property
    def is_forgotten(self) -> bool:
        """Nothing is left to read; what it said of sales is kept with them."""
        return self.delivery.body == FORGOTTEN

    @property
    def keys(self) -> list[Key]:
        """The sales it is about."""
        return [a.key for a in self.arrivals]


def inbound_of(delivery: Claimed) -> Inbound:
    """The message as the connector gets it: the first time and on every replay the same."""
    return Inbound(delivery.topic, delivery.headers, delivery.body, delivery.received_at)


def understand(connector: Connector, delivery: Claimed) -> Understood:
    """Normalise. A fault of the message is an answer; other exceptions are the hub's (the caller's)."""
    understood = Understood(delivery)
    if understood.is_forgotten:
        understood.ignored.append(Ignored("forgotten"))
        return understood
    inbound = inbound_of(delivery)
    try:
        happenings = connector.normalise(inbound)
        _sort(understood, happenings, type(connector).normaliser_version)
        if inbound.topic in connector.privacy_topics:
            understood.privacy = connector.privacy(inbound)
    except Fault as fault:
        understood.fault = _bare(fault)
    if not understood.number:  # of a message that failed too: support looks for it by that
        understood.number = connector.describe(inbound)[:100]
    return understood


def _bare(fault: Fault) -> Fault:
    """Without the frames it came through: they hold the parsed message, thirty times its bytes, and the
    fault is kept until its batch ends."""
    fault.__context__ = fault.__cause__ = None
    return fault.with_traceback(None)


def _sort(understood: Understood, happenings: Sequence[Happening], version: int) -> None:
    for happening in happenings:
        match happening:
            case Sale():
                _add_sale(understood, happening, version)
            case Refund():
                _add(understood, happening.sale_external_id, _refund(understood, happening), version)
            case Deleted(what="sale") | Deleted(what="refund"):
                _add_deletion(understood, happening, version)
            case Deleted():
                understood.gone.append(happening)
            case Customer():
                _check_id(happening.customer.external_id or "")
                understood.customers.append(happening)
            case CustomerMerged():
                _check_id(happening.gone_external_id)
                _check_id(happening.kept_external_id)
                understood.merged.append(happening)
            case Code():
                understood.codes.append(happening)
            case Product():
                understood.products.append(happening)
            case Thin():
                understood.thin.append(happening)
            case Ignored():
                understood.ignored.append(happening)


def _hash(understood: Understood) -> str:
    return understood.delivery.body_hash.hex()


def _add(understood: Understood, external_id: str, contribution: Contribution, version: int) -> None:
    _check_id(external_id)
    _check_id(contribution.ref)
    key = (understood.delivery.channel_id, external_id)
    delivery = understood.delivery
    arrival = Arrival(key, delivery.id, contribution, version, delivery.received_at)
    understood.arrivals.append(arrival)


def _add_sale(understood: Understood, sale: Sale, version: int) -> None:
    """A clock that runs ahead cannot place a sale in our future, nor its payment (rules.md A9)."""
    _check(sale)
    latest = understood.delivery.received_at + CLOCK_SKEW
    if sale.placed_at > latest or (sale.paid_at is not None and sale.paid_at > latest):
        paid_at = None if sale.paid_at is None else min(sale.paid_at, latest)
        sale = replace(sale, placed_at=min(sale.placed_at, latest), paid_at=paid_at)
    codes = tuple(code for code in sale.codes if len(code) <= _LONGEST_CODE)[:_MOST_CODES]
    if len(codes) < len(sale.codes) or len(sale.number) > _LONGEST_NUMBER:
        sale = replace(sale, number=sale.number[:_LONGEST_NUMBER], codes=codes)
    if not understood.number:
        understood.number = sale.number
    body = Contribution("snapshot", "", sale.version, sale.as_of, _hash(understood), sale)
    _add(understood, sale.external_id, body, version)


def _check(sale: Sale) -> None:
    """What a schema may let through and ledger, calendar or index cannot hold. Raises `BadPayload`."""
    for name in ("placed_at", "paid_at", "as_of"):
        moment = getattr(sale, name)
        if moment is not None and not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise BadPayload("time_out_of_range", f"{name} is in the year {moment.year}")
    amounts = [amount for line in sale.lines for amount in (line.net, line.tax)]
    if sum(map(abs, (*amounts, sale.shipping, sale.shipping_tax, sale.total or 0))) > MAX_MINOR:
        raise BadPayload("amount_out_of_range", "the sale comes to more than 2^53 minor units")
    for refund in sale.refunds:
        _check_id(refund.external_id)
    if sale.customer is not None:
        _check_id(sale.customer.external_id or "")


def _check_id(text: str) -> None:
    """Ids are never cut: two long ones that begin alike would be one."""
    if len(text) > _LONGEST_ID:
        raise BadPayload("id_too_long", f"an id has more than {_LONGEST_ID} characters")


def _refund(understood: Understood, refund: Refund) -> Contribution:
    return Contribution(
        "refund", refund.external_id, refund.version, refund.as_of, _hash(understood), refund
    )


def _add_deletion(understood: Understood, deleted: Deleted, version: int) -> None:
    as_of = deleted.as_of or understood.delivery.received_at
    sale_id, ref = deleted.external_id, ""
    if deleted.what == "refund":
        sale_id, _, ref = deleted.external_id.partition("/")
        body = Contribution("refund_tombstone", ref, 0, as_of, _hash(understood))
    else:
        kind: ContributionKind = "tombstone" if deleted.final else "gone"
        # the bytes of a 404 are the same each time: the moment makes it another contribution
        body = Contribution(kind, "", 0, as_of, f"{_hash(understood)}@{as_of.isoformat()}")
    _add(understood, sale_id, body, version)
