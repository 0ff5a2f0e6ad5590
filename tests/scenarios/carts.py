"""Carts and codes of a scenario's world: a code is bought or given, and asked what it takes off.

The till rings the cart up (it does the arithmetic of a bill); what a code takes off, and what is left to
be paid, the product says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.generic_pos.sandbox import TillSandbox
from hub.money import from_minor, to_minor_exact
from hub.program.pricing import Cart, CartLine, Priced, price, spread
from hub.program.rules import Rules
from hub.program.store import Program
from hub.redemption.quoting import quote_code
from hub.runtime import Runtime
from tests.scenarios.reading import Unsupported
from tests.scenarios.translate import reward_id

Event = Mapping[str, Any]

NOTHING_OFF = {"percent": 0, "amounts": {}}
MODES: dict[str, Callable[[list[int]], list[int]]] = {
    "proportional": lambda weights: weights,
    "equal": lambda weights: [1 for _ in weights],
}


class SilentTill(TillSandbox):
    """A till that rings up and tells nobody."""

    def emit(self, topic: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Nobody is told."""
        del topic, url, headers, body


class Carts:
    """What a world does with carts; the rest of it is in `World`."""

    runtime: Runtime
    program: Program
    rules: Rules
    currency: str
    now: datetime
    said: dict[str, Any]
    codes: dict[str, dict[str, str]]
    allocate: Mapping[str, Any]
    cart: Cart | None = None
    total: Decimal | None = None
    """What was to be paid when it was asked last."""

    def _on_cart(self, event: Event) -> None:
        known = {"type", "seq", "at", "customer", "lines", "currency", "shipping"}
        _only(event, known)
        currency = event.get("currency", self.currency)
        till = SilentTill(currency, now=lambda: self.now)
        sold = till.place_sale({"lines": [self._cart_line(line) for line in event["lines"]]})
        lines = tuple(
            CartLine(
                to_minor_exact(Decimal(line["net"]), currency),
                int(line["quantity"]),
                line["sku"],
            )
            for line in till.sales[sold["external_id"]]["lines"]
        )
        shipping = to_minor_exact(Decimal(event.get("shipping", "0")), currency)
        self.cart = Cart(currency, lines, shipping)
        self._say(price(NOTHING_OFF, self.cart))

    def _on_apply_coupon(self, event: Event) -> str | None:
        _only(event, {"type", "seq", "at", "customer", "code", "order"})
        if self.cart is None:
            raise Unsupported("apply_coupon: to no cart")
        reward, customer = reward_id(event["code"]), event.get("customer", "C1")
        if reward not in self.rules.rewards:
            raise Unsupported("apply_coupon: a code of the shop's own")
        order = event.get("order", f"cart-{event['seq']}")
        refused = self._redeem(customer, reward, f"coupon-{event['seq']}", order=order)
        self._say(price(NOTHING_OFF, self.cart))
        if refused is not None:
            return refused
        with self.runtime.sessions() as session:
            (code,) = self.codes[order].values()
            found = quote_code(session, self.program.id, code, self.cart, self.now)
        assert found is not None
        self._say(found)
        return None if found.why is None else "coupon_invalid"

    def _on_allocate(self, event: Event) -> None:
        _only(event, {"type", "seq", "amount", "weights"})
        mode = self.allocate.get("mode", "proportional")
        if mode not in MODES:
            raise Unsupported(f"allocate.mode: {mode}: not known")
        weights = [to_minor_exact(Decimal(weight), self.currency) for weight in event["weights"]]
        shares = spread(to_minor_exact(Decimal(event["amount"]), self.currency), MODES[mode](weights))
        self.said = {"parts": [str(from_minor(share, self.currency)) for share in shares]}

    def _say(self, found: Priced) -> None:
        assert self.cart is not None
        currency = self.cart.currency
        self.total = from_minor(found.left, currency)
        self.said = {
            "discount": from_minor(found.off, currency),
            "total": self.total,
            "line_discounts": [from_minor(off, currency) for off in found.lines],
        }

    def _redeem(
        self, customer: str, reward: str, key: str, payment: Any = None, *,
        order: str | None = None, quantity: int = 1,
    ) -> str | None:  # fmt: skip
        raise NotImplementedError

    def _cart_line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def _only(words: Mapping[str, Any], known: set[str]) -> None:
    strange = sorted(set(words).difference(known))
    if strange:
        raise Unsupported(f"{words['type']}.{strange[0]}: the product has nothing like it yet")
