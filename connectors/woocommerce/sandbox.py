"""A stand-in for a WooCommerce store: what the platform does, seen on running 10.5.0 stores.

REST API v3 under /wp-json/wc/v3/: orders, refunds, products, customers, coupons, webhooks and the
shop's currency.

- Over https, Basic auth or ?consumer_key&consumer_secret; over http only OAuth 1.0a, a nonce once.
  The sandbox listens on http; `X-Forwarded-Proto: https` stands for a proxy that told WordPress.
  A key that is not seen, or not known over https, is 401 woocommerce_rest_cannot_view; a wrong
  secret is 401 woocommerce_rest_authentication_error.
- /wc-auth/v1/authorize asks the merchant (all five parameters, else 401). Approving makes a key, posts
  it to callback_url, unsigned, and waits for an answer of exactly 200; only then the browser is sent to
  return_url with success=1, else the key is deleted and an error page is shown. Denying sends it with
  success=0. The callback must be https with a certificate that the store trusts; here an http one is
  taken, unless the fault `wants_tls` is on.
- Where a proxy hides https (fault `https_hidden`) the store believes that it is asked over http; where a
  server strips the header (fault `strips_header`) only the query string arrives. A key that may only read
  is 401 woocommerce_rest_authentication_error on a write.
- Amounts are texts with the shop's decimals, whatever the currency. Times are shop time, their
  `_gmt` twins have no Z, and both have whole seconds.
- A webhook's payload is built when it is delivered, not when something happened: it is what the API
  shows at that moment. Signed with base64 HMAC-SHA256. A delivery that waits already is not queued
  again. Every new order sends order.created and order.updated, in that order; from the block
  checkout (created_via store-api) the other way round, and an unfinished one (checkout-draft) sends
  order.updated alone.
- The Delivery-ID is a hash of webhook id and second: it repeats within a second. Creating a webhook
  sends an unsigned form ping whose answer is ignored.
- Nothing is ever sent twice: a failed delivery is lost. 200 to 302 is success. The seventh failure
  in a row disables the webhook; set active again, its count stays at six until a success.
- A refund shows in order.updated (newest first, negative totals, no lines); a full one makes the
  order `refunded`. Deleting a refund sends nothing and leaves date_modified alone.
- Trash sends order.deleted with {"id"} only, restoring sends order.restored, deleting for good sends
  nothing. An order gone before its delivery is told as a signed error body.
- Coupons: codes are lower case and unique (400 woocommerce_rest_coupon_code_already_exists);
  `date_expires_gmt` is ignored, `date_expires` is shop time unless it has a Z; an e-mail that is none
  is dropped without a word; "5,5" is 55 and "abc" is 0. A use counts from the order's first status
  on; cancelling, failing or trashing gives it back, refunding does not. product_ids and
  limit_usage_to_x_items narrow a percentage, free_shipping frees the shipping lines.

Faults: server_error, captcha (202 with HTML), too_many_requests {"retry_after"}, unauthorised,
slow_drip {"seconds"}, drop_after_write (done, but the answer is lost), drop_email, refuse_code,
owner_lost_rights (webhooks carry the error body).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from html import escape
from secrets import token_hex
from typing import Any
from urllib.parse import quote, urlencode

import requests
from flask import Response, abort, jsonify, request

from connectors.sandbox_kit import Outgoing, Sandbox, drip, hang_up, serve

JSON = dict[str, Any]

API = "/wp-json/wc/v3"
_COUPON_FIELDS = (
    "discount_type",
    "description",
    "usage_limit",
    "usage_limit_per_user",
    "status",
    "product_ids",
    "limit_usage_to_x_items",
    "free_shipping",
)
TOPICS = (
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "coupon.created",
    "coupon.updated",
    "coupon.deleted",
)
_TOPIC = re.compile(
    r"(order|coupon|customer|product)\.(created|updated|deleted|restored)|action\.(woocommerce|wc)_\w+"
)
"""`wc_is_webhook_valid_topic`: there is no topic of refunds."""
FAILURES_BEFORE_OFF = 5
"""`woocommerce_max_webhook_delivery_failures`: a failure that finds more than this disables."""
_FREES_CODES = frozenset({"cancelled", "failed", "trash", "checkout-draft"})
_SHOP_ZONE = timezone(timedelta(hours=7))
_NONCE_SECONDS = 900
_STATUSES = {
    "draft": "checkout-draft",
    "pending": "pending",
    "paid": "processing",
    "fulfilled": "completed",
    "cancelled": "cancelled",
}


class RestError(Exception):
    """WordPress' error answer."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or code

    def body(self) -> JSON:
        """The JSON WordPress answers, and signs when a webhook's payload could not be built."""
        return {"code": self.code, "message": self.message, "data": {"status": self.status}}


class WooCommerceSandbox(Sandbox):
    """One store."""

    kind = "woocommerce"
    fault_names = frozenset(
        {
            "server_error",
            "captcha",
            "too_many_requests",
            "unauthorised",
            "slow_drip",
            "drop_after_write",
            "drop_email",
            "refuse_code",
            "owner_lost_rights",
            "wants_tls",
            "https_hidden",
            "strips_header",
        }
    )
    consumer_key = "ck_sandbox"
    consumer_secret = "cs_sandbox"
    webhook_secret = "hubsandboxsecret"

    def __init__(
        self, currency: str = "VND", decimals: int = 2, now: Callable[[], datetime] | None = None
    ) -> None:
        super().__init__()
        self.currency = currency
        self.decimals = decimals
        self.now = now or self.now
        self.orders: dict[int, JSON] = {}
        self.refunds: dict[int, list[JSON]] = {}
        self.customers: dict[int, JSON] = {}
        self.coupons: dict[int, JSON] = {}
        self.products: dict[int, JSON] = {}
        self.webhooks: dict[int, JSON] = {}
        self._next = {"post": 10, "user": 1, "item": 0, "webhook": 6, "meta": 0}
        self._nonces: dict[str, float] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        """Keys made by wc-auth: consumer key -> (secret, permissions)."""
        self.permissions = "read_write"
        """Of the key that is pasted."""
        self._unbuilt: dict[int, tuple[int, int]] = {}
        self._rest()

    # --- what every sandbox does ---

    def settings(self) -> JSON:
        """What the merchant pastes into the hub."""
        return {
            "store_url": self.address,
            "consumer_key": self.consumer_key,
            "consumer_secret": self.consumer_secret,
            "webhook_secret": self.webhook_secret,
        }

    def connect(self, webhook_url: str) -> None:
        """What a merchant does under Settings > Advanced > Webhooks, for each topic."""
        for topic in TOPICS:
            wish = {"topic": topic, "delivery_url": webhook_url, "secret": self.webhook_secret}
            self._create_webhook(wish)

    def place_sale(self, wish: Mapping[str, Any]) -> JSON:
        """An order of the classic checkout, or what `fields.created_via` says."""
        buyer = wish.get("customer") or {}
        account = self._account(buyer)["id"] if buyer.get("external_id") else 0
        with self.lock:
            order = self._new_order(wish, account)
            order.update(self._fields(wish))
            self._apply_codes(order, [str(code) for code in wish.get("codes", [])])
            self._total(order)
            self.orders[order["id"]] = order
            self.refunds[order["id"]] = []
            self._set_status(order, _STATUSES[wish.get("state", "paid")])
            order["date_modified"] = order["date_created"]
        topics = ["order.created", "order.updated"]
        if order["status"] == "checkout-draft":
            topics = ["order.updated"]
        elif order["created_via"] == "store-api":
            topics.reverse()
        for topic in topics:
            self._happened(topic, order["id"])
        return {
            "external_id": str(order["id"]),
            "number": order["number"],
            "total": self._print(order["total"]),
        }

    def show_sale(self, external_id: str) -> JSON | None:
        """As GET orders/ID."""
        try:
            return self._order_json(int(external_id))
        except (RestError, ValueError):
            return None

    def codes(self) -> list[JSON]:
        """Every coupon that is not in the trash."""
        return [
            {
                "code": coupon["code"],
                "active": self._refusal(coupon, None) is None,
                "used": coupon["usage_count"] > 0,
                "external_id": str(coupon["id"]),
                "email_restrictions": coupon["email_restrictions"],
                "amount": self._print(coupon["amount"]),
            }
            for coupon in self.coupons.values()
            if coupon["status"] == "publish"
        ]

    def balances(self) -> dict[str, int]:
        """Points in customers' meta, by customer id and by e-mail."""
        shown = {}
        for customer in self.customers.values():
            for meta in customer["meta_data"]:
                if meta["key"] == "loyalty_points":
                    shown[str(customer["id"])] = shown[customer["email"]] = int(meta["value"])
        return shown

    # --- verbs of the control routes ---

    def verb_pay(self, external_id: str, _: JSON) -> None:
        """Payment received."""
        self._change(external_id, lambda order: self._set_status(order, "processing"))

    def verb_fulfil(self, external_id: str, _: JSON) -> None:
        """Status completed."""
        self._change(external_id, lambda order: self._set_status(order, "completed"))

    def verb_cancel(self, external_id: str, _: JSON) -> None:
        """Status cancelled: gives the use of its codes back."""
        self._change(external_id, lambda order: self._set_status(order, "cancelled"))

    def verb_edit(self, external_id: str, wish: JSON) -> None:
        """Other lines."""

        def edit(order: JSON) -> None:
            order["line_items"] = [self._line(line) for line in wish["lines"]]
            self._total(order)

        self._change(external_id, edit)

    def verb_claim(self, external_id: str, wish: JSON) -> None:
        """A guest's order gets an account."""
        customer = self._account(wish["customer"])
        self._change(external_id, lambda order: order.update(customer_id=customer["id"]))

    def verb_trash(self, external_id: str, _: JSON) -> None:
        """To the trash: order.deleted with the id only."""
        with self.lock:
            order = self._order(int(external_id))
            order["status_before_trash"] = order["status"]
            self._set_status(order, "trash")
        self._happened("order.deleted", order["id"])

    def verb_restore(self, external_id: str, _: JSON) -> None:
        """Out of the trash: order.restored."""
        with self.lock:
            order = self._order(int(external_id))
            self._set_status(order, order.pop("status_before_trash", "pending"))
        self._happened("order.restored", order["id"])

    def verb_delete(self, external_id: str, _: JSON) -> None:
        """Deleted for good: sends nothing."""
        with self.lock:
            order = self._order(int(external_id))
            self._count_uses(order, -1)
            del self.orders[order["id"]]

    def verb_refund(self, external_id: str, wish: JSON) -> JSON:
        """Give money back for lines {"sku", "quantity"}, as an amount, or in full."""
        if wish.get("pending"):
            abort(400, "refunds of this platform are never pending")
        with self.lock:
            order = self._order(int(external_id))
            refund = self._new_refund(order, wish)
        self._happened("order.updated", order["id"])
        self._happened("action.woocommerce_order_refunded", order["id"])
        return {"refund": str(refund["id"])}

    def verb_delete_refund(self, external_id: str, wish: JSON) -> None:
        """Delete a refund: sends nothing, date_modified stays."""
        with self.lock:
            kept = [r for r in self.refunds[int(external_id)] if str(r["id"]) != str(wish["refund"])]
            self.refunds[int(external_id)] = kept

    # --- orders ---

    def _fields(self, wish: Mapping[str, Any]) -> JSON:
        """The platform's own fields in a wish; fees are {"name", "total"}."""
        fields = dict(wish.get("fields", {}))
        if "fee_lines" in fields:
            fields["fee_lines"] = [
                {"id": self._id("item"), "name": fee["name"], "total": Decimal(str(fee["total"]))}
                for fee in fields["fee_lines"]
            ]
        return fields

    def _new_order(self, wish: Mapping[str, Any], account: int) -> JSON:
        buyer = wish.get("customer") or {}
        number = self._id("post")
        shipping = Decimal(str(wish.get("shipping", "0")))
        return {
            "id": number,
            "number": str(number),
            "status": "auto-draft",
            "currency": wish.get("currency", self.currency),
            "date_created": self._second(),
            "date_modified": self._second(),
            "date_paid": None,
            "date_completed": None,
            "customer_id": account,
            "billing": _billing(buyer),
            "payment_method": "bacs",
            "created_via": "checkout",
            "meta_data": [],
            "line_items": [self._line(line) for line in wish.get("lines", [])],
            "shipping_lines": [{"id": self._id("item"), "total": shipping}] if shipping else [],
            "fee_lines": [],
            "coupon_lines": [],
        }

    def _line(self, wish: Mapping[str, Any]) -> JSON:
        product = self._product(wish)
        subtotal = Decimal(str(wish["price"])) * Decimal(str(wish.get("quantity", 1)))
        return {
            "id": self._id("item"),
            "name": product["name"],
            "product_id": product["id"],
            "quantity": wish.get("quantity", 1),
            "subtotal": subtotal,
            "total": subtotal,
            "sku": product["sku"],
            "meta_data": [{"id": self._id("meta"), "key": "wc_gc_giftcard_to", "value": "ann"}]
            if wish.get("kind") == "gift_card"
            else [],
        }

    def _product(self, wish: Mapping[str, Any]) -> JSON:
        sku = str(wish.get("sku", ""))
        for product in self.products.values():
            if product["sku"] == sku:
                return product
        category = wish.get("category")
        product = {
            "id": self._id("post"),
            "name": wish.get("name", sku),
            "sku": sku,
            "categories": [{"id": 16, "name": category, "slug": str(category).lower()}]
            if category
            else [],
            "tags": [],
        }
        self.products[product["id"]] = product
        return product

    def _apply_codes(self, order: JSON, codes: list[str]) -> None:
        for code in codes:
            coupon = self._coupon_by_code(code)
            refusal = (
                "does not exist" if coupon is None else self._refusal(coupon, order["billing"]["email"])
            )
            if coupon is None or refusal:
                abort(400, f"coupon {code}: {refusal}")
            if coupon["free_shipping"]:
                for line in order["shipping_lines"]:
                    line["total"] = Decimal(0)
            taken = self._discount(order, coupon)
            order["coupon_lines"].append(
                {"id": self._id("item"), "code": coupon["code"], "discount": taken}
            )

    def _discount(self, order: JSON, coupon: JSON) -> Decimal:
        """Take the coupon off the lines it is for, in proportion and to the last unit the shop prints; a
        percentage off so many pieces takes the dearest ones first."""
        wanted = coupon["product_ids"]
        lines = [i for i in order["line_items"] if not wanted or i["product_id"] in wanted]
        left = sum((line["total"] for line in lines), Decimal(0))
        off = coupon["amount"]
        if coupon["discount_type"] == "percent":
            off = self._pieces(lines, coupon["limit_usage_to_x_items"]) * off / 100
        off = min(self._round(off), left)
        spent = Decimal(0)
        for index, line in enumerate(lines):
            share = (
                off - spent
                if index == len(lines) - 1
                else self._round(off * line["total"] / (left or 1))
            )
            line["total"] -= share
            spent += share
        return off

    @staticmethod
    def _pieces(lines: list[JSON], most: int | None) -> Decimal:
        """What so many pieces of these lines cost; None: all of them."""
        prices = [line["total"] / line["quantity"] for line in lines for _ in range(line["quantity"])]
        return sum(sorted(prices, reverse=True)[:most], Decimal(0))

    def _total(self, order: JSON) -> None:
        groups = ("line_items", "shipping_lines", "fee_lines")
        order["total"] = sum((i["total"] for g in groups for i in order[g]), Decimal(0))

    def _set_status(self, order: JSON, status: str) -> None:
        before, order["status"] = order["status"], status
        if status in ("processing", "completed") and order["date_paid"] is None:
            order["date_paid"] = self._second()
        if status == "completed" and order["date_completed"] is None:
            order["date_completed"] = self._second()
        counted = before not in _FREES_CODES | {"auto-draft"}
        counts = status not in _FREES_CODES
        if counted != counts:
            self._count_uses(order, 1 if counts else -1)
        order["date_modified"] = self._second()

    def _count_uses(self, order: JSON, step: int) -> None:
        for used in order["coupon_lines"]:
            coupon = self._coupon_by_code(used["code"])
            if coupon is not None:
                coupon["usage_count"] = max(0, coupon["usage_count"] + step)

    def _change(self, external_id: str, change: Callable[[JSON], object]) -> None:
        with self.lock:
            order = self._order(int(external_id))
            change(order)
            order["date_modified"] = self._second()
        self._happened("order.updated", order["id"])

    def _new_refund(self, order: JSON, wish: Mapping[str, Any]) -> JSON:
        left = order["total"] - sum((r["amount"] for r in self.refunds[order["id"]]), Decimal(0))
        lines = [self._refund_line(order, line) for line in wish.get("lines", [])]
        given = sum((line["total"] for line in lines), Decimal(0))
        amount = Decimal(str(wish["amount"])) if "amount" in wish else (given if lines else left)
        if amount > left or amount < 0:
            raise RestError(500, "woocommerce_rest_cannot_create_order_refund", "Invalid refund amount")
        refund = {
            "id": self._id("post"),
            "date_created": self._second(),
            "amount": amount,
            "reason": wish.get("reason", ""),
            "line_items": lines,
        }
        self.refunds[order["id"]].insert(0, refund)
        if amount == left:
            self._set_status(order, "refunded")
        order["date_modified"] = self._second()
        return refund

    def _refund_line(self, order: JSON, wish: Mapping[str, Any]) -> JSON:
        line = next((i for i in order["line_items"] if i["sku"] == wish.get("sku")), None)
        if line is None:
            abort(400, "the order has no such line")
        quantity = Decimal(str(wish.get("quantity", line["quantity"])))
        share = self._round(line["total"] * quantity / Decimal(str(line["quantity"])))
        total = Decimal(str(wish["amount"])) if "amount" in wish else share
        return {**line, "id": self._id("item"), "sold": line["id"], "quantity": quantity, "total": total}

    def _account(self, buyer: Mapping[str, Any]) -> JSON:
        wanted = str(buyer.get("external_id") or "")
        if wanted.isdigit() and int(wanted) in self.customers:
            return self.customers[int(wanted)]
        number = int(wanted) if wanted.isdigit() else self._id("user")
        billing = _billing(buyer)
        customer = {
            "id": number,
            "date_created": self._second(),
            "date_modified": self._second(),
            "email": billing["email"],
            "first_name": billing["first_name"],
            "last_name": billing["last_name"],
            "role": "customer",
            "billing": billing,
            "meta_data": [],
        }
        self.customers[number] = customer
        self._happened("customer.created", number)
        self._happened("customer.updated", number)
        return customer

    # --- coupons ---

    def _coupon_by_code(self, code: str) -> JSON | None:
        found = (c for c in self.coupons.values() if c["status"] == "publish")
        return next((c for c in found if c["code"] == code.strip().lower()), None)

    def _refusal(self, coupon: JSON, mail: str | None) -> str | None:
        """Why a checkout would not take the coupon now; `mail` None asks for no buyer in particular."""
        if coupon["status"] != "publish":
            return "does not exist"
        if coupon["date_expires"] is not None and coupon["date_expires"] <= self.now():
            return "has expired"
        if coupon["usage_limit"] and coupon["usage_count"] >= coupon["usage_limit"]:
            return "usage limit has been reached"
        allowed = coupon["email_restrictions"]
        if mail is not None and allowed and mail.lower() not in allowed:
            return "enter a valid email at checkout to use coupon code"
        return None

    def _save_coupon(self, wish: Mapping[str, Any], coupon: JSON) -> None:
        """Take over what WooCommerce takes over; `date_expires_gmt` is not among it."""
        if "amount" in wish:
            coupon["amount"] = self._loose_amount(str(wish["amount"]))
        for name in _COUPON_FIELDS:
            if name in wish:
                coupon[name] = wish[name]
        if coupon["amount"] < 0 or (coupon["discount_type"] == "percent" and coupon["amount"] > 100):
            raise RestError(400, "coupon_invalid_discount_amount", "Invalid discount amount")
        if "minimum_amount" in wish:
            coupon["minimum_amount"] = self._loose_amount(str(wish["minimum_amount"]))
        if "date_expires" in wish:
            coupon["date_expires"] = _shop_time(wish["date_expires"])
        if "email_restrictions" in wish:
            dropped = self.fault("drop_email") is not None
            mails = [] if dropped else wish["email_restrictions"]
            coupon["email_restrictions"] = [m.lower() for m in mails if _is_mail(m)]
        self._save_meta(coupon, wish.get("meta_data", []))
        coupon["date_modified"] = self._second()

    def _loose_amount(self, text: str) -> Decimal:
        """`wc_format_decimal`: whatever is no digit, dot or minus is left out."""
        try:
            return self._round(Decimal(re.sub(r"[^0-9.-]", "", text) or "0"))
        except InvalidOperation:
            return Decimal(0)

    def _save_meta(self, thing: JSON, wishes: list[JSON]) -> None:
        for wish in wishes:
            present = next((m for m in thing["meta_data"] if m["key"] == wish["key"]), None)
            if present is None:
                present = {"id": self._id("meta"), "key": wish["key"]}
                thing["meta_data"].append(present)
            present["value"] = wish["value"]

    # --- webhooks ---

    def _create_webhook(self, wish: Mapping[str, Any]) -> JSON:
        webhook = {
            "id": self._id("webhook"),
            "name": wish.get("name", ""),
            "status": "active",
            "topic": wish["topic"],
            "delivery_url": wish["delivery_url"],
            "secret": wish.get("secret", "random"),
            "failure_count": 0,
        }
        with self.lock:
            self.webhooks[webhook["id"]] = webhook
        self._ping(webhook)
        return webhook

    def _ping(self, webhook: JSON) -> None:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "WooCommerce/10.5.0 Hookshot (WordPress/6.8.7)",
        }
        body = f"webhook_id={webhook['id']}".encode()
        self.emit("ping", webhook["delivery_url"], headers, body)

    def _happened(self, topic: str, number: int) -> None:
        with self.lock:
            hooks = [
                w for w in self.webhooks.values() if w["topic"] == topic and w["status"] == "active"
            ]
            # What waits already is not queued again: it is built when it is delivered.
            waiting = set(self._unbuilt.values())
            queued = [self._queue(w, topic, number) for w in hooks if (w["id"], number) not in waiting]
        for outgoing in queued:
            if not self.holding:
                self.send(outgoing)

    def _queue(self, webhook: JSON, topic: str, number: int) -> Outgoing:
        outgoing = Outgoing(next(self._numbers), topic, webhook["delivery_url"], {}, b"", held=True)
        self._unbuilt[outgoing.n] = (webhook["id"], number)
        self.outbox.append(outgoing)
        return outgoing

    def send(self, outgoing: Outgoing) -> None:
        """Build what was not built yet, send, and count the outcome as WooCommerce does."""
        waiting = self._unbuilt.pop(outgoing.n, None)
        webhook = self.webhooks.get(waiting[0]) if waiting else None
        if waiting is not None:
            if webhook is None or webhook["status"] != "active":
                outgoing.held = False
                return
            self._build(outgoing, webhook, waiting[1])
        super().send(outgoing)
        if webhook is not None:
            self._count(webhook, good=200 <= (outgoing.status or 0) <= 302)

    def _build(self, outgoing: Outgoing, webhook: JSON, number: int) -> None:
        outgoing.body = json.dumps(self._payload(outgoing.topic, number)).replace("/", r"\/").encode()
        resource, _, event = outgoing.topic.partition(".")
        digest = hmac.new(webhook["secret"].encode(), outgoing.body, hashlib.sha256).digest()
        delivery = hashlib.sha256(f"{webhook['id']}{int(self.now().timestamp())}".encode())
        outgoing.headers = {
            "User-Agent": "WooCommerce/10.5.0 Hookshot (WordPress/6.8.7)",
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"{self.address}/",
            "X-WC-Webhook-Topic": outgoing.topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-WC-Webhook-ID": str(webhook["id"]),
            "X-WC-Webhook-Delivery-ID": delivery.hexdigest()[:32],
        }

    def _payload(self, topic: str, number: int) -> JSON:
        resource, _, event = topic.partition(".")
        if event == "deleted":
            return {"id": number}
        if resource == "action":
            return {"action": event, "arg": number}
        try:
            if self.fault("owner_lost_rights"):
                raise RestError(403, "woocommerce_rest_cannot_view", "Sorry, you cannot view this.")
            show = {
                "order": self._order_json,
                "customer": self._customer_json,
                "coupon": self._coupon_json,
            }
            return show[resource](number)
        except RestError as error:
            return error.body()

    def _count(self, webhook: JSON, *, good: bool) -> None:
        if good:
            webhook["failure_count"] = 0
        elif webhook["failure_count"] > FAILURES_BEFORE_OFF:
            webhook["status"] = "disabled"
        else:
            webhook["failure_count"] += 1

    # --- REST API ---

    def _rest(self) -> None:
        self.app.before_request(self._guard)
        self.app.after_request(self._disturb)
        self.app.register_error_handler(RestError, lambda error: (jsonify(error.body()), error.status))
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/orders", self._list_orders),
            ("GET", "/orders/<int:number>", self._order_json),
            ("PUT", "/orders/<int:number>", self._put_order),
            ("GET", "/orders/<int:number>/refunds", self._list_refunds),
            ("GET", "/products", self._list_products),
            ("GET", "/customers", self._list_customers),
            ("GET", "/customers/<int:number>", self._customer_json),
            ("PUT", "/customers/<int:number>", self._put_customer),
            ("GET", "/coupons", self._list_coupons),
            ("POST", "/coupons", self._post_coupon),
            ("GET", "/coupons/<int:number>", self._coupon_json),
            ("PUT", "/coupons/<int:number>", self._put_coupon),
            ("DELETE", "/coupons/<int:number>", self._delete_coupon),
            ("GET", "/webhooks", self._list_webhooks),
            ("POST", "/webhooks", self._post_webhook),
            ("PUT", "/webhooks/<int:number>", self._put_webhook),
            ("DELETE", "/webhooks/<int:number>", self._delete_webhook),
            ("GET", "/data/currencies/current", lambda: {"code": self.currency}),
        ]
        page = "/wc-auth/v1/authorize"
        self.app.add_url_rule(page, "ask", self._ask, methods=["GET"])
        self.app.add_url_rule(page, "answer", self._answer_merchant, methods=["POST"])
        for method, rule, view in routes:
            self.app.add_url_rule(API + rule, f"{method} {rule}", view, methods=[method])

    def _guard(self) -> Response | None:
        if not request.path.startswith(API):
            return None
        if self.fault("captcha"):
            return Response("<html>Are you a robot?</html>", 202, content_type="text/html")
        if self.fault("server_error"):
            return Response("<p>There has been a critical error on this website.</p>", 500)
        limited = self.fault("too_many_requests")
        if limited:
            wait = str(limited.options.get("retry_after", 1))
            return Response("Too many requests", 429, headers={"Retry-After": wait})
        if self.fault("unauthorised"):
            raise RestError(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")
        self._authenticate()
        return None

    # --- keys ---

    def _ask(self) -> Response:
        """wc-auth's page."""
        needed = ("app_name", "scope", "user_id", "return_url", "callback_url")
        lacking = [name for name in needed if not request.args.get(name)]
        if lacking:
            return Response(f"<h1>Error: Missing parameter {lacking[0]}</h1>", 401)
        if self.fault("wants_tls") and not request.args["callback_url"].startswith("https://"):
            return Response("<h1>Error: The callback_url needs to be over SSL</h1>", 401)
        page = (
            "<!doctype html><html lang=en><title>Application authentication request</title>"
            f"<h1>{escape(request.args['app_name'])} would like to connect to your store</h1>"
            "<form method=post><button name=answer value=approve>Approve</button>"
            "<button name=answer value=deny>Deny</button></form></html>"
        )
        return Response(page, 200, content_type="text/html; charset=utf-8")

    def _answer_merchant(self) -> Response:
        query, there = request.args, request.args["return_url"]
        if request.form.get("answer") != "approve":
            back = urlencode({"success": 0, "user_id": query["user_id"]})
            return Response("", 302, {"Location": f"{there}?{back}"})
        key, secret = f"ck_{token_hex(20)}", f"cs_{token_hex(20)}"
        self.keys[key] = (secret, query["scope"])
        status = self._call_back(query["callback_url"], query["user_id"], key, secret, query["scope"])
        if status != 200:
            del self.keys[key]
            return Response(f"<h1>Access denied</h1><p>Error: {status}</p>", 401)
        back = urlencode({"success": 1, "user_id": query["user_id"]})
        return Response("", 302, {"Location": f"{there}?{back}"})

    def _call_back(self, url: str, state: str, key: str, secret: str, scope: str) -> int:
        content = {
            "key_id": len(self.keys), "user_id": state, "consumer_key": key, "consumer_secret": secret,
            "key_permissions": scope,
        }  # fmt: skip
        agent = {"User-Agent": f"WordPress/6.8.7; {self.address}"}
        try:
            return requests.post(url, json=content, headers=agent, timeout=60).status_code
        except requests.RequestException:
            return 0

    def _known(self, key: str | None) -> tuple[str, str] | None:
        if key == self.consumer_key:
            return self.consumer_secret, self.permissions
        return self.keys.get(key or "")

    def _authenticate(self) -> None:
        query = request.args
        seen_as_tls = request.headers.get("X-Forwarded-Proto") == "https" and not self.fault(
            "https_hidden"
        )
        if seen_as_tls:
            given = None if self.fault("strips_header") else request.authorization
            key = query.get("consumer_key") or (given.username if given else None)
            secret = query.get("consumer_secret") or (given.password if given else None)
            if known := self._known(key):
                self._check_secret(secret == known[0], "Consumer secret is invalid.")
                self._check_rights(known[1])
                return
        if "oauth_signature" not in query:
            raise RestError(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        self._check_oauth(dict(query))

    @staticmethod
    def _check_secret(good: bool, problem: str) -> None:
        if not good:
            raise RestError(401, "woocommerce_rest_authentication_error", problem)

    def _check_rights(self, permissions: str) -> None:
        problem = "The API key provided does not have write permissions."
        self._check_secret(request.method == "GET" or "write" in permissions, problem)

    def _check_oauth(self, params: dict[str, str]) -> None:
        """As `WC_REST_Authentication::check_oauth_signature` and its nonce check do."""
        given = params.pop("oauth_signature")
        pairs = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in params.items())
        normal = "%26".join(quote(f"{k}={v}", safe="~") for k, v in pairs)
        base = f"{request.method}&{quote(self.address + request.path, safe='~')}&{normal}"
        known = self._known(params.get("oauth_consumer_key")) or ("", "")
        digest = hmac.new(f"{known[0]}&".encode(), base.encode(), hashlib.sha256).digest()
        nonce, stamp = params.get("oauth_nonce", ""), params.get("oauth_timestamp", "0")
        problem = ""
        if not known[0]:
            problem = "Consumer key is invalid."
        elif not hmac.compare_digest(given, base64.b64encode(digest).decode()):
            problem = "Invalid signature - provided signature does not match."
        elif abs(int(stamp) - self.now().timestamp()) > _NONCE_SECONDS:
            problem = "Invalid timestamp."
        elif nonce in self._nonces:
            problem = "Invalid nonce - nonce has already been used."
        if problem:
            raise RestError(401, "woocommerce_rest_authentication_error", problem)
        self._nonces[nonce] = time.monotonic()
        self._check_rights(known[1])

    def _disturb(self, response: Response) -> Response:
        if not request.path.startswith(API):
            return response
        done = request.method != "GET" and response.status_code < 300
        if done and self.fault("drop_after_write"):
            hang_up()
        slow = self.fault("slow_drip")
        if slow:
            body = response.get_data()
            return Response(drip(body, float(slow.options.get("seconds", 1))), response.status_code)
        return response

    def _order(self, number: int) -> JSON:
        if number not in self.orders:
            raise RestError(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return self.orders[number]

    def _order_json(self, number: int) -> JSON:
        order = self._order(number)
        shown = {k: v for k, v in order.items() if k != "status_before_trash"}
        dates = ("date_created", "date_modified", "date_paid", "date_completed")
        shown |= {k: v for name in dates for k, v in _printed_times(name, order[name]).items()}
        groups = ("line_items", "shipping_lines", "fee_lines")
        shown |= {group: [self._item_json(item) for item in order[group]] for group in groups}
        shown["coupon_lines"] = [
            {**line, "discount": self._print(line["discount"])} for line in order["coupon_lines"]
        ]
        shown["refunds"] = [
            {"id": r["id"], "reason": r["reason"], "total": self._print(-r["amount"])}
            for r in self.refunds[number]
        ]
        shipping = sum((line["total"] for line in order["shipping_lines"]), Decimal(0))
        shown |= {"shipping_total": self._print(shipping), "shipping_tax": self._print(Decimal(0))}
        return {**shown, "total": self._print(order["total"]), "prices_include_tax": False}

    def _item_json(self, item: JSON, sign: int = 1) -> JSON:
        shown = {
            **item,
            "total": self._print(sign * item["total"]),
            "total_tax": self._print(Decimal(0)),
        }
        if "subtotal" in item:
            shown["subtotal"] = self._print(sign * item["subtotal"])
            shown["variation_id"] = 0
        return shown

    def _list_orders(self) -> Response:
        """`modified_after` is shop time unless dates_are_gmt or a Z says otherwise, and exclusive."""
        after = request.args.get("modified_after")
        since = None
        if after:
            gmt = request.args.get("dates_are_gmt") == "true"
            since = _time(after, UTC if gmt else _SHOP_ZONE)
        wanted = request.args.get("status", "any")
        found = [
            order
            for order in sorted(self.orders.values(), key=lambda o: (o["date_modified"], o["id"]))
            if (order["status"] == wanted or (wanted == "any" and order["status"] != "trash"))
            and (since is None or order["date_modified"] > since)
            and (not request.args.get("include") or order["id"] in _ids("include"))
        ]
        return self._page([self._order_json(order["id"]) for order in found])

    def _page(self, things: list[JSON]) -> Response:
        size, page = int(request.args.get("per_page", 10)), int(request.args.get("page", 1))
        if not 1 <= size <= 100:
            raise RestError(400, "rest_invalid_param", "Invalid parameter(s): per_page")
        answer = jsonify(things[(page - 1) * size : page * size])
        answer.headers["X-WP-Total"] = str(len(things))
        answer.headers["X-WP-TotalPages"] = str(-(-len(things) // size))
        return answer

    def _put_order(self, number: int) -> JSON:
        wish = _json()

        def put(order: JSON) -> None:
            if "status" in wish:
                self._set_status(order, wish["status"])
            self._save_meta(order, wish.get("meta_data", []))

        self._change(str(self._order(number)["id"]), put)
        return self._order_json(number)

    def _list_refunds(self, number: int) -> Response:
        self._order(number)
        return self._page([self._refund_json(refund) for refund in self.refunds[number]])

    def _refund_json(self, refund: JSON) -> JSON:
        lines = []
        for line in refund["line_items"]:
            shown = self._item_json(line, -1)
            sold = {"id": self._id("meta"), "key": "_refunded_item_id", "value": str(shown.pop("sold"))}
            lines.append({**shown, "quantity": -int(line["quantity"]), "meta_data": [sold]})
        return {
            "id": refund["id"],
            **_printed_times("date_created", refund["date_created"]),
            "amount": self._print(refund["amount"]),
            "reason": refund["reason"],
            "refunded_payment": False,
            "line_items": lines,
            "shipping_lines": [],
            "fee_lines": [],
        }

    def _list_products(self) -> Response:
        wanted = {int(n) for n in request.args.get("include", "").split(",") if n.isdigit()}
        skus = {sku for sku in request.args.get("sku", "").split(",") if sku}
        found = [p for p in self.products.values() if not wanted or p["id"] in wanted]
        return self._page([p for p in found if not skus or p["sku"] in skus])

    def _list_customers(self) -> Response:
        """By when they registered; nothing filters by when they changed. Role `customer` unless asked."""
        role = request.args.get("role", "customer")
        newest = request.args.get("order", "asc") == "desc"
        found = [c for c in self.customers.values() if role in ("all", c["role"])]
        found.sort(key=lambda c: (c["date_created"], c["id"]), reverse=newest)
        return self._page([self._customer_json(customer["id"]) for customer in found])

    def _customer_json(self, number: int) -> JSON:
        if number not in self.customers:
            raise RestError(404, "woocommerce_rest_invalid_id", "Invalid resource ID.")
        customer = self.customers[number]
        times = {
            key: value
            for name in ("date_created", "date_modified")
            for key, value in _printed_times(name, customer[name]).items()
        }
        return {**customer, **times}

    def _put_customer(self, number: int) -> JSON:
        self._customer_json(number)
        with self.lock:
            self._save_meta(self.customers[number], _json().get("meta_data", []))
            self.customers[number]["date_modified"] = self._second()
        self._happened("customer.updated", number)
        return self._customer_json(number)

    def _list_coupons(self) -> Response:
        code = request.args.get("code")
        found = [c for c in self.coupons.values() if c["status"] == "publish"]
        if code is not None:
            found = [c for c in found if c["code"] == code.strip().lower()]
        return self._page([self._coupon_json(coupon["id"]) for coupon in found])

    def _post_coupon(self) -> tuple[JSON, int]:
        wish = _json()
        if self.fault("refuse_code"):
            raise RestError(400, "woocommerce_rest_invalid_coupon", "The coupon was refused.")
        code = str(wish.get("code", "")).strip().lower()
        with self.lock:
            if not code:
                raise RestError(400, "woocommerce_rest_empty_coupon_code", "The coupon code is empty.")
            if self._coupon_by_code(code) is not None:
                raise RestError(
                    400, "woocommerce_rest_coupon_code_already_exists", "The coupon code already exists"
                )
            coupon = self._blank_coupon(code)
            self._save_coupon(wish, coupon)
            self.coupons[coupon["id"]] = coupon
        self._happened("coupon.created", coupon["id"])
        return self._coupon_json(coupon["id"]), 201

    def _blank_coupon(self, code: str) -> JSON:
        return {
            "id": self._id("post"),
            "code": code,
            "amount": Decimal(0),
            "status": "publish",
            "date_created": self._second(),
            "date_modified": self._second(),
            "discount_type": "fixed_cart",
            "description": "",
            "date_expires": None,
            "usage_count": 0,
            "usage_limit": None,
            "usage_limit_per_user": None,
            "minimum_amount": Decimal(0),
            "email_restrictions": [],
            "product_ids": [],
            "limit_usage_to_x_items": None,
            "free_shipping": False,
            "meta_data": [],
        }

    def _coupon(self, number: int) -> JSON:
        if number not in self.coupons:
            raise RestError(404, "woocommerce_rest_shop_coupon_invalid_id", "Invalid ID.")
        return self.coupons[number]

    def _coupon_json(self, number: int) -> JSON:
        coupon = self._coupon(number)
        times = {
            key: value
            for name in ("date_created", "date_modified", "date_expires")
            for key, value in _printed_times(name, coupon[name]).items()
        }
        amounts = {name: self._print(coupon[name]) for name in ("amount", "minimum_amount")}
        return {**coupon, **times, **amounts}

    def _put_coupon(self, number: int) -> JSON:
        coupon = self._coupon(number)
        with self.lock:
            self._save_coupon(_json(), coupon)
        self._happened("coupon.updated", number)
        return self._coupon_json(number)

    def _delete_coupon(self, number: int) -> JSON:
        """With force=true gone without a webhook; else to the trash, which sends coupon.deleted."""
        shown = self._coupon_json(number)
        if request.args.get("force") == "true":
            del self.coupons[number]
            return shown
        self.coupons[number]["status"] = "trash"
        self._happened("coupon.deleted", number)
        return {**shown, "status": "trash"}

    def _list_webhooks(self) -> Response:
        wanted = request.args.get("status", "all")
        shown = [self._webhook_json(w) for w in self.webhooks.values() if wanted in ("all", w["status"])]
        return self._page(shown)

    def _post_webhook(self) -> tuple[JSON, int]:
        wish = _json()
        if not _TOPIC.fullmatch(wish["topic"]):
            raise RestError(400, "woocommerce_rest_webhook_invalid_topic", "Invalid topic.")
        return self._webhook_json(self._create_webhook(wish)), 201

    def _put_webhook(self, number: int) -> JSON:
        if number not in self.webhooks:
            raise RestError(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        webhook, wish = self.webhooks[number], _json()
        moved = wish.get("delivery_url", webhook["delivery_url"]) != webhook["delivery_url"]
        webhook.update({k: wish[k] for k in ("status", "delivery_url", "secret") if k in wish})
        if moved:
            self._ping(webhook)
        return self._webhook_json(webhook)

    def _delete_webhook(self, number: int) -> JSON:
        with self.lock:
            gone = self.webhooks.pop(number, None)
        if gone is None:
            raise RestError(404, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        return self._webhook_json(gone)

    @staticmethod
    def _webhook_json(webhook: JSON) -> JSON:
        """Neither the secret nor the count of failures is ever shown."""
        return {k: v for k, v in webhook.items() if k not in ("secret", "failure_count")}

    # --- small pieces ---

    def _id(self, kind: str) -> int:
        with self.lock:
            self._next[kind] += 1
            return self._next[kind]

    def _second(self) -> datetime:
        return self.now().replace(microsecond=0)

    def _round(self, amount: Decimal) -> Decimal:
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)

    def _print(self, amount: Decimal) -> str:
        return format(self._round(amount), "f")


def _billing(buyer: Mapping[str, Any]) -> JSON:
    first, _, last = str(buyer.get("name") or "").partition(" ")
    empty = dict.fromkeys(
        ("company", "address_1", "address_2", "city", "state", "postcode", "country"), ""
    )
    return {
        **empty,
        "first_name": first,
        "last_name": last,
        "email": str(buyer.get("email") or ""),
        "phone": str(buyer.get("phone") or ""),
    }


def _printed_times(name: str, at: datetime | None) -> JSON:
    if at is None:
        return {name: None, f"{name}_gmt": None}
    return {
        name: f"{at.astimezone(_SHOP_ZONE):%Y-%m-%dT%H:%M:%S}",
        f"{name}_gmt": f"{at:%Y-%m-%dT%H:%M:%S}",
    }


def _shop_time(text: Any) -> datetime | None:
    return _time(text, _SHOP_ZONE) if isinstance(text, str) and text else None


def _time(text: str, zone: timezone) -> datetime:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def _ids(name: str) -> set[int]:
    return {int(n) for n in request.args.get(name, "").split(",") if n.isdigit()}


def _is_mail(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", text) is not None


def _json() -> JSON:
    content = request.get_json(force=True, silent=True)
    if not isinstance(content, dict):
        raise RestError(400, "rest_invalid_json", "Invalid JSON body passed.")
    return content


if __name__ == "__main__":
    serve(WooCommerceSandbox())
