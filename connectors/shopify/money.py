"""Shopify's amounts as minor units of the shop's currency: rates, shares, taxes taken out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from connectors.shopify.fields import Amount
from hub.errors import BadPayload
from hub.money import NotMoney, from_minor, to_minor

ZERO = Decimal(0)


def minor(amount: Decimal, currency: str, path: str) -> int:
    """Minor units, rounded half-up once; `BadPayload` at `path` when it is out of range."""
    try:
        return to_minor(amount, currency)
    except NotMoney as error:
        raise BadPayload("bad_amount", f"the amount {error}", path=path) from None


def value(amount: Amount | None, currency: str) -> Decimal:
    """The amount in the shop's currency; 0 when there is none."""
    if amount is None:
        return ZERO
    return amount.shop_value(currency) or ZERO


def total(amounts: Iterable[Amount] | None, currency: str) -> Decimal:
    """The sum in the shop's currency."""
    return sum((value(amount, currency) for amount in amounts or ()), ZERO)


def spread(whole: Decimal, weights: Sequence[Decimal], currency: str, path: str) -> list[Decimal]:
    """Share `whole` out in proportion to `weights` (of a sum above zero), in whole minor units that
    add up to it: what is rounded away goes to the largest remainders."""
    target = minor(whole, currency, path)
    weight = sum(map(Fraction, weights))
    exact = [target * Fraction(w) / weight for w in weights]
    shares = [math.floor(e) for e in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for index in by_remainder[: target - sum(shares)]:
        shares[index] += 1
    return [from_minor(share, currency) for share in shares]


@dataclass(frozen=True, slots=True)
class Rate:
    """How a buyer's (presentment) amount becomes the shop's: two totals of the same thing."""

    shop: Decimal
    presentment: Decimal
    presentment_currency: str

    def convert(self, amount: Decimal) -> Decimal:
        """The buyer's amount in the shop's currency, unrounded."""
        return amount * self.shop / self.presentment


def rate_of(amounts: Iterable[Amount | None], currency: str) -> Rate | None:
    """The rate that lies in amounts whose `_set` has both halves; None when none tells."""
    shop = presentment = ZERO
    code = None
    for amount in amounts:
        if amount is None or amount.shop is None or amount.presentment is None:
            continue
        if amount.currency == currency and amount.presentment_currency:
            shop, presentment = shop + amount.shop, presentment + amount.presentment
            code = amount.presentment_currency
    return Rate(shop, presentment, code) if code and shop and presentment else None
