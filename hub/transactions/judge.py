"""From the folded state of a sale to what it should have earned: still pure, no session."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from hub.canonical import GOODS_KINDS, PAID_STATES, Line, Sale, SaleState
from hub.program.cashback import cashback
from hub.program.earn import evaluate
from hub.program.expiry import availability
from hub.program.rules import (
    NOBODY,
    Basket,
    BasketLine,
    Buyer,
    Judgement,
    Rules,
    Standing,
    in_force,
)
from hub.transactions.merge import Fold, remaining_by_line, shipping_left

HISTORY = "history_for_tiers_only"
"""Why a sale earns nothing that was placed before its channel was connected."""

LineFacts = Mapping[str, Mapping[str, Any]]
"""Line key -> what was first learnt of it (`categories`): later look-ups fill gaps only (A10)."""


@dataclass(frozen=True, slots=True)
class History:
    """What somebody said that the sales count for which a channel had before it was connected."""

    begins: datetime
    until: datetime
    """When the channel was connected; what was placed then or later is no history."""
    counts: Literal["points", "tiers"]

    def covers(self, placed_at: datetime) -> bool:
        """Whether a sale placed then is history."""
        return self.begins <= placed_at < self.until


@dataclass(frozen=True, slots=True)
class Situation:
    """What a judgement depends on besides the sale."""

    versions: Sequence[Rules]
    starts_at: datetime
    origins: Collection[str]
    """Connector kinds connected to this program: a copy of a sale made in one of them is ignored."""
    kind: str
    """The kind of the channel the sale came through."""
    channel: str = ""
    """Its public id."""
    history: History | None = None
    """None: what the channel sold before the programme began does not count."""

    @property
    def begins(self) -> datetime:
        """From when on sales of the channel count: from the programme's start, or where somebody brought in
        its history from further back. Before the first version they are judged by the first."""
        return min(self.starts_at, self.history.begins) if self.history else self.starts_at

    def is_history(self, placed_at: datetime) -> bool:
        """Whether a sale placed then was brought in by somebody, who knew how old it is."""
        return self.history is not None and self.history.covers(placed_at)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one sale is worth, or what it waits for."""

    judgement: Judgement
    rules: Rules
    earned_at: datetime
    available_at: datetime
    expires_at: datetime | None
    lacks: tuple[str, ...] = ()
    """Product ids whose categories the rules need and nobody has told: not judged yet."""
    ignored: str | None = None
    """The reason why the hub does not look at this sale at all."""
    standing: Standing = "paid"
    credit: Judgement | None = None
    """Store credit that it brings, in minor units of its currency; None: the programme has none."""
    tier_points: int | None = None
    """What tiers count in the place of its points: those it would have earned. None: its points."""
    is_refused: bool = False
    """Whoever it belongs to rang it up, and the programme refuses that (`hub.transactions.own_sales`)."""
    for_tiers: bool = False
    """It counts for tiers alone: besides points it brings no reward either, and takes no store credit."""

    @property
    def asks_who(self) -> bool:
        """Whether it can only be judged knowing who bought: then it is judged once more, under the
        lock of the buyer's account (rules.md B2)."""
        return (
            "member" in self.rules.needed
            and self.standing == "paid"
            and not (self.ignored or self.lacks or self.is_refused)
        )


def judge(
    sale: Sale, fold: Fold, facts: LineFacts, situation: Situation, buyer: Buyer = NOBODY
) -> Verdict:
    """Judge a sale by the version in force when it was placed (rules.md B1)."""
    placed_at = fold.placed_at or sale.placed_at
    rules = in_force(situation.versions, placed_at)
    earned_at = placed_at
    if rules.earn_date == "paid":
        earned_at = sale.paid_at or placed_at
    available_at, expires_at = availability(rules, earned_at, fold.fulfilled_at)
    ignored = why_ignored(sale) or _ignored_here(sale, situation, placed_at)
    standing = _standing(sale, void=fold.void)
    asks = standing == "paid" and not ignored and "categories" in rules.needed
    lacks = _lacking(sale, facts) if asks else ()
    if ignored:
        judgement = Judgement(0, ({"code": ignored, "points": "0"},), ignored)
    else:
        whole = basket(sale, standing, facts, situation, placed_at)
        judgement = evaluate(rules, whole, buyer)
    credit = None
    if rules.credit is not None:
        credit = Judgement(0, ()) if ignored else cashback(rules, whole, buyer)
    verdict = Verdict(
        judgement, rules, earned_at, available_at, expires_at, lacks, ignored, standing, credit
    )
    history = situation.history
    if history is not None and history.counts == "tiers" and history.covers(placed_at):
        return _for_tiers(verdict)
    return verdict


def _for_tiers(verdict: Verdict) -> Verdict:
    """The same sale where it counts for tiers alone: it gives nothing, in whatever state it is or comes to
    be, and what it would have earned counts where tiers ask for points."""
    earned = verdict.judgement.points
    verdict = replace(verdict, for_tiers=True)
    if verdict.ignored or not (earned or (verdict.credit and verdict.credit.points)):
        return verdict
    step = {"code": HISTORY, "points": "0", "earned": str(earned)}
    nothing = Judgement(0, (step,), HISTORY)
    credit = None if verdict.credit is None else Judgement(0, ())
    return replace(verdict, judgement=nothing, credit=credit, tier_points=earned)


def why_ignored(sale: Sale) -> str | None:
    """The reason for which any program ignores a sale; None when it is a sale to look at."""
    if sale.state is SaleState.DRAFT:
        return "draft"
    if sale.test:
        return "test_order"
    return None


def basket(
    sale: Sale,
    standing: Standing,
    facts: LineFacts,
    situation: Situation | None = None,
    placed_at: datetime | None = None,
) -> Basket:
    """What was sold and what is left of it, with where and when, as the rules look at it."""
    left = remaining_by_line(sale)
    lines = tuple(_line(line, left.get(line.key, line.net), facts) for line in sale.lines)
    shipping = shipping_left(sale)
    shipping_tax = sale.shipping_tax * shipping // sale.shipping if sale.shipping else 0
    return Basket(
        standing,
        sale.currency,
        lines,
        shipping,
        shipping_tax,
        sale.shipping,
        sale.shipping_tax,
        placed_at=placed_at,
        channels=frozenset((situation.kind, situation.channel)) if situation else frozenset(),
        location=sale.place.location,
        discounted=any(line.discounted for line in lines),
        paid_with_points=any(p.kind == "points" and p.amount > 0 for p in sale.payments),
        paid_with=_paid_with(sale),
        paid_with_credit=paid_with_credit(sale),
    )


def _paid_with(sale: Sale) -> dict[str, int]:
    """What was not paid in money, minor units of the sale's currency."""
    found: dict[str, int] = {}
    for payment in sale.payments:
        if payment.kind != "money" and payment.currency == sale.currency and payment.amount > 0:
            found[payment.kind] = found.get(payment.kind, 0) + payment.amount
    return found


def paid_with_credit(sale: Sale) -> int:
    """Minor units of its currency that were paid with store credit."""
    return sum(
        p.amount for p in sale.payments if p.kind == "store_credit" and p.currency == sale.currency
    )


def _line(line: Line, left: int, facts: LineFacts) -> BasketLine:
    amount = left if line.kind in GOODS_KINDS else line.net
    sold = _pieces(line.quantity)
    return BasketLine(
        line.kind.value,
        amount,
        line.tax * amount // line.net if line.net else 0,
        line.sku,
        _categories(line, facts),
        product=line.product_id,
        tags=line.tags or (),
        discounted=bool(line.discounted),
        quantity=_pieces_left(line, sold, amount),
        sold=line.net,
        sold_tax=line.tax,
        sold_quantity=sold,
    )


def _pieces(quantity: Decimal) -> Fraction | int:
    """Whole pieces as a whole number: most are, and fractions are slow."""
    whole = int(quantity)
    return whole if whole == quantity else Fraction(quantity)


def _pieces_left(line: Line, sold: Fraction | int, left: int) -> Fraction | int:
    """Pieces that stay: what the platform says, else whole pieces in the share of the money that is
    left. A piece that was free stays until the platform says that it came back."""
    if line.current_quantity is not None:
        return _pieces(line.current_quantity)
    if line.net <= 0 or left >= line.net:
        return sold
    if isinstance(sold, int):
        return sold * max(0, left) // line.net
    return sold * max(0, left) / line.net


def _standing(sale: Sale, *, void: bool) -> Standing:
    if void:
        return "deleted"
    if sale.test:
        return "test"
    if sale.state is SaleState.REFUNDED:
        return "refunded"
    if sale.state is SaleState.CANCELLED:
        return "cancelled"
    if sale.state is SaleState.DRAFT:
        return "draft"
    return "paid" if sale.state in PAID_STATES else "unpaid"


def _ignored_here(sale: Sale, situation: Situation, placed_at: datetime) -> str | None:
    if (
        sale.origin is not None
        and sale.origin.kind != situation.kind
        and sale.origin.kind in situation.origins
    ):
        return "copy_of_another_channel"
    if placed_at < situation.begins:
        return "before_program_start"
    return None


def _lacking(sale: Sale, facts: LineFacts) -> tuple[str, ...]:
    missing = [
        line.product_id
        for line in sale.lines
        if line.kind in GOODS_KINDS and line.product_id and _categories(line, facts) is None
    ]
    return tuple(sorted(set(missing)))


def _categories(line: Line, facts: LineFacts) -> tuple[str, ...] | None:
    known = facts.get(line.key, {}).get("categories")
    if known is not None:
        return tuple(known)
    return line.categories
