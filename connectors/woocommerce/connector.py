"""The WooCommerce connector: settings, signature, delivery key, look-ups and commands."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate

from connectors.woocommerce import changes, history, push, wc_auth, webhooks
from connectors.woocommerce.client import Store
from connectors.woocommerce.normalise import (
    LOOKUP_CURRENCY,
    LOOKUP_ID,
    LOOKUP_STATUS,
    PING,
    is_ping,
    normalise,
)
from connectors.woocommerce.words import FORM_WORDS, GUIDE_WORDS, SETTING_WORDS, WAY_WORDS, WORDS
from hub.canonical import Happening, IdentityKind
from hub.connector import (
    Brought,
    CodeThere,
    Command,
    Connector,
    CreateCode,
    Granted,
    Handshake,
    Health,
    HistoryPage,
    Inbound,
    Installed,
    Lookup,
    Receipt,
    RevokeCode,
    Verdict,
    Way,
)
from hub.errors import BadPayload, BadSignature, Fault, Misconfigured, Rejected
from hub.http import Answer, Http
from hub.payload import parse_json, parse_object

_SECRET = {"secret": True}


class _Pasted(fields.String):
    """A text as pasted: blanks and line ends around it are never meant."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        return text.strip()


class _StoreUrl(_Pasted):
    """The Site Address, without a trailing slash."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = super()._deserialize(value, attr, data, **kwargs).rstrip("/")
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or parts.username is not None or parts.query or parts.fragment:
            raise ValidationError(SETTING_WORDS["store_url"])
        return url


class WooCommerceSettings(Schema):
    """What a merchant enters to connect a store."""

    store_url = _StoreUrl(required=True)
    consumer_key = _Pasted(
        required=True,
        validate=validate.Regexp(r"ck_\S+\Z", error=SETTING_WORDS["consumer_key"]),
        metadata=_SECRET,
    )
    consumer_secret = _Pasted(
        required=True,
        validate=validate.Regexp(r"cs_\S+\Z", error=SETTING_WORDS["consumer_secret"]),
        metadata=_SECRET,
    )
    webhook_secret = _Pasted(required=True, validate=validate.Length(min=1), metadata=_SECRET)
    previous_webhook_secret = _Pasted(load_default="", metadata=_SECRET)


class WooCommerceConnector(Connector):
    """One WooCommerce store."""

    kind = "woocommerce"
    label = "WooCommerce"
    settings_schema = WooCommerceSettings
    words = WORDS
    form = FORM_WORDS
    guide = GUIDE_WORDS
    ways = (
        Way("wc_auth", ("store_url",), answered_by="server", needs_tls=True),
        Way("keys", ("store_url", "consumer_key", "consumer_secret")),
    )
    way_words = WAY_WORDS
    payload_built = "delivery"
    products_at_once = 50
    """`include=` takes as many as a page holds; fifty keep address and answer short."""
    lists_refunds = "complete"
    refunds_deletable = True
    sale_is = "gross"
    needs = {"create_code": IdentityKind.EMAIL, "set_balance": IdentityKind.CUSTOMER}  # noqa: RUF012
    code_features = frozenset({"products", "pieces", "free_shipping"})
    """A percentage has no most in WooCommerce, and an amount off some products is one off each piece."""

    # --- inbound ---

    def delivery_key(self, inbound: Inbound) -> str:
        """SHA-256 over webhook id, Delivery-ID, topic and body. The Delivery-ID alone repeats within
        a second, and two refunds, or trash - restore - trash, send the same body twice. An answer to
        a look-up is told apart by its Date: the same content later is news (rules.md A7). What was listed among the
        changes is known by its content alone, which bears the time of its change."""
        headers = inbound.headers
        parts = [
            headers.get("x-wc-webhook-id", ""),
            headers.get("x-wc-webhook-delivery-id", ""),
            inbound.topic,
        ]
        if inbound.topic.startswith("fetch."):
            parts += [headers.get(name, "") for name in ("date", LOOKUP_ID, LOOKUP_STATUS)]
        digest = hashlib.sha256("\0".join(parts).encode())
        digest.update(b"\0" + inbound.body)
        return digest.hexdigest()

    @classmethod
    def suggested(cls) -> Mapping[str, str]:
        """A fresh secret, to be entered on both sides."""
        return {"webhook_secret": token_hex(20)}

    def verify(self, inbound: Inbound) -> Verdict:
        """`X-WC-Webhook-Signature` = base64 HMAC-SHA256 of the raw body, under the present or the
        previous secret: https://woocommerce.com/document/webhooks/. Raises `BadSignature`."""
        signature = inbound.headers.get("x-wc-webhook-signature")
        if signature is None:
            if is_ping(inbound.headers, inbound.body):
                return Verdict.PING
            raise BadSignature("no_signature", "the message has no X-WC-Webhook-Signature")
        secrets = [s for s in map(self._setting, ("webhook_secret", "previous_webhook_secret")) if s]
        if not secrets:
            raise Misconfigured("no_webhook_secret", "webhook_secret is not set")
        given = signature.strip().encode("utf-8", "replace")
        matches = [hmac.compare_digest(given, _signature(s, inbound.body)) for s in secrets]
        if not any(matches):
            raise BadSignature(
                "bad_signature",
                "webhook_secret is not the secret under WooCommerce > Settings > Advanced > Webhooks",
            )
        return Verdict.VERIFIED

    def topic(self, headers: Mapping[str, str], body: bytes) -> str:
        """`X-WC-Webhook-Topic`; `ping` for the creation ping. The header is not signed, so a name
        that only the hub itself may use (`fetch.*`, `poll.*`) is not taken from it."""
        if is_ping(headers, body):
            return PING
        topic = headers.get("x-wc-webhook-topic", "")
        return "" if topic.startswith(("fetch.", "poll.")) or topic == PING else topic

    def normalise(self, inbound: Inbound) -> Sequence[Happening]:
        """See `connectors.woocommerce.normalise`."""
        return normalise(inbound)

    def describe(self, inbound: Inbound) -> str:
        """The order's number, or the id of whatever the message is about."""
        try:
            body = parse_object(inbound.body)
        except BadPayload:
            return ""
        for name in ("number", "id", "arg"):
            if isinstance(body.get(name), str | int) and body[name] != "":
                return str(body[name])[:40]
        return ""

    # --- connecting: see `connectors.woocommerce.wc_auth` ---

    @classmethod
    def leave_at(cls, handshake: Handshake) -> str:
        """The store's page that asks the merchant for an API key."""
        return wc_auth.address(handshake)

    @classmethod
    def state_in(cls, brought: Brought) -> str:
        """`user_id`."""
        return wc_auth.state_in(brought)

    @classmethod
    def says_no(cls, brought: Brought) -> bool:
        """`success=0`."""
        return wc_auth.says_no(brought)

    @classmethod
    def take(cls, handshake: Handshake, brought: Brought, http: Http) -> Granted:
        """The key, proven by a call to the store."""
        return wc_auth.prove(handshake, brought, http)

    # --- outbound ---

    def shop_identity(self) -> str | None:
        """Host and path of the store; http, https and www. are the same store."""
        parts = urlsplit(self._setting("store_url").lower())
        return f"{parts.netloc.removeprefix('www.')}{parts.path}" or None

    def fetch(self, lookup: Lookup) -> list[Inbound]:
        """GET what was hinted at. A sale and its refunds come together: a refund document names
        neither its order nor its currency, and a refund deleted meanwhile shows in the order only."""
        asked = lookup.external_id
        ids = asked.split(",") if lookup.what == "product" else [asked]
        if not all(one.isdigit() for one in ids):
            raise Rejected("no_such_id", "ids of a WooCommerce store are whole numbers")
        store = self._store()
        if lookup.what in ("sale", "refunds"):
            return self._fetch_sale(store, asked)
        if lookup.what == "product":
            answer = store.get(
                "products", include=asked, _fields="id,sku,categories,tags", per_page="100"
            )
        else:
            answer = store.get(f"{'customers' if lookup.what == 'customer' else 'coupons'}/{asked}")
        return [self._answer(f"fetch.{lookup.what}", asked, answer)]

    def _fetch_sale(self, store: Store, asked: str) -> list[Inbound]:
        order = store.get(f"orders/{asked}")
        answers = [self._answer("fetch.sale", asked, order)]
        content = parse_json(order.body)
        if order.status == 200 and isinstance(content, dict) and content.get("refunds"):
            refunds = store.get(f"orders/{asked}/refunds", per_page="100")
            currency = str(content.get("currency", ""))
            answers.append(self._answer("fetch.refunds", asked, refunds, currency))
        return answers

    def _answer(self, topic: str, asked: str, answer: Answer, currency: str = "") -> Inbound:
        headers = {
            "date": answer.headers.get("date", ""),
            LOOKUP_ID: asked,
            LOOKUP_STATUS: str(answer.status),
            LOOKUP_CURRENCY: currency,
        }
        kept = {name: value for name, value in headers.items() if value}
        return Inbound(topic, kept, answer.body, self.channel.now())

    def push(self, command: Command) -> Receipt:
        """See `connectors.woocommerce.push`."""
        store = self._store()
        if isinstance(command, CreateCode):
            return push.create_code(store, command, self.channel.now())
        if isinstance(command, RevokeCode):
            return push.revoke_code(store, command)
        return push.set_balance(store, command)

    def read_code(self, code: RevokeCode) -> CodeThere | None:
        """See `connectors.woocommerce.push`."""
        return push.read_code(self._store(), code, self.channel.now())

    def reconcile(self, since: datetime) -> Iterator[Inbound]:
        """See `connectors.woocommerce.changes`."""
        return changes.changed(self._store(), since, self.channel.now)

    def history(self, since: datetime, bookmark: str = "") -> Iterator[HistoryPage]:
        """See `connectors.woocommerce.history`."""
        return history.pages(self._store(), since, bookmark, self.channel.now)

    def reread(self, external_ids: Sequence[str]) -> Iterator[Inbound]:
        """For refunds and orders that were deleted: both leave no trace in the store's changes."""
        return changes.read_again(self._store(), external_ids, self.channel.now)

    def install(self) -> Installed:
        """See `connectors.woocommerce.webhooks`."""
        return webhooks.install(self._store(), self.channel.webhook_url, self._setting("webhook_secret"))

    def renew_secret(self) -> int:
        """See `connectors.woocommerce.webhooks`."""
        return webhooks.renew_secret(
            self._store(), self.channel.webhook_url, self._setting("webhook_secret")
        )

    def health(self) -> Health:
        """Whether the store takes our key and still sends: it switches a webhook off after seven
        failures in a row and tells nobody."""
        try:
            return webhooks.state(self._store(), self.channel.webhook_url)
        except Fault as fault:
            return Health(False, fault.code, fault.detail)

    def _store(self) -> Store:
        wanted = ("store_url", "consumer_key", "consumer_secret")
        url, key, secret = (self._setting(name) for name in wanted)
        if not (url and key and secret):
            raise Misconfigured("no_keys", "store_url, consumer_key and consumer_secret must be set")
        return Store(self.channel.http, url, key, secret, self.channel.now())

    def _setting(self, name: str) -> str:
        return str(self.channel.settings.get(name) or "")


def _signature(secret: str, body: bytes) -> bytes:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
