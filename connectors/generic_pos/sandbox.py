"""A stand-in for a till that speaks `hub.sale/1`.

What it does, as README.md asks of every till:

- It keeps each message and sends it as Standard Webhooks: the webhook-id is the message's for ever,
  timestamp and signature are new with each try. Only a 2xx counts as delivered.
- A sale is sent complete each time it changes, its version one higher; returns are hub.refund/1 and
  never change the sale's lines; a voided sale is hub.void/1.
- Codes and balances come as signed callbacks to POST /callback. What is not signed by the shared
  secret within five minutes is refused with 401. A callback is a state, not an event: the same one
  again changes nothing (`changed` false), an older balance is passed over.
- POST /_sandbox/points {"hub", "key", "phone", "points", "bill"?, ...}: a customer pays with points,
  by the hub's API (`sandbox_points.py`); the code is then used like any other.
- At the counter a code must be known, active, unused, within its time and this customer's.

Faults: server_error, too_many_requests {"retry_after"}, unauthorised, gone (410), html (200 with a
page), slow_drip {"seconds"}, drop_after_write (done, but the answer is lost), refuse_code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from flask import Response, abort, request

from connectors.generic_pos.sandbox_points import pay
from connectors.sandbox_kit import Outgoing, Sandbox, drip, hang_up, serve
from hub_client import Client

JSON = dict[str, Any]

TOLERANCE_SECONDS = 300
_DIGITS = {"VND": 0, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}


class TillSandbox(Sandbox):
    """One till."""

    kind = "generic_pos"
    fault_names = frozenset(
        {
            "server_error",
            "too_many_requests",
            "unauthorised",
            "gone",
            "html",
            "slow_drip",
            "drop_after_write",
            "refuse_code",
        }
    )
    secret = "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"

    def __init__(
        self, currency: str = "VND", till: str = "T1", now: Callable[[], datetime] | None = None
    ) -> None:
        super().__init__()
        self.currency = currency
        self.till = till
        self.now = now or self.now
        self.webhook_url = ""
        self.sales: dict[str, JSON] = {}
        self.refunds: dict[str, JSON] = {}
        self.customers: dict[str, JSON] = {}
        self.known_codes: dict[str, JSON] = {}
        self.used_codes: set[str] = set()
        self.shown: dict[str, JSON] = {}
        self._receipts = 1000
        self.app.add_url_rule("/callback", "callback", self._callback, methods=["POST"])
        self.app.add_url_rule("/_sandbox/points", "points", self._points, methods=["POST"])

    # --- what every sandbox does ---

    def settings(self) -> JSON:
        """What the merchant enters in the hub."""
        return {"webhook_secret": self.secret, "callback_url": f"{self.address}/callback"}

    def connect(self, webhook_url: str) -> None:
        """The address of the hub, typed into the till."""
        self.webhook_url = webhook_url

    def place_sale(self, wish: Mapping[str, Any]) -> JSON:
        """Ring up a sale."""
        buyer = _person(wish.get("customer") or {})
        self._introduce(buyer)
        with self.lock:
            self._receipts += 1
            lines = [_line(str(n), line) for n, line in enumerate(wish.get("lines", []), start=1)]
            sale = {
                "type": "hub.sale/1",
                "id": f"{self.till}-{self._receipts}",
                "version": 0,
                "number": str(self._receipts),
                "state": wish.get("state", "paid"),
                "currency": wish.get("currency", self.currency),
                "placed_at": self._time(),
                "customer": buyer or None,
                "lines": lines,
                "codes": [str(code) for code in wish.get("codes", [])],
                "place": {"till": self.till},
            }
            if wish.get("discount"):
                _take_off(sale, {"amount": str(wish["discount"])})
            for code in sale["codes"]:
                self._redeem(code, sale)
            freed = any(self.known_codes[code].get("free_shipping") for code in sale["codes"])
            if wish.get("shipping") and not freed:
                sale["shipping"] = {"net": str(wish["shipping"])}
            sale.update(wish.get("fields", {}))
            self.sales[sale["id"]] = sale
        self._tell(sale)
        return {"external_id": sale["id"], "number": sale["number"], "total": str(_total(sale))}

    def show_sale(self, external_id: str) -> JSON | None:
        """The sale as it was sent last."""
        return self.sales.get(external_id)

    def codes(self) -> list[JSON]:
        """Every code the hub told this till."""
        return [
            {
                "code": code,
                "active": told["state"] == "active" and code not in self.used_codes,
                "used": code in self.used_codes,
                "external_id": told["voucher_id"],
            }
            for code, told in self.known_codes.items()
        ]

    def balances(self) -> dict[str, int]:
        """Points shown on the till's screen, by every key the hub named the customer with."""
        return {key: told["points"] for told in self.shown.values() for key in told["customer"].values()}

    # --- verbs of the control routes ---

    def verb_pay(self, external_id: str, _: JSON) -> None:
        """Money received."""
        self._change(external_id, state="paid", paid_at=self._time())

    def verb_fulfil(self, external_id: str, _: JSON) -> None:
        """Goods handed over."""
        self._change(external_id, state="fulfilled")

    def verb_cancel(self, external_id: str, _: JSON) -> None:
        """An order that was called off."""
        self._change(external_id, state="cancelled", cancelled_at=self._time())

    def verb_edit(self, external_id: str, wish: JSON) -> None:
        """Other lines, before the customer left."""
        lines = [_line(str(n), line) for n, line in enumerate(wish["lines"], start=1)]
        self._change(external_id, lines=lines)

    def verb_claim(self, external_id: str, wish: JSON) -> None:
        """The customer shows a card after paying."""
        self._change(external_id, customer=_person(wish["customer"]))

    def verb_delete(self, external_id: str, _: JSON) -> None:
        """Void the receipt."""
        if external_id not in self.sales:
            abort(404)
        self._tell({"type": "hub.void/1", "sale_id": external_id, "voided_at": self._time()})

    def verb_refund(self, external_id: str, wish: JSON) -> JSON:
        """Money back for lines {"sku", "quantity"}, as an amount, or in full."""
        with self.lock:
            sale = self._sale(external_id)
            lines = [_refund_line(sale, line) for line in wish.get("lines", [])]
            given = sum((Decimal(line["net"]) for line in lines), Decimal(0))
            amount = (
                Decimal(str(wish["amount"])) if "amount" in wish else (given if lines else _total(sale))
            )
            refund = {
                "type": "hub.refund/1",
                "id": f"{external_id}-R{len(self.refunds) + 1}",
                "version": 1,
                "sale_id": external_id,
                "currency": sale["currency"],
                "amount": str(amount),
                "state": "pending" if wish.get("pending") else "success",
                "created_at": self._time(),
                "lines": lines,
            }
            self.refunds[refund["id"]] = refund
        self._tell(refund)
        return {"refund": refund["id"]}

    def verb_settle_refund(self, external_id: str, wish: JSON) -> None:
        """A pending refund went through; {"state": "failed"}: it did not."""
        with self.lock:
            refund = self.refunds[wish["refund"]]
            if refund["sale_id"] != external_id:
                abort(400, "this refund belongs to another sale")
            refund |= {"version": refund["version"] + 1, "state": wish.get("state", "success")}
            refund["changed_at"] = self._time()
        self._tell(refund)

    # --- messages to the hub ---

    def _introduce(self, buyer: JSON) -> None:
        if buyer.get("id") and buyer["id"] not in self.customers:
            self.customers[buyer["id"]] = buyer
            message = {"type": "hub.customer/1", "version": 1, "changed_at": self._time()}
            self._tell({**message, "customer": buyer}, count=False)

    def _sale(self, external_id: str) -> JSON:
        if external_id not in self.sales:
            abort(404)
        return self.sales[external_id]

    def _change(self, external_id: str, **changes: Any) -> None:
        with self.lock:
            sale = self._sale(external_id)
            sale |= {**changes, "changed_at": self._time()}
        self._tell(sale)

    def _tell(self, message: JSON, *, count: bool = True) -> None:
        """Send a message; a sale's version grows with each, so the hub knows the newest."""
        with self.lock:
            if count and message["type"] == "hub.sale/1":
                message["version"] += 1
            body = json.dumps(message, ensure_ascii=False).encode()
            name = f"msg_{self.till}_{len(self.outbox) + 1}_{hashlib.sha256(body).hexdigest()[:12]}"
        self.emit(message["type"], self.webhook_url, {"webhook-id": name}, body)

    def send(self, outgoing: Outgoing) -> None:
        """Sign anew for each try; the id stays."""
        stamp = str(int(self.now().timestamp()))
        name = outgoing.headers["webhook-id"]
        outgoing.headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": stamp,
            "webhook-signature": self._signature(name, stamp, outgoing.body),
        }
        super().send(outgoing)

    def _signature(self, name: str, stamp: str, body: bytes) -> str:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(digest).decode()}"

    # --- codes at the counter ---

    def _redeem(self, code: str, sale: JSON) -> None:
        told = self.known_codes.get(code)
        refusal = "is not known" if told is None else self._refusal(code, told, sale["customer"] or {})
        least = Decimal((told or {}).get("minimum_total", "0"))
        if not refusal and sum((Decimal(line["net"]) for line in sale["lines"]), Decimal(0)) < least:
            refusal = f"is for bills of {least} or more"
        if told is None or refusal:
            abort(400, f"code {code} {refusal}")
        self.used_codes.add(code)
        _take_off(sale, told)

    def _refusal(self, code: str, told: JSON, buyer: JSON) -> str | None:
        if told["state"] != "active":
            return "was revoked"
        if code in self.used_codes:
            return "was used"
        expires = told.get("expires_at")
        if expires and datetime.fromisoformat(expires) <= self.now():
            return "has expired"
        bound = told["customer"]
        if not any(
            bound.get(name) and bound[name] == buyer.get(name)
            for name in ("id", "email", "phone", "card")
        ):
            return "belongs to somebody else"
        return None

    def _points(self) -> tuple[JSON, int]:
        """`POST /_sandbox/points`: a customer pays with points (`sandbox_points.pay`); `hub` and `key` are what
        the merchant typed into the till."""
        wish = request.get_json()
        with Client(wish["hub"], wish["key"]) as client:
            return pay(client, {"till": self.till, **wish})

    # --- callbacks of the hub ---

    def _callback(self) -> Response | tuple[JSON, int]:
        answer = self._disturbed()
        if answer is not None:
            return answer
        if not self._is_signed():
            return {"code": "bad_signature", "detail": "the signature does not fit"}, 401
        message = request.get_json(force=True)
        take = {"hub.code/1": self._take_code, "hub.balance/1": self._take_balance}.get(message["type"])
        if take is None:
            return {"code": "unknown_type", "detail": "this till does not know such messages"}, 400
        with self.lock:
            result = take(message)
        if self.fault("drop_after_write"):
            hang_up()
        slow = self.fault("slow_drip")
        if slow:
            drops = drip(json.dumps(result[0]).encode(), float(slow.options.get("seconds", 1)))
            return Response(drops, result[1], content_type="application/json")
        return result

    def _disturbed(self) -> Response | None:
        limited = self.fault("too_many_requests")
        if limited:
            wait = str(limited.options.get("retry_after", 1))
            return Response(status=429, headers={"Retry-After": wait})
        if self.fault("html"):
            return Response("<html>Welcome to this network</html>", 200, content_type="text/html")
        for name, status in (("server_error", 500), ("unauthorised", 401), ("gone", 410)):
            if self.fault(name):
                return Response(status=status)
        return None

    def _is_signed(self) -> bool:
        name, stamp = (request.headers.get(h, "") for h in ("webhook-id", "webhook-timestamp"))
        if not name or not stamp.isdigit():
            return False
        age = abs(self.now() - datetime.fromtimestamp(int(stamp), UTC))
        wanted = self._signature(name, stamp, request.get_data())
        given = request.headers.get("webhook-signature", "").split()
        return age <= timedelta(seconds=TOLERANCE_SECONDS) and any(
            hmac.compare_digest(wanted, signature) for signature in given
        )

    def _take_code(self, message: JSON) -> tuple[JSON, int]:
        code = message["code"]
        if self.fault("refuse_code"):
            return {"code": "code_refused", "detail": "this till takes no such code"}, 422
        present = self.known_codes.get(code)
        if present is not None and present["voucher_id"] != message["voucher_id"]:
            return {"code": "code_taken", "detail": "another voucher has this code"}, 409
        if message["state"] == "revoked" and present is None:
            return {"changed": False}, 200
        told = {**(present or {}), **message}
        self.known_codes[code] = told
        return {"changed": told != present, "external_id": message["voucher_id"]}, 200

    def _take_balance(self, message: JSON) -> tuple[JSON, int]:
        member = message["customer"]["member_id"]
        present = self.shown.get(member)
        if present is not None and _moment(present) >= _moment(message):
            return {"changed": False}, 200
        self.shown[member] = message
        return {"changed": True}, 200

    def _time(self) -> str:
        return self.now().isoformat()


def _moment(balance: JSON) -> datetime:
    return datetime.fromisoformat(balance["as_of"])


def _person(wish: Mapping[str, Any]) -> JSON:
    names = {"name": "name", "phone": "phone", "email": "email", "card": "card", "external_id": "id"}
    named = {ours: str(wish[theirs]) for theirs, ours in names.items() if wish.get(theirs)}
    return {**named, **({"staff_claim": wish["staff_claim"]} if wish.get("staff_claim") else {})}


def _line(number: str, wish: Mapping[str, Any]) -> JSON:
    quantity = wish.get("quantity", 1)
    tax_inside = Decimal(str(wish.get("tax_inside", 0)))
    off = Decimal(str(wish.get("discount", 0)))
    net = Decimal(str(wish["price"])) * Decimal(str(quantity)) - tax_inside - off
    line = {
        "id": number,
        "kind": wish.get("kind", "goods"),
        "sku": wish.get("sku"),
        "name": wish.get("name"),
        "quantity": quantity,
        "unit_price": None if tax_inside else str(wish["price"]),
        "discount": format(off, "f"),
        "net": format(net, "f"),
        "tax": format(tax_inside, "f") if tax_inside else wish.get("tax"),
        "categories": [wish["category"]] if wish.get("category") else [],
        "tags": wish.get("tags"),
    }
    return {name: value for name, value in line.items() if value is not None}


def _take_off(sale: JSON, told: JSON) -> None:
    """Spread what a code is worth over the lines it is for, to the last unit of the currency."""
    digits = Decimal(1).scaleb(-_DIGITS.get(sale["currency"], 2))
    wanted = told.get("skus")
    lines = [line for line in sale["lines"] if not wanted or line.get("sku") in wanted]
    left = sum((Decimal(line["net"]) for line in lines), Decimal(0))
    off = min(_worth(lines, told), left).quantize(digits, ROUND_HALF_UP)
    spent = Decimal(0)
    for index, line in enumerate(lines, start=1):
        net = Decimal(line["net"])
        share = (off * net / (left or 1)).quantize(digits, ROUND_HALF_UP)
        share = off - spent if index == len(lines) else share
        spent += share
        line["net"] = format(net - share, "f")
        line["discount"] = format(Decimal(line["discount"]) + share, "f")


def _worth(lines: list[JSON], told: JSON) -> Decimal:
    """What a code takes off these lines: an amount, or a percentage of the cheapest pieces, at most so much."""
    if "amount" in told:
        return Decimal(told["amount"])
    pieces = sorted(
        Decimal(line["net"]) / Decimal(str(line["quantity"]))
        for line in lines
        for _ in range(int(Decimal(str(line["quantity"]))))
    )
    whole = sum((Decimal(line["net"]) for line in lines), Decimal(0))
    counted = sum(pieces[: told["pieces"]], Decimal(0)) if "pieces" in told else whole
    off = counted * Decimal(told.get("percent", "0")) / 100
    return min(off, Decimal(told["at_most"])) if "at_most" in told else off


def _refund_line(sale: JSON, wish: Mapping[str, Any]) -> JSON:
    line = next((line for line in sale["lines"] if line.get("sku") == wish.get("sku")), None)
    if line is None:
        abort(400, "the sale has no such line")
    quantity = Decimal(str(wish.get("quantity", line["quantity"])))
    digits = Decimal(1).scaleb(-_DIGITS.get(sale["currency"], 2))
    net = Decimal(line["net"]) * quantity / Decimal(str(line["quantity"]))
    return {
        "line_id": line["id"],
        "quantity": wish.get("quantity", line["quantity"]),
        "net": format(net.quantize(digits, ROUND_HALF_UP), "f"),
    }


def _total(sale: JSON) -> Decimal:
    shipping = (sale.get("shipping") or {}).get("net", "0")
    return sum((Decimal(line["net"]) for line in sale["lines"]), Decimal(shipping))


if __name__ == "__main__":
    serve(TillSandbox())
