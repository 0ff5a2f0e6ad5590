"""What a code takes off a cart, line by line and to the last unit. Pure, standard library only.

For tills that cannot do it themselves, and for asking before the bill is paid. Amounts are minor units
of one currency, as the customer would pay them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line of a cart: so many pieces for this amount together."""

    amount: int
    quantity: Fraction | int = 1
    sku: str | None = None


@dataclass(frozen=True, slots=True)
class Cart:
    """What somebody is about to buy."""

    currency: str
    lines: tuple[CartLine, ...]
    shipping: int = 0

    @property
    def total(self) -> int:
        """Everything, before any code."""
        return sum(line.amount for line in self.lines) + self.shipping


@dataclass(frozen=True, slots=True)
class Priced:
    """What a code takes off: `lines` sum to `off`; `left` is what remains to be paid."""

    off: int
    lines: tuple[int, ...]
    shipping_off: int
    left: int
    why: str | None = None
    """Why it takes nothing off: a stable code."""


def price(terms: Mapping[str, Any], cart: Cart) -> Priced:
    """What a code with these terms (`Reward.terms`) takes off."""
    why = _refusal(terms, cart)
    if why is not None:
        return _nothing(cart, why)
    if terms.get("free_shipping"):
        goods = cart.total - cart.shipping
        return Priced(0, tuple(0 for _ in cart.lines), cart.shipping, goods)
    for_it = [_is_for(terms, line) for line in cart.lines]
    weights = [line.amount if mine else 0 for line, mine in zip(cart.lines, for_it, strict=True)]
    off = min(_worth(terms, cart, for_it), sum(weights))
    return Priced(off, tuple(spread(off, weights)), 0, cart.total - off)


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares of `amount` in proportion to the weights that add up to it exactly: each is cut to whole
    units, and the odd units go to the first lines that have a weight, one each."""
    whole = sum(weights)
    if not whole:
        return [0 for _ in weights]
    sign = -1 if amount < 0 else 1
    shares = [abs(amount) * weight // whole for weight in weights]
    odd = abs(amount) - sum(shares)
    for number, weight in enumerate(weights):
        if odd and weight:
            shares[number] += 1
            odd -= 1
    return [sign * share for share in shares]


def _nothing(cart: Cart, why: str) -> Priced:
    return Priced(0, tuple(0 for _ in cart.lines), 0, cart.total, why)


def _refusal(terms: Mapping[str, Any], cart: Cart) -> str | None:
    """Why this cart gets nothing off; None: it does."""
    in_money = terms["percent"] is None and not terms.get("free_shipping")
    is_perk = bool(terms.get("perk"))
    if in_money and cart.currency not in terms["amounts"]:
        return "handed_over_by_staff" if is_perk else "no_amount_in_this_currency"
    for limit in ("minimum", "most"):
        if terms.get(limit) and cart.currency not in terms[limit]:
            return "no_amount_in_this_currency"
    goods = cart.total - cart.shipping
    if goods < (terms.get("minimum") or {}).get(cart.currency, 0):
        return "below_minimum"
    if not any(_is_for(terms, line) for line in cart.lines):
        return "nothing_it_is_for"
    return None


def _is_for(terms: Mapping[str, Any], line: CartLine) -> bool:
    return not terms.get("skus") or line.sku in terms["skus"]


def _worth(terms: Mapping[str, Any], cart: Cart, for_it: Sequence[bool]) -> int:
    """An amount, or a share of the lines or of their cheapest pieces."""
    if terms["percent"] is None:
        return int(terms["amounts"][cart.currency])
    lines = [line for line, mine in zip(cart.lines, for_it, strict=True) if mine]
    counted = _cheapest(lines, terms["pieces"]) if terms.get("pieces") else _sum(lines)
    whole = share_off(counted, Fraction(terms["percent"], 100))
    most = (terms.get("most") or {}).get(cart.currency)
    return whole if most is None else min(whole, int(most))


def share_off(price: Fraction, percent: Fraction) -> int:
    """Minor units that a percentage takes off a price. The price that is left is what is rounded, to the
    nearest unit: 15 % off 10.50 leaves 8.93."""
    off = price - _nearest(price * (100 - percent) / 100)
    return off.numerator // off.denominator


def _sum(lines: Sequence[CartLine]) -> Fraction:
    return Fraction(sum(line.amount for line in lines))


def _cheapest(lines: Sequence[CartLine], pieces: int) -> Fraction:
    """What so many of the cheapest pieces cost, parts of pieces as they are."""
    worth, wanted = Fraction(0), Fraction(pieces)
    each = [
        (Fraction(line.amount) / line.quantity, Fraction(line.quantity))
        for line in lines
        if line.quantity
    ]
    for unit, quantity in sorted(each):
        taken = min(wanted, quantity)
        worth += unit * taken
        wanted -= taken
    return worth


def _nearest(value: Fraction) -> int:
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)
