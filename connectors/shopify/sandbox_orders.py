"""Orders, refunds and customers as Shopify writes them in JSON: what the sandbox sells and changes.

Plain dictionaries in the shape of REST, as webhooks carry them. Amounts are computed in Decimal and
printed in the currency's own digits ("13.50", "50000"). In every order made here

    sum(price * quantity) - sum(line discount_allocations) = subtotal_price
    subtotal_price + shipping (+ tax, unless taxes_included) = total_price
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connectors.sandbox_kit import Numbers

JSON = dict[str, Any]

_ZONE = timezone(timedelta(hours=-5))
_DIGITS = {"VND": 0, "JPY": 0, "KRW": 0, "CLP": 0, "KWD": 3, "BHD": 3, "JOD": 3}
_ZERO = Decimal(0)
POS_APP = 129785
WEB_APP = 580111


# fmt: off
_NOTHING_YET = (
    "cancel_reason", "cancelled_at", "cart_token", "closed_at", "current_total_additional_fees_set",
    "current_total_duties_set", "device_id", "fulfillment_status", "location_id", "note",
    "original_total_additional_fees_set", "original_total_duties_set", "phone", "source_identifier",
    "user_id", "payment_terms", "shipping_address",
)
# fmt: on
"""Fields of an order that are there from the beginning, and null."""


class Refused(Exception):
    """What the storefront or the admin would not let anybody do; the text is what it would say."""


class Books:
    """Makes and changes orders of one shop. Ids grow as Shopify's do, past 2^32."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self._ids = Numbers(6_200_360_403_244, 32_769)
        self._numbers = Numbers(1001)

    # --- words ---

    def new_id(self) -> int:
        """A fresh id, unique in this shop."""
        return next(self._ids)

    def text(self, amount: Decimal) -> str:
        """An amount as webhooks print it."""
        return str(self.rounded(amount))

    def rounded(self, amount: Decimal) -> Decimal:
        """Rounded half-up to the currency's digits."""
        digits = _DIGITS.get(self.currency, 2)
        return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)

    def bag(self, amount: Decimal) -> JSON:
        """A `_set`: this shop sells in one currency, so both halves agree."""
        half = {"amount": self.text(amount), "currency_code": self.currency}
        return {"shop_money": half, "presentment_money": dict(half)}

    def both(self, name: str, amount: Decimal) -> JSON:
        """`name` and `name_set`."""
        return {name: self.text(amount), f"{name}_set": self.bag(amount)}

    # --- customers ---

    def customer(self, wish: Mapping[str, Any], now: datetime) -> JSON:
        """A new customer, under the wished id if it is a number; the phone is kept as typed."""
        first, _, last = (wish.get("name") or "").partition(" ")
        wished = str(wish.get("external_id") or "")
        customer_id = int(wished) if wished.isdigit() else self.new_id()
        return {
            "id": customer_id,
            "created_at": stamp(now),
            "updated_at": stamp(now),
            "first_name": first or None,
            "last_name": last or None,
            "state": "disabled",
            "note": None,
            "verified_email": True,
            "multipass_identifier": None,
            "tax_exempt": False,
            "email": wish.get("email") or None,
            "phone": wish.get("phone") or None,
            "currency": self.currency,
            "addresses": [],
            "tax_exemptions": [],
            "admin_graphql_api_id": f"gid://shopify/Customer/{customer_id}",
        }

    # --- orders ---

    def order(self, wish: Mapping[str, Any], customer: JSON | None, now: datetime) -> JSON:
        """An unpaid order of the wished lines, without discounts yet."""
        order = self._blank(stamp(now)) | {
            "taxes_included": bool(wish.get("taxes_included", False)),
            "customer": customer,
            "email": customer["email"] if customer else "",
            "contact_email": customer["email"] if customer else None,
            "billing_address": _address(customer),
            "line_items": [self.line(line) for line in wish.get("lines", ())],
            "shipping_lines": self._shipping(wish),
            "_tax_rate": Decimal(str(wish.get("tax_rate", "0"))),
            "_paid": _ZERO,
        }
        self.total(order)
        return order

    def _blank(self, moment: str) -> JSON:
        order_id, number = self.new_id(), next(self._numbers)
        return {
            "id": order_id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "app_id": WEB_APP,
            "browser_ip": "203.0.113.10",
            "buyer_accepts_marketing": False,
            **dict.fromkeys(_NOTHING_YET),
            "checkout_token": f"{order_id:x}",
            "client_details": {"browser_ip": "203.0.113.10", "user_agent": "Mozilla/5.0"},
            "confirmation_number": f"C{number}",
            "confirmed": True,
            "created_at": moment,
            "currency": self.currency,
            "customer_locale": "en",
            "discount_codes": [],
            "duties_included": False,
            "estimated_taxes": False,
            "financial_status": "pending",
            "name": f"#{number}",
            "note_attributes": [],
            "number": number - 1000,
            "order_number": number,
            "payment_gateway_names": ["shopify_payments"],
            "presentment_currency": self.currency,
            "processed_at": moment,
            "source_name": "web",
            "tags": "",
            "tax_exempt": False,
            "tax_lines": [],
            "test": False,
            "token": f"{order_id:x}",
            "updated_at": moment,
            "discount_applications": [],
            "fulfillments": [],
            "refunds": [],
        }

    def line(self, wish: Mapping[str, Any]) -> JSON:
        """A line of an order: goods, "gift_card" or "tip"."""
        kind = wish.get("kind", "goods")
        line_id, product = self.new_id(), wish.get("product_id") if kind != "tip" else None
        quantity = int(wish.get("quantity", 1))
        line: JSON = {
            "id": line_id,
            "admin_graphql_api_id": f"gid://shopify/LineItem/{line_id}",
            "attributed_staffs": [],
            "current_quantity": quantity,
            "fulfillable_quantity": quantity,
            "fulfillment_service": "manual",
            "fulfillment_status": None,
            "gift_card": kind == "gift_card",
            "grams": 0,
            "name": wish.get("name") or wish.get("sku") or "Custom item",
            **self.both("price", Decimal(str(wish["price"]))),
            "product_exists": product is not None,
            "product_id": product,
            "properties": [],
            "quantity": quantity,
            "requires_shipping": kind == "goods",
            "sku": wish.get("sku") or "",
            "taxable": kind == "goods",
            "title": wish.get("name") or wish.get("sku") or "Custom item",
            **self.both("total_discount", _ZERO),
            "variant_id": None if product is None else product + 1,
            "variant_inventory_management": None,
            "variant_title": None,
            "vendor": None,
            "tax_lines": [],
            "duties": [],
            "discount_allocations": [],
        }
        if kind == "tip":
            line |= {"tip": {"payment_method": None, "payment_gateway": None}}
            line |= {"tip_payment_gateway": None, "tip_payment_method": None}
        return line

    def _shipping(self, wish: Mapping[str, Any]) -> list[JSON]:
        price = Decimal(str(wish.get("shipping") or "0"))
        if not price:
            return []
        return [
            {
                "id": self.new_id(),
                "carrier_identifier": None,
                "code": "Standard",
                **self.both("discounted_price", price),
                "is_removed": False,
                "phone": None,
                **self.both("price", price),
                "source": "shopify",
                "title": "Standard",
                "tax_lines": [],
                "discount_allocations": [],
            }
        ]

    # --- sums ---

    def total(self, order: JSON) -> None:
        """Compute taxes, totals and `current_*` anew from lines, allocations and refunds."""
        for line in order["line_items"]:
            tax = self._tax(order, line)
            rate = float(order["_tax_rate"])
            line["tax_lines"] = [
                {"channel_liable": False, "title": "VAT", "rate": rate, **self.both("price", tax)}
            ] * bool(tax)
        sums = self._sums(order, lambda line: Decimal(line["quantity"]))
        present = self._sums(order, lambda line: Decimal(line["current_quantity"]))
        shipping = sum((Decimal(s["price"]) - allocated(s) for s in order["shipping_lines"]), _ZERO)
        refunded_shipping = sum((_shipping_back(r) for r in order["refunds"]), _ZERO)
        order |= self._totals("", sums, shipping, order)
        order |= self._totals("current_", present, shipping - refunded_shipping, order)
        order |= self.both("total_line_items_price", sums["gross"])
        order |= {"total_shipping_price_set": self.bag(shipping)}
        order |= {"total_tip_received": self.text(sums["tip"]), "total_weight": 0}
        owed = Decimal(order["current_total_price"]) - order["_paid"] + self.paid_back(order)
        order["total_outstanding"] = self.text(max(owed, _ZERO))

    def _tax(self, order: JSON, line: JSON) -> Decimal:
        rate: Decimal = order["_tax_rate"]
        if not rate or not line["taxable"]:
            return _ZERO
        worth = Decimal(line["price"]) * line["quantity"] - allocated(line)
        inside = order["taxes_included"]
        return self.rounded(worth - worth / (1 + rate) if inside else worth * rate)

    def _sums(self, order: JSON, pieces: Any) -> dict[str, Decimal]:
        sums = dict.fromkeys(("gross", "net", "tax", "discount", "tip"), _ZERO)
        for line in order["line_items"]:
            share = pieces(line) / Decimal(line["quantity"])
            gross = Decimal(line["price"]) * line["quantity"]
            sums["gross"] += gross * share
            sums["discount"] += allocated(line) * share
            sums["net"] += (gross - allocated(line)) * share
            sums["tax"] += sum((Decimal(t["price"]) for t in line["tax_lines"]), _ZERO) * share
            sums["tip"] += gross if "tip" in line else _ZERO
        return {name: self.rounded(amount) for name, amount in sums.items()}

    def _totals(self, prefix: str, sums: Mapping[str, Decimal], shipping: Decimal, order: JSON) -> JSON:
        whole = sums["net"] + shipping + (_ZERO if order["taxes_included"] else sums["tax"])
        return {
            **self.both(f"{prefix}subtotal_price", sums["net"]),
            **self.both(f"{prefix}total_discounts", sums["discount"]),
            **self.both(f"{prefix}total_tax", sums["tax"]),
            **self.both(f"{prefix}total_price", whole),
        }

    # --- discounts ---

    def discountable(self, order: JSON) -> list[JSON]:
        """Lines a code reduces: never gift cards and tips."""
        return [line for line in order["line_items"] if not line["gift_card"] and "tip" not in line]

    def free_shipping(self, order: JSON, code: str) -> None:
        """A code that takes all shipping off."""
        index, off = len(order["discount_applications"]), _ZERO
        for line in order["shipping_lines"]:
            price = Decimal(line["price"])
            off += price
            allocation = {**self.both("amount", price), "discount_application_index": index}
            line["discount_allocations"].append(allocation)
            line.update(self.both("discounted_price", _ZERO))
        order["discount_applications"].append(
            {
                "target_type": "shipping_line",
                "type": "discount_code",
                "value": "100.0",
                "value_type": "percentage",
                "allocation_method": "each",
                "target_selection": "all",
                "code": code,
            }
        )
        order["discount_codes"].append({"code": code, "amount": self.text(off), "type": "shipping"})
        self.total(order)

    def apply(
        self, order: JSON, code: str, value: Decimal, *, percentage: bool,
        lines: Sequence[JSON] | None = None,
    ) -> None:  # fmt: skip
        """Spread one code over lines (None: all it may); `value` is an amount, or a fraction from 0 to 1."""
        lines = self.discountable(order) if lines is None else lines
        worth = [Decimal(line["price"]) * line["quantity"] - allocated(line) for line in lines]
        whole = sum(worth, _ZERO)
        off = self.rounded(whole * value) if percentage else min(self.rounded(value), whole)
        index = len(order["discount_applications"])
        for line, share in zip(lines, self.spread(off, worth), strict=True):
            if share:
                allocation = {**self.both("amount", share), "discount_application_index": index}
                line["discount_allocations"].append(allocation)
        shown = str(value * 100) if percentage else self.text(value)
        kind = "percentage" if percentage else "fixed_amount"
        order["discount_applications"].append(
            {
                "target_type": "line_item",
                "type": "discount_code",
                "value": shown,
                "value_type": kind,
                "allocation_method": "across",
                "target_selection": "all",
                "code": code,
            }
        )
        order["discount_codes"].append({"code": code, "amount": self.text(off), "type": kind})
        self.total(order)

    def spread(self, whole: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
        """Proportional shares in the currency's digits; the last line takes what is left over."""
        weight = sum(weights, _ZERO)
        if not weight:
            return [_ZERO for _ in weights]
        shares = [self.rounded(whole * w / weight) for w in weights[:-1]]
        return [*shares, whole - sum(shares, _ZERO)] if weights else []

    # --- money in and out ---

    def pay(self, order: JSON) -> None:
        """All that is owed is paid."""
        order["_paid"] += Decimal(order["total_outstanding"])
        self.total(order)
        order["financial_status"] = "paid"

    def paid_back(self, order: JSON) -> Decimal:
        """Money of refunds that succeeded or is on its way."""
        return sum((moved(refund, "success", "pending") for refund in order["refunds"]), _ZERO)

    def refund(self, order: JSON, wish: Mapping[str, Any], now: datetime) -> JSON:
        """One refund: lines ({"sku", "quantity"}), an amount, both, or everything that is left."""
        everything = "lines" not in wish and "amount" not in wish
        lines = self._refund_lines(order, wish.get("lines", ()), everything)
        shipping = self._shipping_left(order) if everything or wish.get("shipping") else _ZERO
        inside = order["taxes_included"]
        calculated = shipping + sum(
            (
                Decimal(str(r["subtotal"])) + (0 if inside else Decimal(str(r["total_tax"])))
                for r in lines
            ),
            _ZERO,
        )
        left = order["_paid"] - self.paid_back(order)
        amount = self.rounded(Decimal(str(wish.get("amount", calculated))))
        if amount > left:
            raise Refused(f"Refund amount cannot be greater than {self.text(left)}")
        refund = self._refund(order, wish, now, lines, shipping, amount)
        self._explain(refund, calculated)
        order["refunds"].append(refund)
        self._after_refund(order)
        return refund

    def settle(self, order: JSON, refund: JSON) -> None:
        """The gateway has paid: pending transactions succeed, and the fake discrepancy goes."""
        for transaction in refund["transactions"]:
            if transaction["status"] == "pending":
                transaction["status"] = "success"
        self._explain(refund, refund["_calculated"])
        self._after_refund(order)

    def _after_refund(self, order: JSON) -> None:
        self.total(order)
        full = self.paid_back(order) >= order["_paid"] > 0
        if self.paid_back(order):
            order["financial_status"] = "refunded" if full else "partially_refunded"

    def _refund_lines(self, order: JSON, wishes: Iterable[JSON], everything: bool) -> list[JSON]:
        if everything:
            wishes = [
                {"id": line["id"], "quantity": line["current_quantity"]}
                for line in order["line_items"]
                if line["current_quantity"]
            ]
        return [self._refund_line(order, wish) for wish in wishes]

    def _refund_line(self, order: JSON, wish: JSON) -> JSON:
        line = find_line(order, wish)
        quantity = int(wish.get("quantity", 1))
        if not 0 < quantity <= line["current_quantity"]:
            raise Refused(f"Only {line['current_quantity']} of {line['name']} can be refunded")
        line["current_quantity"] -= quantity
        share = Decimal(quantity) / line["quantity"]
        subtotal = self.rounded((Decimal(line["price"]) * line["quantity"] - allocated(line)) * share)
        tax = self.rounded(sum((Decimal(t["price"]) for t in line["tax_lines"]), _ZERO) * share)
        return {
            "id": self.new_id(),
            "line_item_id": line["id"],
            "location_id": None,
            "quantity": quantity,
            "restock_type": "return",
            "subtotal": float(subtotal),
            "subtotal_set": self.bag(subtotal),
            "total_tax": float(tax),
            "total_tax_set": self.bag(tax),
            "line_item": dict(line),
        }

    def _shipping_left(self, order: JSON) -> Decimal:
        paid = sum((Decimal(s["price"]) - allocated(s) for s in order["shipping_lines"]), _ZERO)
        return paid - sum((_shipping_back(refund) for refund in order["refunds"]), _ZERO)

    def _refund(
        self,
        order: JSON,
        wish: Mapping[str, Any],
        now: datetime,
        lines: list[JSON],
        shipping: Decimal,
        amount: Decimal,
    ) -> JSON:
        refund_id, moment = self.new_id(), stamp(now)
        status = "pending" if wish.get("pending") else "success"
        paid = [self._transaction(order, amount, status, moment)] if amount else []
        return {
            "id": refund_id,
            "admin_graphql_api_id": f"gid://shopify/Refund/{refund_id}",
            "order_id": order["id"],
            "created_at": moment,
            "processed_at": moment,
            "note": wish.get("note"),
            "user_id": None,
            "restock": bool(lines),
            "return": None,
            "duties": [],
            "total_duties_set": self.bag(_ZERO),
            "additional_fees": [],
            "total_additional_fees_set": self.bag(_ZERO),
            "refund_line_items": lines,
            "refund_shipping_lines": self._refund_shipping(order, shipping),
            "order_adjustments": [],
            "transactions": paid,
        }

    def _transaction(self, order: JSON, amount: Decimal, status: str, moment: str) -> JSON:
        return {
            "id": self.new_id(),
            "order_id": order["id"],
            "kind": "refund",
            "gateway": order["payment_gateway_names"][0],
            "status": status,
            "amount": self.text(amount),
            "currency": self.currency,
            "created_at": moment,
            "processed_at": moment,
            "test": order["test"],
            "source_name": order["source_name"],
        }

    def _refund_shipping(self, order: JSON, shipping: Decimal) -> list[JSON]:
        if not shipping:
            return []
        line = order["shipping_lines"][0]
        return [
            {
                "id": self.new_id(),
                "shipping_line_id": line["id"],
                "subtotal_amount_set": self.bag(shipping),
                "tax_amount_set": self.bag(_ZERO),
                "shipping_line": line,
            }
        ]

    def _explain(self, refund: JSON, calculated: Decimal) -> None:
        """`refund_discrepancy` = calculated - successful: while a refund is pending, all of it."""
        refund["_calculated"] = calculated
        off = calculated - moved(refund, "success")
        pending = any(t["status"] == "pending" for t in refund["transactions"])
        refund["order_adjustments"] = [
            {
                "id": self.new_id(),
                "order_id": refund["order_id"],
                "refund_id": refund["id"],
                "kind": "refund_discrepancy",
                "reason": "Pending refund discrepancy" if pending else "Refund discrepancy",
                **self.both("amount", off),
                **self.both("tax_amount", _ZERO),
            }
        ] * bool(off)


def stamp(now: datetime) -> str:
    """A time as payloads carry it: whole seconds, the shop's offset."""
    return now.astimezone(_ZONE).isoformat(timespec="seconds")


def triggered(now: datetime) -> str:
    """X-Shopify-Triggered-At: UTC, nine decimals."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def allocated(line: Mapping[str, Any]) -> Decimal:
    """All discounts of a line."""
    return sum((Decimal(a["amount"]) for a in line["discount_allocations"]), _ZERO)


def moved(refund: Mapping[str, Any], *statuses: str) -> Decimal:
    """Money of a refund's transactions in these states."""
    amounts = (Decimal(t["amount"]) for t in refund["transactions"] if t["status"] in statuses)
    return sum(amounts, _ZERO)


def find_line(order: JSON, wish: Mapping[str, Any]) -> JSON:
    """The line named by id, else by sku."""
    for line in order["line_items"]:
        if line["id"] == wish.get("id") or ("id" not in wish and line["sku"] == wish.get("sku")):
            found: JSON = line
            return found
    raise Refused(f"The order has no line {wish.get('sku') or wish.get('id')}")


def public(value: Any) -> Any:
    """Without our own bookkeeping (keys that start with an underscore)."""
    if isinstance(value, dict):
        return {key: public(inner) for key, inner in value.items() if not key.startswith("_")}
    return [public(inner) for inner in value] if isinstance(value, list) else value


def _address(customer: JSON | None) -> JSON | None:
    if customer is None:
        return None
    first, last = customer["first_name"], customer["last_name"]
    return {
        "first_name": first,
        "last_name": last,
        "name": " ".join(filter(None, (first, last))),
        "company": None,
        "address1": "1 Example Street",
        "address2": None,
        "city": "Exampleville",
        "province": None,
        "province_code": None,
        "zip": "00000",
        "country": "Vietnam",
        "country_code": "VN",
        "phone": customer["phone"],
        "latitude": None,
        "longitude": None,
    }


def _shipping_back(refund: Mapping[str, Any]) -> Decimal:
    lines = refund["refund_shipping_lines"]
    return sum((Decimal(s["subtotal_amount_set"]["shop_money"]["amount"]) for s in lines), _ZERO)
