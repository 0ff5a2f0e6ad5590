"""Carts and codes of a scenario's world: a code is bought or given, and asked what it takes off.

The till rings the cart up (it does the arithmetic of a bill); what a code takes off, and what is left to
be paid, the product says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.generic_pos.sandbox import TillSandbox
from hub.desk.discounts import Quoted
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
        known = {"type", "seq", "at", "customer", "lines", "currency", "shipping", "customer_group"}
        _only(event, known)
        if event.get("customer_group"):
            self.tag(event.get("customer", "C1"), [event["customer_group"]])
        currency = event.get("currency", self.currency)
        self.cart = self._rung_up(event["lines"], currency, event.get("shipping", "0"))
        self._say(price(NOTHING_OFF, self.cart))
        if self.rules.discounts:
            self._say_discounts(event)

    def _rung_up(self, lines: Sequence[Event], currency: str, shipping: str) -> Cart:
        till = SilentTill(currency, now=lambda: self.now)
        sold = till.place_sale({"lines": [self._cart_line(line) for line in lines]})
        rung = tuple(
            CartLine(to_minor_exact(Decimal(line["net"]), currency), int(line["quantity"]), line["sku"])
            for line in till.sales[sold["external_id"]]["lines"]
        )
        return Cart(currency, rung, to_minor_exact(Decimal(shipping), currency))

    def _say_what_a_code_takes_off(self, event: Event) -> None:
        """Of the one code that points bought for a bill: asked before the bill is paid."""
        codes = self.codes.get(event["order"], {})
        if len(codes) != 1 or not event.get("lines"):
            return
        currency = event.get("currency", self.currency)
        cart = self._rung_up(event["lines"], currency, event.get("shipping") or "0")
        with self.runtime.sessions() as session:
            (code,) = codes.values()
            found = quote_code(session, self.program.id, code, cart, self.now)
        if found is not None and found.why is None:
            self.said["discount"] = from_minor(found.off, currency)

    def _say_discounts(self, event: Event) -> None:
        """What is taken off the cart without anybody asking for it."""
        assert self.cart is not None
        if event.get("currency", self.currency) != self.currency or self.cart.shipping:
            raise Unsupported("cart: a discount of goods alone, in the programme's currency")
        wish = {"lines": [self._cart_line(line) for line in event["lines"]]}
        found = self._by_itself(wish, "till", event.get("customer", "C1"))
        by_line = {one.line: one.amount for one in found.lines}
        self.total = from_minor(found.left, self.currency)
        self.said = {
            "discount": from_minor(found.off, self.currency),
            "total": self.total,
            "line_discounts": [
                from_minor(by_line.get(number, 0), self.currency)
                for number, _ in enumerate(event["lines"])
            ],
        }

    def _on_apply_coupon(self, event: Event) -> str | None:
        _only(event, {"type", "seq", "at", "customer", "code", "order"})
        if self.cart is None:
            raise Unsupported("apply_coupon: to no cart")
        if self.rules.discounts:
            raise Unsupported("apply_coupon: to a cart that has discounts of its own")
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

    def _by_itself(self, wish: Mapping[str, Any], name: str, customer: str) -> Quoted:
        raise NotImplementedError

    def tag(self, customer: str, names: list[str]) -> None:
        """The customer belongs to these groups."""
        raise NotImplementedError

    def _cart_line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


def _only(words: Mapping[str, Any], known: set[str]) -> None:
    strange = sorted(set(words).difference(known))
    if strange:
        raise Unsupported(f"{words['type']}.{strange[0]}: the product has nothing like it yet")
