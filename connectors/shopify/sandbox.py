"""A stand-in for one Shopify shop: Admin GraphQL API, token endpoint, signed webhooks.

What Shopify does, written down before any line below (sources: shopify.dev, and live traffic of
development stores; see README.md):

Admin API  POST /admin/api/<version>/graphql.json, header X-Shopify-Access-Token.
  - Every document is validated against the schema of 2026-10; an invalid one is refused with HTTP 200
    and top-level `errors`, as is a bad variable (INVALID_VARIABLE).
  - A dead token is 401. Tokens of the client-credentials grant live for a day (`expires_in` 86399);
    POST /admin/oauth/access_token takes a form or JSON, and answers a wrong secret with 400. What it
    does with codes and refresh tokens stands in `sandbox_tokens`; `/admin/oauth/authorize` is the page.
  - A bucket of 2,000 points is refilled by 100 a second. A document that asks for more than 1,000 is
    refused (MAX_COST_EXCEEDED), one that asks for more than the bucket holds is THROTTLED and does
    not run; both say the cost. What is taken out in the end is the cost of what was really there.
    Mutations cost 10 more than what they select.
  - `discountCodeBasicCreate` needs code, title, startsAt, customerGets and context; a code is unique
    without regard to case: TAKEN. Deactivating ends a discount now, leaves its code taken, and is no
    error the second time; an id that does not exist is INVALID "Code discount does not exist.".
  - `codeDiscountNodeByCode` is immediate and ignores case; `discountNodes` finds nothing new for some
    seconds (fault `search_lag` sets how many).
  - Codes and metafields have no idempotency key. `metafieldsSet` is all or none.
  - GraphQL money is trimmed ("13.5"), webhook money is not ("13.50").

Checkout   A code counts for its customers only, as often as usageLimit says, alone unless combinesWith
  allows company, not on gift cards; its amount is spread over the lines as discount_allocations. An
  order that is cancelled does not give its use of the code back.

App        The compliance topics (customers/data_request, customers/redact, shop/redact) go to one address of
  the app, for all its shops, also after it was removed: `_sandbox/app` sets it, `_sandbox/compliance` sends.

Webhooks   Base64 HMAC-SHA256 of the raw body under the client secret; a Webhook-Id per delivery, an
  Event-Id per action, Triggered-At in nanoseconds while updated_at has whole seconds. Bodies are
  fixed at the event: a retry carries the same bytes and the same Webhook-Id. Shopify retries 8
  times over 4 hours; here `POST /_sandbox/resend` does. There is no order among deliveries.
  - A subscription made with `webhookSubscriptionCreate` is deleted after eight failures in a row (here the sends
    themselves are counted, since a retry takes hours there). http:// addresses, which Shopify refuses, are taken:
    no test could receive otherwise.
  - orders/delete has only an id, orders/edited only ids and deltas, customers/delete an id.
  - A refund through Shopify Payments is pending first, and then carries a discrepancy of all of it;
    when it settles, order_transactions/create and orders/updated tell.
  - Refunds cannot be deleted, orders cannot be trashed or restored.
  - JSON is written as Rails does: `<`, `>`, `&` as \\u003c, \\u003e, \\u0026.

Bulk       What a bulk operation does stands in `sandbox_bulk`.

Not simulated: several currencies in one shop, markets, returns, draft orders, duties, the rest of the
schema (an operation on it is refused by name).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import secrets
import sys
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from flask import Response, abort, jsonify, request
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    build_schema,
    execute_sync,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
)

from connectors.sandbox_kit import Outgoing, Sandbox, drip, hang_up, serve
from connectors.shopify import sandbox_admin as admin
from connectors.shopify import sandbox_bulk as bulk
from connectors.shopify import sandbox_tokens as tokens
from connectors.shopify.sandbox_orders import JSON, Books, Refused, find_line, public, stamp, triggered

VERSION = "2026-10"
_SCHEMA = Path(__file__).with_name("admin_2026-10.graphql")
_BUCKET, _MOST = 2000.0, 1000
_GRANTED_SECONDS = 86_399
_FAILURES_BEFORE_GONE = 8


# What `POST /_sandbox/connect` subscribes to; other topics need `webhookSubscriptionCreate`.
_CONNECTED = frozenset(
    {
        "orders/create",
        "orders/paid",
        "orders/updated",
        "orders/edited",
        "orders/cancelled",
        "orders/delete",
        "refunds/create",
        "customers/create",
        "customers/update",
        "customers/delete",
        "customers/merge",
        "app/uninstalled",
    }
)


class _TurnedAway(Exception):
    """The API refuses a document before it runs."""

    def __init__(self, answer: JSON) -> None:
        super().__init__()
        self.answer = answer


class ShopifySandbox(Sandbox):
    """One shop. `refill` is the points a second that the bucket gains (100 as on a Standard plan)."""

    kind = "shopify"
    forgets = Sandbox.forgets | {"_schema"}
    fault_names = frozenset(
        {
            "throttle",  # {"form": "graphql" | "429" | "503"}
            "server_error",
            "token_expired",
            "drop_token_answer",  # the token endpoint does its work, and the answer is lost
            "drop_after_write",
            "search_lag",  # {"seconds": 5}
            "order_search_lag",  # {"seconds": 5}: what `orders(query:)` does not find yet
            "other_version",  # {"version": "2026-07"} on webhooks
            "slow_drip",  # {"seconds": 1} between two bytes
            "refuse_code",  # {"code": "INVALID", "message": "..."}
            "not_json",
            "access_denied",
            "frozen",
            "locked",
            "duplicate_webhooks",
            "bulk_slow",  # {"seconds": 5} that an operation takes
            "bulk_fails",  # {"after": lines, "code": "TIMEOUT"}
            "bulk_refused",
            "bulk_url_gone",
        }
    )

    def __init__(
        self,
        shop: str = "sandbox-shop.myshopify.com",
        currency: str = "USD",
        refill: float = 100.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self.shop = admin.Shop(shop, Books(currency))
        self.clock = clock
        self.client_id, self.client_secret = "sandbox-client", "shpss_sandbox_secret"
        self.refill, self._points, self._counted_at = refill, _BUCKET, clock()
        self._tokens: dict[str, datetime] = {}
        self.grants = tokens.Grants()
        self.bulks = bulk.Bulks()
        self.app_url = ""
        self._webhook_url = ""
        self._subscriptions: list[JSON] = []
        self._schema: GraphQLSchema | None = None
        self._wrote = False
        self._caused: list[tuple[str, JSON]] = []
        self.app.add_url_rule("/admin/oauth/access_token", view_func=self._grant, methods=["POST"])
        authorize = "/admin/oauth/authorize"
        self.app.add_url_rule(authorize, view_func=self._authorize, methods=["GET"])
        self.app.add_url_rule(authorize, "agree", self._agree, methods=["POST"])
        self.app.add_url_rule("/_sandbox/app", "app", self._set_app, methods=["POST"])
        self.app.add_url_rule("/_sandbox/compliance", "compliance", self._comply, methods=["POST"])
        self.app.add_url_rule("/_bulk/<file>.jsonl", "bulk_file", self._bulk_file)
        rule = "/admin/api/<version>/graphql.json"
        self.app.add_url_rule(rule, view_func=self._graphql, methods=["POST"])

    # --- what the kit asks for ---

    def settings(self) -> dict[str, Any]:
        """Client credentials: the login the hub recommends."""
        return {
            "shop": self.shop.domain,
            "webhook_secret": self.client_secret,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "api_version": VERSION,
            "api_base": self.address,
        }

    def connect(self, webhook_url: str) -> None:
        """The usual topics go there, beside what `webhookSubscriptionCreate` asked for."""
        self._webhook_url = webhook_url

    def place_sale(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """A checkout. Beside the kit's words: "tax_rate" ("0.1") and "taxes_included"."""
        with self.lock:
            now = self.clock()
            self._set_currency(wish.get("currency"))
            customer, is_new = self._customer(wish.get("customer"), now)
            order = self._order(wish, customer, now)
            state = wish.get("state", "paid")
            if state in ("paid", "fulfilled"):
                self._paid(order, now)
            if state == "fulfilled":
                order["fulfillment_status"] = "fulfilled"
            if state == "authorized":
                order["financial_status"] = "authorized"
            order |= wish.get("fields") or {}
            self.shop.orders[order["id"]] = order
            events = ["orders/create", "orders/updated"]
            if order["financial_status"] == "paid":
                events.insert(1, "orders/paid")
        made = [("customers/create", public(customer))] if is_new and customer else []
        self._tell([*made, *((topic, public(order)) for topic in events)], now)
        return {"external_id": str(order["id"]), "number": order["name"], "total": order["total_price"]}

    def show_sale(self, external_id: str) -> dict[str, Any] | None:
        """REST's JSON."""
        order = self.shop.orders.get(_id(external_id))
        return None if order is None else public(order)

    def codes(self) -> list[dict[str, Any]]:
        """All discounts."""
        now = self.clock()
        return [
            {
                "code": d.code,
                "active": d.status(now) == "ACTIVE",
                "used": d.used,
                "external_id": d.id,
                "title": d.title,
                "customers": sorted(d.customers or ()),
                "percent" if d.percentage else "amount": str(d.value),
            }
            for d in self.shop.discounts.values()
        ]

    def balances(self) -> dict[str, int]:
        """The metafield `points` of each customer, under id, phone and email."""
        found: dict[str, int] = {}
        for (owner, _, key), value in self.shop.metafields.items():
            if key != "points":
                continue
            customer = self.shop.customers[_id(owner.rpartition("/")[2])]
            names = (str(customer["id"]), customer["phone"], customer["email"])
            found |= {name: int(value) for name in names if name}
        return found

    # --- verbs ---

    def verb_pay(self, external_id: str, _wish: Mapping[str, Any]) -> JSON:
        """All that is owed is paid."""
        return self._change(external_id, self._paid, "orders/paid", "orders/updated")

    def verb_fulfil(self, external_id: str, _wish: Mapping[str, Any]) -> JSON:
        """Everything is sent."""

        def sent(order: JSON, _now: datetime) -> None:
            order["fulfillment_status"] = "fulfilled"

        return self._change(external_id, sent, "orders/fulfilled", "orders/updated")

    def verb_cancel(self, external_id: str, wish: Mapping[str, Any]) -> JSON:
        """Cancel; what was paid is refunded unless {"refund": false}, as the admin preselects."""
        refunds: list[JSON] = []

        def cancel(order: JSON, now: datetime) -> None:
            paid = order["_paid"] > self.shop.books.paid_back(order)
            if paid and wish.get("refund", True):
                refunds.append(self.shop.books.refund(order, {}, now))
            elif not paid:
                order["financial_status"] = "voided"
            order |= {"cancelled_at": stamp(now), "cancel_reason": "customer", "closed_at": stamp(now)}

        order = self._change(external_id, cancel)
        now = self.clock()
        self._tell([("refunds/create", public(r)) for r in refunds], now)
        self._tell([("orders/cancelled", order), ("orders/updated", order)], now)
        return {}

    def verb_delete(self, external_id: str, _wish: Mapping[str, Any]) -> JSON:
        """Gone for good; the webhook has only the id."""
        with self.lock:
            self.shop.orders.pop(self._find(external_id)["id"])
        self._tell([("orders/delete", {"id": _id(external_id)})], self.clock())
        return {}

    def verb_edit(self, external_id: str, wish: Mapping[str, Any]) -> JSON:
        """Set lines to quantities; fewer only changes `current_quantity`, more and new lines are
        owed. {"lines": [{"sku", "quantity", "price"?, "name"?}]}"""
        edit: JSON = {"additions": [], "removals": []}
        order = self._change(external_id, lambda order, _now: self._edit(order, wish, edit))
        now = self.clock()
        body = {
            "id": self.shop.books.new_id(),
            "app_id": None,
            "created_at": stamp(now),
            "committed_at": stamp(now),
            "notify_customer": False,
            "order_id": order["id"],
            "staff_note": "",
            "user_id": None,
            "line_items": edit,
            "discounts": {"line_item": {"additions": [], "removals": []}},
        }
        self._tell([("orders/edited", {"order_edit": body}), ("orders/updated", order)], now)
        return {}

    def verb_refund(self, external_id: str, wish: Mapping[str, Any]) -> JSON:
        """{"amount"?, "lines"?, "shipping"?, "pending"?, "note"?}; neither amount nor lines: all."""
        made: list[JSON] = []

        def refund(order: JSON, now: datetime) -> None:
            made.append(self.shop.books.refund(order, wish, now))

        order = self._change(external_id, refund)
        self._tell([("refunds/create", public(made[0])), ("orders/updated", order)], self.clock())
        return {"refund": str(made[0]["id"])}

    def verb_settle_refund(self, external_id: str, wish: Mapping[str, Any]) -> JSON:
        """The gateway reports success of a pending refund."""
        settled: list[JSON] = []

        def settle(order: JSON, _now: datetime) -> None:
            refund = next((r for r in order["refunds"] if str(r["id"]) == str(wish.get("refund"))), None)
            if refund is None:
                raise Refused("There is no such refund")
            self.shop.books.settle(order, refund)
            settled.extend(refund["transactions"])

        order = self._change(external_id, settle)
        transactions = [("order_transactions/create", public(t)) for t in settled]
        self._tell([*transactions, ("orders/updated", order)], self.clock())
        return {}

    def verb_claim(self, external_id: str, wish: Mapping[str, Any]) -> JSON:
        """Staff attach a customer to a sale that had none, or another."""
        created: list[JSON] = []

        def claim(order: JSON, now: datetime) -> None:
            customer, is_new = self._customer(wish.get("customer"), now)
            created.extend([customer] if is_new and customer else [])
            order["customer"] = customer
            order["email"] = (customer or {}).get("email") or ""

        order = self._change(external_id, claim)
        self._tell([("customers/create", c) for c in created], self.clock())
        self._tell([("orders/updated", order)], self.clock())
        return {}

    # --- making and changing ---

    def _set_currency(self, currency: str | None) -> None:
        """A shop sells in one currency; before its first sale the wish may choose it."""
        if currency is None or currency == self.shop.books.currency:
            return
        if self.shop.orders or self.shop.discounts:
            _refuse(f"The shop sells in {self.shop.books.currency}")
        self.shop.books.currency = currency

    def _customer(self, wish: Mapping[str, Any] | None, now: datetime) -> tuple[JSON | None, bool]:
        """The customer of this id, email or phone, else a new one; None for a guest."""
        if not wish or not any(wish.get(key) for key in ("external_id", "email", "phone", "name")):
            return None, False
        if found := self.shop.customers.get(_id(str(wish.get("external_id") or ""))):
            return found, False
        for customer in self.shop.customers.values():
            same_email = wish.get("email") and (customer["email"] or "").lower() == wish["email"].lower()
            if same_email or (wish.get("phone") and customer["phone"] == wish["phone"]):
                return customer, False
        customer = self.shop.books.customer(wish, now)
        self.shop.customers[customer["id"]] = customer
        return customer, True

    def _order(self, wish: Mapping[str, Any], customer: JSON | None, now: datetime) -> JSON:
        lines = [self._stocked(line) for line in wish.get("lines") or ()]
        order = self.shop.books.order({**wish, "lines": lines}, customer, now)
        try:
            for code in wish.get("codes") or ():
                self.shop.use_code(code, order, now)
        except Refused as refused:
            _refuse(str(refused))
        return order

    def _stocked(self, line: Mapping[str, Any]) -> JSON:
        if not line.get("sku"):
            return dict(line)
        return {**line, "product_id": admin.product_of(self.shop, line)["id"]}

    def _paid(self, order: JSON, now: datetime) -> None:
        self.shop.books.pay(order)
        order["_paid_at"] = stamp(now)

    def _edit(self, order: JSON, wish: Mapping[str, Any], edit: JSON) -> None:
        for line_wish in wish.get("lines") or ():
            self._edit_line(order, line_wish, edit)
        order["_edited"] = True
        self.shop.books.total(order)
        if order["financial_status"] == "paid" and float(order["total_outstanding"]):
            order["financial_status"] = "partially_paid"

    def _edit_line(self, order: JSON, wish: Mapping[str, Any], edit: JSON) -> None:
        try:
            line = find_line(order, wish)
        except Refused:
            line = self.shop.books.line(self._stocked(wish))
            order["line_items"].append(line)
            edit["additions"].append({"id": line["id"], "delta": line["quantity"]})
            return
        delta = int(wish.get("quantity", 0)) - line["current_quantity"]
        line["current_quantity"] += delta
        line["quantity"] += max(delta, 0)
        if delta:
            side = "additions" if delta > 0 else "removals"
            edit[side].append({"id": line["id"], "delta": abs(delta)})

    def _find(self, external_id: str) -> JSON:
        order = self.shop.orders.get(_id(external_id))
        if order is None:
            abort(404, "There is no such order")
        return order

    def _change(self, external_id: str, act: Callable[[JSON, datetime], None], *topics: str) -> JSON:
        """Change one order under the lock; send it under `topics`. Returns it as payloads show it."""
        with self.lock:
            order, now = self._find(external_id), self.clock()
            try:
                act(order, now)
            except Refused as refused:
                _refuse(str(refused))
            admin.touch(order, now)
            shown: JSON = json.loads(_rails(public(order)))
        self._tell([(topic, shown) for topic in topics], now)
        return shown

    # --- webhooks ---

    def _tell(self, events: list[tuple[str, JSON]], now: datetime) -> None:
        """Send what one action caused: an Event-Id for all, a Webhook-Id for each delivery."""
        event_id = str(uuid.uuid4())
        for topic, payload in events:
            body = _rails(payload)
            wanted = [s["uri"] for s in self._subscriptions if s["topic"] == topic]
            connected = self._webhook_url if topic in _CONNECTED else ""
            for url in filter(None, [connected, *wanted]):
                headers = self._headers(topic, body, event_id, now)
                self.emit(topic, url, headers, body)
                if self.fault("duplicate_webhooks"):
                    self.emit(topic, url, headers, body)

    def send(self, outgoing: Outgoing) -> None:
        """After eight failures in a row a subscription made through the API is deleted."""
        super().send(outgoing)
        good = 200 <= (outgoing.status or 0) < 300
        with self.lock:
            for its in [
                s
                for s in self._subscriptions
                if s["topic"] == outgoing.topic and s["uri"] == outgoing.url
            ]:
                its["failures"] = 0 if good else its.get("failures", 0) + 1
                if its["failures"] >= _FAILURES_BEFORE_GONE:
                    self._subscriptions.remove(its)

    def _headers(self, topic: str, body: bytes, event_id: str, now: datetime) -> dict[str, str]:
        digest = hmac.new(self.client_secret.encode(), body, hashlib.sha256).digest()
        other = self.fault("other_version")
        return {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
            "X-Shopify-Shop-Domain": self.shop.domain,
            "X-Shopify-API-Version": other.options["version"] if other else VERSION,
            "X-Shopify-Webhook-Id": str(uuid.uuid4()),
            "X-Shopify-Event-Id": event_id,
            "X-Shopify-Triggered-At": triggered(now),
        }

    # --- tokens ---

    def _authorize(self) -> Response:
        """The page that asks the merchant."""
        scopes = "".join(f"<li>{escape(s)}</li>" for s in request.args.get("scope", "").split(","))
        if request.args.get("client_id") != self.client_id:
            return Response("<h1>Oauth error application_cannot_be_found</h1>", 400)
        page = (
            f"<!doctype html><html lang=en><title>Install app</title><h1>Install app</h1><ul>{scopes}</ul>"
            "<form method=post><button name=agree value=1>Install</button></form></html>"
        )
        return Response(page, 200, content_type="text/html; charset=utf-8")

    def _agree(self) -> Response:
        where = self.grants.callback(self.shop.domain, request.args, self.client_secret, self.clock())
        return Response("", 302, {"Location": where})

    def _grant(self) -> Response:
        """Client credentials, an authorization code, or a refresh token."""
        given = request.get_json(silent=True) if request.is_json else request.form
        wish = dict(given or {})
        if self.fault("server_error"):
            return _answer(500, {"errors": "Internal Server Error"})
        known = (self.client_id, self.client_secret)
        if (wish.get("client_id"), wish.get("client_secret")) != known:
            return _answer(400, {"error": "application_cannot_be_found"})
        kinds = {"refresh_token": self.grants.refresh, None: self.grants.exchange}
        if wish.get("grant_type") in kinds:
            with self.lock:
                return self._granted(kinds[wish.get("grant_type")], wish)
        if wish.get("grant_type") != "client_credentials":
            return _answer(400, {"error": "unsupported_grant_type"})
        token = f"shpat_{secrets.token_hex(16)}"
        self._tokens[token] = self.clock() + timedelta(seconds=_GRANTED_SECONDS)
        scope = ",".join(admin.SCOPES)
        return _answer(200, {"access_token": token, "scope": scope, "expires_in": _GRANTED_SECONDS})

    def _granted(self, give: Callable[..., JSON], wish: JSON) -> Response:
        try:
            answer = give(wish, self._tokens, self.clock())
        except tokens.Refused as refused:
            return _answer(400, {"error": str(refused)})
        if self.fault("drop_token_answer"):
            hang_up()
        return _answer(200, answer)

    # --- compliance topics ---

    def _set_app(self) -> Response:
        self.app_url = str((request.get_json(force=True) or {}).get("url", ""))
        return _answer(200, {})

    def _comply(self) -> Response:
        """{"topic", "customer"?: {"id", "email", "phone"}, "orders"?: [...]}: sent to the app's address."""
        wish = request.get_json(force=True)
        body: JSON = {"shop_id": 548380009, "shop_domain": self.shop.domain}
        named = "orders_requested" if wish["topic"].endswith("request") else "orders_to_redact"
        if customer := wish.get("customer"):
            body |= {"customer": customer, named: wish.get("orders", [])}
        if wish["topic"] == "customers/data_request":
            body["data_request"] = {"id": 9999}
        raw, now = _rails(body), self.clock()
        headers = self._headers(wish["topic"], raw, str(uuid.uuid4()), now)
        self.emit(wish["topic"], self.app_url, headers, raw)
        return _answer(200, {"status": self.outbox[-1].status})

    def _authorised(self) -> bool:
        if self.fault("token_expired"):
            self._tokens.clear()
        ends = self._tokens.get(request.headers.get("X-Shopify-Access-Token", ""))
        return ends is not None and ends > self.clock()

    # --- the Admin API ---

    def _graphql(self, version: str) -> Response:
        if refused := self._refused():
            return refused
        if not self._authorised():
            return _answer(401, {"errors": "[API] Invalid API key or access token"})
        if version != VERSION:
            return _answer(404, {"errors": "Not Found"})
        wish = request.get_json(force=True, silent=True)
        if not isinstance(wish, dict) or not isinstance(wish.get("query"), str):
            return _answer(400, {"errors": {"query": "Required parameter missing or invalid"}})
        with self.lock:
            self._wrote, self._caused = False, []
            answer = self._execute(wish["query"], wish.get("variables") or {})
            wrote, caused = self._wrote, self._caused
        self._tell(caused, self.clock())
        if wrote and self.fault("drop_after_write"):
            hang_up()
        if slow := self.fault("slow_drip"):
            body = drip(json.dumps(answer).encode(), float(slow.options.get("seconds", 1)))
            return Response(body, mimetype="application/json")
        response = _answer(200, answer)
        response.headers["X-Shopify-API-Version"] = VERSION
        return response

    def _refused(self) -> Response | None:
        """Faults that answer before anything is read."""
        if self.fault("server_error"):
            return _answer(500, {"errors": "Internal Server Error"})
        if self.fault("frozen"):
            return _answer(402, {"errors": "Unavailable Shop"})
        if self.fault("locked"):
            return _answer(423, {"errors": "Locked"})
        if self.fault("not_json"):
            return Response("<html><title>Something went wrong</title></html>", 200)
        return None

    def _execute(self, text: str, variables: JSON) -> JSON:
        try:
            document, cost = self._admitted(text, variables)
        except _TurnedAway as turned:
            return turned.answer
        result = execute_sync(self._loaded(), document, self._root(), variable_values=variables)
        actual = min(cost, _objects(result.data) + (10 if self._wrote else 0))
        self._points -= actual
        if result.errors:
            invalid = result.data is None and "Variable" in result.errors[0].message
            code = "INVALID_VARIABLE" if invalid else "INTERNAL_SERVER_ERROR"
            return _errors(result.errors[0].message, code, cost=self._cost(cost, actual))
        return {"data": result.data, "extensions": {"cost": self._cost(cost, actual)}}

    def _admitted(self, text: str, variables: JSON) -> tuple[DocumentNode, int]:
        """The document and the cost it asks for, once it is valid, allowed, and the bucket holds it."""
        try:
            document = parse(text)
        except GraphQLError as error:
            raise _TurnedAway(_errors(error.message, "BAD_REQUEST")) from None
        if found := validate(self._loaded(), document):
            raise _TurnedAway(_errors(found[0].message, "BAD_REQUEST"))
        cost = _cost_of(self._loaded(), document, variables)
        if cost > _MOST:
            message = f"Query cost is {cost}, which exceeds the single query max cost limit ({_MOST})."
            raise _TurnedAway(_errors(message, "MAX_COST_EXCEEDED", cost=self._cost(cost)))
        throttle = self.fault("throttle")
        if throttle and throttle.options.get("form") in ("429", "503"):
            abort(Response("{}", int(throttle.options["form"]), {"Retry-After": "2.0"}))
        self._refill()
        if throttle or self._points < cost:
            bill = self._cost(cost, empty=throttle is not None)
            raise _TurnedAway(_errors("Throttled", "THROTTLED", cost=bill))
        if self.fault("access_denied"):
            message = "Access denied for this field. Required access: `write_discounts` access scope."
            raise _TurnedAway(_errors(message, "ACCESS_DENIED", cost=self._cost(cost)))
        return document, cost

    def _loaded(self) -> GraphQLSchema:
        if self._schema is None:
            self._schema = build_schema(_SCHEMA.read_text(encoding="utf-8"), assume_valid=True)
        return self._schema

    def _refill(self) -> None:
        now = self.clock()
        gained = (now - self._counted_at).total_seconds() * self.refill
        self._points = min(_BUCKET, self._points + max(0.0, gained))
        self._counted_at = now

    def _cost(self, cost: int, actual: int | None = None, *, empty: bool = False) -> JSON:
        return {
            "requestedQueryCost": cost,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": _BUCKET,
                "currentlyAvailable": 0 if empty else int(self._points),
                "restoreRate": self.refill,
            },
        }

    def _root(self) -> JSON:
        """What graphql-core resolves queries and mutations from."""
        shop, now = self.shop, self.clock()

        def write(act: Callable[..., JSON]) -> Callable[..., JSON]:
            def resolve(_info: Any, **arguments: Any) -> JSON:
                self._wrote = True
                return act(**arguments)

            return resolve

        return {
            "shop": self._shop_view(),
            "currentAppInstallation": {
                "id": "gid://shopify/AppInstallation/1",
                "accessScopes": [{"handle": scope} for scope in admin.SCOPES],
            },
            "order": lambda _info, id: self._order_node(id),  # noqa: A006
            "nodes": lambda _info, ids: [self._node(one) for one in ids],
            "orders": self._orders,
            "refund": lambda _info, id: self._refund_node(id),  # noqa: A006
            "customer": lambda _info, id: admin.customer_view(shop, shop.customers.get(_gid(id))),  # noqa: A006
            "product": lambda _info, id: self._product_node(id),  # noqa: A006
            "productVariants": lambda info, **given: admin.pages(
                admin.variants_found(shop, given.get("query") or "")
            )(info, **given),
            "codeDiscountNodeByCode": lambda _info, code: self._code_node(code),
            "discountNodes": self._discount_nodes,
            "webhookSubscriptions": admin.pages(self._subscription_views()),
            "discountCodeBasicCreate": write(self._create_code),
            "discountCodeFreeShippingCreate": write(self._create_free_shipping),
            "discountCodeDeactivate": write(self._deactivate_code),
            "discountCodeDelete": write(self._delete_code),
            "metafieldsSet": write(lambda metafields: admin.set_metafields(shop, metafields, now)),
            "webhookSubscriptionCreate": write(self._subscribe),
            "customers": self._customers,
            "bulkOperation": self._bulk_look,
            "bulkOperationRunQuery": write(self._bulk_run),
            "storeCreditAccountCredit": _unsupported("storeCreditAccountCredit"),
        }

    def _shop_view(self) -> JSON:
        return {
            "id": "gid://shopify/Shop/548380009",
            "name": "Sandbox Shop",
            "myshopifyDomain": self.shop.domain,
            "currencyCode": self.shop.books.currency,
            "ianaTimezone": "America/New_York",
            "taxesIncluded": False,
            "plan": {"publicDisplayName": "Basic", "shopifyPlus": False},
        }

    def _order_node(self, gid: str) -> JSON | None:
        order = self.shop.orders.get(_gid(gid))
        return None if order is None else admin.order_view(self.shop, order)

    def _node(self, gid: str) -> JSON | None:
        """Of an order; others are not looked up here."""
        order = self._order_node(gid) if "/Order/" in gid else None
        return None if order is None else {"__typename": "Order", **order}

    def _orders(self, info: Any, query: str | None = None, **arguments: Any) -> JSON:
        fault = self.fault("order_search_lag")
        seen = self.clock() - timedelta(seconds=float(fault.options.get("seconds", 5)) if fault else 0)
        indexed = [
            o for o in self.shop.orders.values() if datetime.fromisoformat(o["updated_at"]) <= seen
        ]
        found = admin.changed_since(indexed, query)
        return admin.pages([admin.order_view(self.shop, o) for o in found])(info, **arguments)

    def _customers(self, info: Any, query: str | None = None, **arguments: Any) -> JSON:
        found = admin.changed_since(self.shop.customers.values(), query)
        return admin.pages([admin.customer_view(self.shop, c) or {} for c in found])(info, **arguments)

    def _bulk_run(self, query: str, groupObjects: bool = False) -> JSON:  # noqa: N803
        now = self.clock()
        slow, fails = self.fault("bulk_slow"), self.fault("bulk_fails")
        if self.fault("bulk_refused"):
            query = "{ shop { id } }"
        ends = now + timedelta(seconds=float(slow.options.get("seconds", 5)) if slow else 0)
        made = bulk.Bulk(
            f"gid://shopify/BulkOperation/{self.shop.books.new_id()}", secrets.token_hex(8), query,
            groupObjects, now, ends,
        )  # fmt: skip
        if fails:
            made.fails_after = int(fails.options.get("after", 0))
            made.error = fails.options.get("code", "TIMEOUT")
        return self.bulks.begin(made, self._loaded(), now)

    def _bulk_look(self, _info: Any, id: str) -> JSON | None:  # noqa: A002
        def run(query: str) -> JSON:
            return execute_sync(self._loaded(), parse(query), self._root()).data or {}

        now = self.clock()
        self.bulks.go_on(now, run)
        found = self.bulks.all.get(id)
        return None if found is None else self.bulks.view(found, now, self.address)

    def _bulk_file(self, file: str) -> Response:
        if self.fault("bulk_url_gone"):
            return Response("<Error><Code>ExpiredToken</Code></Error>", 400, mimetype="application/xml")
        with self.lock:
            return self.bulks.answer(file, self.clock())

    def _refund_node(self, gid: str) -> JSON | None:
        for order in self.shop.orders.values():
            for refund in order["refunds"]:
                if refund["id"] == _gid(gid):
                    return admin.refund_view(order, refund)
        return None

    def _product_node(self, gid: str) -> JSON | None:
        found = [p for p in self.shop.products.values() if p["id"] == _gid(gid)]
        return admin.product_view(found[0]) if found else None

    def _code_node(self, code: str) -> JSON | None:
        discount = self.shop.discount_by_code(code)
        return None if discount is None else admin.discount_node(discount, self.clock())

    def _discount_nodes(self, info: Any, **arguments: Any) -> JSON:
        fault = self.fault("search_lag")
        lag = float(fault.options.get("seconds", 3600)) if fault else admin.SEARCH_LAG_SECONDS
        seen = self.clock() - timedelta(seconds=lag)
        known = [d for d in self.shop.discounts.values() if d.made_at <= seen]
        return admin.pages([admin.discount_node(d, self.clock()) for d in known])(info, **arguments)

    def _create_code(self, basicCodeDiscount: JSON) -> JSON:  # noqa: N803
        if refuse := self.fault("refuse_code"):
            self._wrote = False
            message = refuse.options.get("message", "Discount could not be created")
            code = refuse.options.get("code", "INVALID")
            fault = admin.error(["basicCodeDiscount"], message, code)
            return {"codeDiscountNode": None, "userErrors": [fault]}
        made = admin.create_discount(self.shop, basicCodeDiscount, self.clock())
        if node := made["codeDiscountNode"]:
            self._caused += admin.discount_made(self.shop.discounts[node["id"]], self.clock())
        return made

    def _create_free_shipping(self, freeShippingCodeDiscount: JSON) -> JSON:  # noqa: N803
        made = admin.create_free_shipping(self.shop, freeShippingCodeDiscount, self.clock())
        if node := made["codeDiscountNode"]:
            self._caused += admin.discount_made(self.shop.discounts[node["id"]], self.clock())
        return made

    def _deactivate_code(self, id: str) -> JSON:  # noqa: A002
        answer = admin.deactivate_discount(self.shop, id, self.clock())
        if answer["codeDiscountNode"]:
            discount = admin.discount_body(self.shop.discounts[id], self.clock())
            self._caused.append(("discounts/update", discount))
        return answer

    def _delete_code(self, id: str) -> JSON:  # noqa: A002
        answer = admin.delete_discount(self.shop, id)
        if answer["deletedCodeDiscountId"]:
            gone = {"admin_graphql_api_id": id, "deleted_at": stamp(self.clock())}
            self._caused.append(("discounts/delete", gone))
        return answer

    def _subscribe(self, topic: str, webhookSubscription: JSON) -> JSON:  # noqa: N803
        uri = webhookSubscription.get("uri") or ""
        name = _topic(topic)
        if any(s["topic"] == name and s["uri"] == uri for s in self._subscriptions):
            message = "Address for this topic has already been taken"
            return {"webhookSubscription": None, "userErrors": [admin.error(["uri"], message, None)]}
        subscription = {"topic": name, "uri": uri, "enum": topic, "id": self.shop.books.new_id()}
        self._subscriptions.append(subscription)
        return {"webhookSubscription": self._subscription_views()[-1], "userErrors": []}

    def _subscription_views(self) -> list[JSON]:
        moment = stamp(self.clock())
        return [
            {
                "id": f"gid://shopify/WebhookSubscription/{s['id']}",
                "topic": s["enum"],
                "uri": s["uri"],
                "format": "JSON",
                "filter": "",
                "includeFields": [],
                "metafieldNamespaces": [],
                "name": None,
                "createdAt": moment,
                "updatedAt": moment,
                "apiVersion": {"handle": VERSION},
            }
            for s in self._subscriptions
        ]


# --- cost: https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits ---------------------


def _cost_of(schema: GraphQLSchema, document: DocumentNode, variables: JSON) -> int:
    """Objects 1, scalars 0, mutations 10, a connection 2 + `first` times its nodes."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    operation = next(d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    is_mutation = operation.operation is OperationType.MUTATION
    root = schema.mutation_type if is_mutation else schema.query_type

    def fields(selection: SelectionSetNode, parent: Any) -> int:
        return sum(one(node, parent) for node in selection.selections)

    def one(node: Any, parent: Any) -> int:
        if isinstance(node, FragmentSpreadNode):
            fragment = fragments[node.name.value]
            return fields(fragment.selection_set, schema.type_map[fragment.type_condition.name.value])
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            return fields(
                node.selection_set, schema.type_map[condition.name.value] if condition else parent
            )
        return field_cost(node, parent)

    def field_cost(node: FieldNode, parent: Any) -> int:
        if node.name.value.startswith("__"):
            return 0
        kind = get_named_type(parent.fields[node.name.value].type)
        if is_leaf_type(kind) or node.selection_set is None:
            return 0
        inner = fields(node.selection_set, kind)
        if kind.name.endswith("Connection"):
            return 2 + _first(node, variables) * max(inner, 1)
        return 1 + inner

    return fields(operation.selection_set, root) + (10 if is_mutation else 0)


def _first(node: FieldNode, variables: JSON) -> int:
    for argument in node.arguments or ():
        if argument.name.value == "first":
            if isinstance(argument.value, IntValueNode):
                return int(argument.value.value)
            if isinstance(argument.value, VariableNode):
                return int(variables.get(argument.value.name.value) or 0)
    return 0


def _objects(data: Any) -> int:
    """How many objects an answer holds, the top level not counted."""
    inner = list(data.values()) if isinstance(data, dict) else data if isinstance(data, list) else []
    return sum(isinstance(item, dict) + _objects(item) for item in inner)


# --- answers -----------------------------------------------------------------------------------


def _rails(payload: JSON) -> bytes:
    """JSON as Rails writes it; the signature is over exactly these bytes."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _answer(status: int, body: JSON) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def _errors(message: str, code: str, *, cost: JSON | None = None) -> JSON:
    answer: JSON = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return answer | ({"extensions": {"cost": cost}} if cost else {})


def _unsupported(name: str) -> Callable[..., JSON]:
    def refuse(_info: Any, **_: Any) -> JSON:
        raise GraphQLError(f"the sandbox does not support {name}")

    return refuse


def _refuse(sentence: str) -> None:
    """What a storefront or the admin would not let anybody do."""
    abort(_answer(422, {"error": sentence}))


def _topic(enum: str) -> str:
    """ORDERS_CREATE -> orders/create; only the last word is the event, save for redeem codes."""
    if enum.startswith("DISCOUNTS_REDEEMCODE_"):
        return f"discounts/{enum.removeprefix('DISCOUNTS_').lower()}"
    resource, _, event = enum.lower().rpartition("_")
    return f"{resource}/{event}"


def _gid(gid: str) -> int:
    return _id(gid.rpartition("/")[2])


def _id(text: str) -> int:
    return int(text) if text.isdigit() else -1


def main() -> None:
    """`python -m connectors.shopify.sandbox --port N [--currency VND] [--refill 100]`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--currency", default="USD")
    parser.add_argument("--refill", type=float, default=100.0)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    serve(ShopifySandbox(currency=options.currency, refill=options.refill))


if __name__ == "__main__":
    main()
