"""The merge fold: all contributions to one sale in, its one state out (rules.md A).

Pure and commutative: the answer depends on the set of contributions, not on the order in which
they arrived or how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Literal

from hub.canonical import (
    GOODS_KINDS,
    PAID_STATES,
    CustomerRef,
    Line,
    Refund,
    RefundLine,
    Sale,
    SaleState,
    Traits,
    state_rank,
)

ContributionKind = Literal["snapshot", "refund", "gone", "tombstone", "refund_tombstone"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one message says about one sale.

    snapshot: the whole sale. refund: one refund document. gone: the platform does not know the
    sale (restorable). tombstone: deleted for good. refund_tombstone: the refund `ref` is deleted.
    """

    kind: ContributionKind
    ref: str
    """The refund's id for refunds, else empty."""
    version: int
    as_of: datetime
    raw_hash: str
    body: Sale | Refund | None = None


@dataclass(frozen=True, slots=True)
class Fold:
    """The state of one sale, from everything ever said about it."""

    sale: Sale | None
    """The winning snapshot, with the attribution and the refunds of the fold; None while only
    refunds or deletions are known."""
    void: bool
    """Deleted, or unknown to its platform."""
    winners: tuple[str, ...]
    """Raw hashes of the contributions that decide, sorted: part of the input hash of a posting."""
    ambiguous: bool
    """Different bytes carry the same (version, as_of): ask the platform (A2)."""
    placed_at: datetime | None
    """The least value ever seen (A9); so is the sale's `paid_at`, which some messages leave out."""
    fulfilled_at: datetime | None = None
    """When a message first said that it was handed over; None: the winning one says that it is not."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a sale came to, in minor units of its currency."""

    goods_net: int
    """Goods and services as sold after discounts, without tax, before refunds."""
    goods_tax: int
    shipping: int
    refunded: int
    """Money given back in all, with tax and shipping (success and pending)."""
    gone: int
    """Goods value reversed by refunds and edits, without tax (A5)."""
    eligible: int
    """Goods that remain and may earn; 0 when unpaid, void or a test."""


def fold(contributions: Iterable[Contribution], traits: Traits) -> Fold:
    """Fold everything known about one sale into its state."""
    known = list(contributions)
    snapshots = [c for c in known if isinstance(c.body, Sale)]
    gone = [c for c in known if c.kind in {"gone", "tombstone"}]
    if not snapshots:
        return Fold(None, bool(gone), (), ambiguous=False, placed_at=None)
    winner = max(snapshots, key=lambda c: snapshot_key(c, traits))
    deleting = [c for c in gone if c.kind == "tombstone" or c.as_of > winner.as_of]
    refunds = effective_refunds(known, winner, traits)
    sale = _sale(winner)
    sale = replace(
        sale,
        customer=attribution(snapshots, traits),
        paid_at=min((at for c in snapshots if (at := _sale(c).paid_at)), default=None),
        refunds=tuple(c.body for c in refunds if isinstance(c.body, Refund)),
    )
    deciding = {winner.raw_hash, *(c.raw_hash for c in refunds), *(c.raw_hash for c in deleting)}
    return Fold(
        sale=sale,
        void=bool(deleting),
        winners=tuple(sorted(deciding)),
        ambiguous=_is_ambiguous(snapshots, winner),
        placed_at=min(_sale(c).placed_at for c in snapshots),
        fulfilled_at=_fulfilled_at(snapshots, sale),
    )


def _fulfilled_at(snapshots: Sequence[Contribution], sale: Sale) -> datetime | None:
    """An order that was handed over and refunded then was handed over."""
    if sale.state in {SaleState.DRAFT, SaleState.PENDING, SaleState.PAID}:
        return None
    told = (c.as_of for c in snapshots if _sale(c).state is SaleState.FULFILLED)
    return min(told, default=None)


def snapshot_key(contribution: Contribution, traits: Traits) -> tuple[object, ...]:
    """The total key under which the greatest snapshot wins (A2). A payload built at delivery may be
    younger than its version says, so there the moment it was true counts first."""
    sale = _sale(contribution)
    age: tuple[object, object] = (contribution.version, contribution.as_of)
    if traits.payload_built == "delivery":
        age = (contribution.as_of, contribution.version)
    return (*age, len(sale.refunds), state_rank(sale.state), contribution.raw_hash)


def attribution(snapshots: Sequence[Contribution], traits: Traits) -> CustomerRef | None:
    """Whose sale it is: a staff claim beats a customer id beats other identities, then the newest
    snapshot wins; a snapshot that names nobody never wipes one that does (A3)."""
    naming = [c for c in snapshots if _strength(_sale(c).customer) > 0]
    if not naming:
        return None
    best = max(naming, key=lambda c: (_strength(_sale(c).customer), snapshot_key(c, traits)))
    return _sale(best).customer


def effective_refunds(
    known: Iterable[Contribution], winner: Contribution, traits: Traits
) -> list[Contribution]:
    """The refunds that count (A4): the winner's own list plus documents that it could not know, or
    that the platform never deletes; each in its greatest (version, as_of, raw hash)."""
    best: dict[str, Contribution] = {}
    for candidate in _refund_candidates(known):
        present = best.get(candidate.ref)
        if present is None or _refund_key(candidate) > _refund_key(present):
            best[candidate.ref] = candidate
    deleted = {c.ref for c in known if c.kind == "refund_tombstone"}
    listed = {r.external_id for r in _sale(winner).refunds}
    return [
        best[ref]
        for ref in sorted(best)
        if ref not in deleted and _counts(best[ref], listed, winner, traits)
    ]


def amounts(sale: Sale, *, void: bool = False) -> Amounts:
    """The sums of a folded sale."""
    goods = goods_lines(sale)
    net, tax = sum(line.net for line in goods), sum(line.tax for line in goods)
    gone = 0 if is_untouched(sale) else round_half_up(min(Fraction(max(net, 0)), goods_gone(sale)))
    earns = not void and not sale.test and sale.state in PAID_STATES - {SaleState.REFUNDED}
    return Amounts(
        goods_net=net,
        goods_tax=tax,
        shipping=sale.shipping,
        refunded=money_back(sale),
        gone=gone,
        eligible=max(0, net - gone) if earns else 0,
    )


def goods_lines(sale: Sale) -> list[Line]:
    """Lines that are goods or services."""
    return [line for line in sale.lines if line.kind in GOODS_KINDS]


def asked_to_pay(sale: Sale) -> int:
    """What the buyer was asked to pay, as sold: the platform's word, or the sum of all lines and the
    shipping with their taxes."""
    if sale.total is not None:
        return sale.total
    lines = sum(line.net + line.tax for line in sale.lines)
    return lines + sale.shipping + sale.shipping_tax


def money_back(sale: Sale) -> int:
    """Money of all refunds in success or pending, in the sale's currency; others are shown, not
    counted (A5)."""
    return sum(_settled(refund, sale.currency) for refund in sale.refunds)


def is_untouched(sale: Sale) -> bool:
    """No refund and no edit: all of it is left. Most sales are, and need no fractions."""
    return not sale.refunds and all(
        line.current_quantity is None or line.current_quantity == line.quantity for line in sale.lines
    )


def goods_gone(sale: Sale) -> Fraction:
    """Goods value taken back: the greater of what the lines say and what the money says, as sums
    over all refunds, never a sum of maxima (A5: money without lines is often followed by lines
    without money)."""
    return max(_gone_by_lines(sale), _gone_by_money(sale))


def remaining_by_line(sale: Sale) -> dict[str, int]:
    """Line key -> goods value left after refunds and edits; sums to `eligible` of a paid sale.

    Money taken back beyond what lines account for is spread over what is left, in proportion and
    to the last minor unit (each line gets the difference of two rounded running totals).
    """
    goods = goods_lines(sale)
    if is_untouched(sale) and all(line.net >= 0 for line in goods):
        return {line.key: line.net for line in goods}
    shares = _gone_shares(sale)
    parts = _gone_parts(sale)
    left = [
        max(Fraction(0), line.net * (1 - shares[line.key]) - parts.get(line.key, 0)) for line in goods
    ]
    target = amounts(replace(sale, state=SaleState.PAID, test=False)).eligible
    total = sum(left, Fraction(0))
    result, running, given = {}, Fraction(0), 0
    for line, value in zip(goods, left, strict=True):
        running += value
        upto = round_half_up(running * target / total) if total else 0
        result[line.key] = upto - given
        given = upto
    return result


def shipping_left(sale: Sale) -> int:
    """Shipping not given back: money returned beyond the goods' gross value was for shipping."""
    if sale.state is SaleState.REFUNDED:
        return 0
    if is_untouched(sale):
        return sale.shipping
    net, tax = _goods_sums(sale)
    gross_gone = _grossed(min(Fraction(max(net, 0)), goods_gone(sale)), net, tax)
    returned = max(Fraction(0), Fraction(money_back(sale)) - gross_gone)
    gross = sale.shipping + sale.shipping_tax
    if gross <= 0:
        return 0
    return sale.shipping - round_half_up(min(returned, Fraction(gross)) * sale.shipping / gross)


def round_half_up(value: Fraction) -> int:
    """Round half away from zero."""
    doubled = abs(value) * 2
    rounded = (doubled.numerator // doubled.denominator + 1) // 2
    return rounded if value >= 0 else -rounded


def _sale(contribution: Contribution) -> Sale:
    assert isinstance(contribution.body, Sale)
    return contribution.body


def _strength(customer: CustomerRef | None) -> int:
    if customer is None:
        return 0
    if customer.staff_claim:
        return 3
    if customer.external_id:
        return 2
    return 1 if customer.phones or customer.emails or customer.cards else 0


def _is_ambiguous(snapshots: Iterable[Contribution], winner: Contribution) -> bool:
    return any(
        c.raw_hash != winner.raw_hash
        and (c.version, c.as_of) == (winner.version, winner.as_of)
        and c.body != winner.body
        for c in snapshots
    )


def _refund_candidates(known: Iterable[Contribution]) -> Iterable[Contribution]:
    for contribution in known:
        if isinstance(contribution.body, Refund):
            yield contribution
        elif isinstance(contribution.body, Sale):
            for refund in contribution.body.refunds:
                yield Contribution(
                    "refund",
                    refund.external_id,
                    refund.version,
                    refund.as_of,
                    contribution.raw_hash,
                    refund,
                )


def _refund_key(contribution: Contribution) -> tuple[int, datetime, str]:
    return (contribution.version, contribution.as_of, contribution.raw_hash)


def _counts(refund: Contribution, listed: set[str], winner: Contribution, traits: Traits) -> bool:
    newer = refund.as_of > winner.as_of
    if traits.sale_is == "net":
        return newer
    if refund.ref in listed or newer:
        return True
    return not traits.refunds_deletable


def _settled(refund: Refund, currency: str) -> int:
    return sum(m.amount for m in refund.money if m.status != "failed" and m.currency == currency)


def _refunded_quantities(sale: Sale) -> dict[str, Fraction]:
    quantities: dict[str, Fraction] = {}
    for line in _all_refund_lines(sale):
        if line.quantity > 0:
            quantities[line.line_key] = quantities.get(line.line_key, Fraction(0)) + Fraction(
                line.quantity
            )
    return quantities


def _all_refund_lines(sale: Sale) -> Iterable[RefundLine]:
    for refund in sale.refunds:
        yield from refund.lines


def _gone_shares(sale: Sale) -> dict[str, Fraction]:
    """Line key -> share of the line (0 to 1) that came back or was edited away."""
    refunded = _refunded_quantities(sale)
    shares = {}
    for line in goods_lines(sale):
        sold = Fraction(line.quantity)
        left = sold - refunded.get(line.key, Fraction(0))
        if line.current_quantity is not None:
            left = min(left, Fraction(line.current_quantity))
        shares[line.key] = (
            1 - max(Fraction(0), min(Fraction(1), left / sold)) if sold > 0 else Fraction(0)
        )
    return shares


def _gone_parts(sale: Sale) -> Mapping[str, int]:
    """Line key -> value taken back without goods (refund lines with quantity 0)."""
    parts: dict[str, int] = {}
    for line in _all_refund_lines(sale):
        if line.quantity <= 0 and line.kind in GOODS_KINDS:
            parts[line.line_key] = parts.get(line.line_key, 0) + line.net
    return parts


def _gone_by_lines(sale: Sale) -> Fraction:
    shares = _gone_shares(sale)
    by_quantity = sum((line.net * shares[line.key] for line in goods_lines(sale)), Fraction(0))
    return by_quantity + sum(_gone_parts(sale).values())


def _gone_by_money(sale: Sale) -> Fraction:
    told = Fraction(sum(r.goods_money for r in sale.refunds if r.goods_money is not None))
    untold = sum(_settled(r, sale.currency) for r in sale.refunds if r.goods_money is None)
    net, tax = _goods_sums(sale)
    gross = net + tax
    if gross <= 0 or untold <= 0:
        return told
    return told + Fraction(min(untold, gross) * net, gross)


def _goods_sums(sale: Sale) -> tuple[int, int]:
    goods = goods_lines(sale)
    return sum(line.net for line in goods), sum(line.tax for line in goods)


def _grossed(value: Fraction, net: int, tax: int) -> Fraction:
    return value * (net + tax) / net if net > 0 else value
