"""The Shopify connector: settings, signature, delivery key, look-ups and commands."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.shopify import authorise, changes, compliance, history, push, shop, subscriptions
from connectors.shopify import fetch as lookups
from connectors.shopify import normalise as translation
from connectors.shopify import vocabulary as words
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.words import FORM_WORDS, GUIDE_WORDS, WAY_WORDS, WORDS
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
    PrivacyRequest,
    Receipt,
    RevokeCode,
    Verdict,
    Way,
)
from hub.errors import BadPayload, BadSignature
from hub.http import Http
from hub.payload import parse_object


class ShopifyConnector(Connector):
    """One Shopify shop, with its POS."""

    kind = "shopify"
    label = "Shopify"
    settings_schema = ShopifySettings
    words = WORDS
    form = FORM_WORDS
    guide = GUIDE_WORDS
    ways = (
        Way("credentials", ("shop", "client_id", "webhook_secret")),
        Way("code", ("shop", "client_id", "webhook_secret"), answered_by="browser"),
        Way("pasted", ("shop", "access_token", "webhook_secret")),
    )
    way_words = WAY_WORDS
    privacy_topics = frozenset({"customers/data_request", "customers/redact", "shop/redact"})
    app_secrets = ("webhook_secret", "previous_webhook_secret")
    payload_built = "event"
    sale_is = "gross"
    lists_refunds = "complete"
    refunds_deletable = False
    code_features = frozenset({"products", "amount_of_products", "pieces", "free_shipping"})
    """A percentage has no most in Shopify."""
    needs = {  # noqa: RUF012
        "create_code": IdentityKind.CUSTOMER,
        "set_balance": IdentityKind.CUSTOMER,
    }

    # --- inbound ---

    def delivery_key(self, inbound: Inbound) -> str:
        """X-Shopify-Webhook-Id: unique per delivery and the same over its retries, where
        X-Shopify-Event-Id is shared by all deliveries of one action of the merchant
        (https://shopify.dev/docs/apps/build/webhooks/verify-deliveries).

        A message without one (a recorded body, the answer of a look-up) is known by the SHA-256 over
        topic, trigger time or Date, and body: the same content at another time is news.
        """
        headers = inbound.headers
        if webhook_id := headers.get(words.WEBHOOK_ID):
            return webhook_id
        moment = headers.get(words.TRIGGERED_AT) or headers.get("date", "")
        digest = hashlib.sha256("\0".join((inbound.topic, moment, "")).encode())
        digest.update(inbound.body)
        return f"sha256:{digest.hexdigest()}"

    def verify(self, inbound: Inbound) -> Verdict:
        """Base64 HMAC-SHA256 of the raw body under the client secret, or the one before it: for up
        to an hour after a rotation Shopify may sign with the old one. Raises `BadSignature`."""
        self._check_shop(inbound)
        signature = _decoded(inbound.headers.get(words.HMAC))
        settings = self.channel.settings
        secrets = [settings.get("webhook_secret"), settings.get("previous_webhook_secret")]
        matches = [_signed(secret, inbound.body, signature) for secret in secrets if secret]
        if not any(matches):
            raise BadSignature(
                "bad_signature",
                "the signature does not match: check webhook_secret (the app's client secret; webhooks "
                "made under Settings > Notifications are signed with another one)",
            )
        return Verdict.VERIFIED

    def normalise(self, inbound: Inbound) -> Sequence[Happening]:
        """Translate one message. Raises `BadPayload` naming the JSON path."""
        return translation.normalise(inbound, self.channel.currency)

    def privacy(self, inbound: Inbound) -> PrivacyRequest:
        """A compliance topic; Shopify wants it carried out within 30 days."""
        return compliance.request_of(inbound)

    def topic(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002
        """X-Shopify-Topic. The header is not signed, so a name that only the hub itself may use (`fetch.*`,
        `poll.*`) is not taken from it."""
        topic = headers.get(words.TOPIC, "").strip().lower()
        return "" if topic.startswith(("fetch.", "poll.")) else topic

    def describe(self, inbound: Inbound) -> str:
        """The order's name ("#1001"), else the ids in the message."""
        try:
            body = parse_object(inbound.body)
        except BadPayload:
            return ""
        return _number(body)

    def _check_shop(self, inbound: Inbound) -> None:
        """One app secret signs for every shop the app is installed in."""
        ours, theirs = self.channel.settings.get("shop"), inbound.headers.get(words.SHOP, "")
        if ours and theirs.strip().lower() != ours:
            named = f"is from {theirs!r:.80}" if theirs else "names no shop"
            raise BadSignature("other_shop", f"the message {named}, this channel is {ours}: check shop")

    # --- connecting ---

    @classmethod
    def leave_at(cls, handshake: Handshake) -> str:
        """The shop's page that asks the merchant for the app's scopes."""
        return authorise.address(handshake)

    @classmethod
    def state_in(cls, brought: Brought) -> str:
        """`state` of the callback."""
        return dict(brought.query).get("state", "")

    @classmethod
    def take(cls, handshake: Handshake, brought: Brought, http: Http) -> Granted:
        """The first pair of tokens for the callback's code. Raises `Misconfigured`, `ChannelDown`."""
        return authorise.exchange(handshake, brought, http)

    @classmethod
    def app_shop(cls, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG003
        """X-Shopify-Shop-Domain: the compliance topics of all shops go to one address of the app.
        https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance"""
        return headers.get(words.SHOP, "").strip().lower()

    # --- outbound ---

    def shop_identity(self) -> str | None:
        """The permanent *.myshopify.com name."""
        return self.channel.settings.get("shop")

    def fetch(self, lookup: Lookup) -> list[Inbound]:
        """Ask the Admin API; a sale comes with all lines and refunds."""
        return lookups.fetch(self.channel, lookup)

    def push(self, command: Command) -> Receipt:
        """Carry out one command. Raises a `Fault`."""
        if isinstance(command, CreateCode):
            return push.create_code(self.channel, command)
        if isinstance(command, RevokeCode):
            return push.revoke_code(self.channel, command)
        return push.set_balance(self.channel, command)

    def read_code(self, code: RevokeCode) -> CodeThere | None:
        """The code as the shop has it now."""
        return push.read_code(self.channel, code)

    def reconcile(self, since: datetime) -> Iterator[Inbound]:
        """See `connectors.shopify.changes`."""
        return changes.changed(self.channel, since)

    def reread(self, external_ids: Sequence[str]) -> Iterator[Inbound]:
        """See `connectors.shopify.changes`."""
        return changes.read_again(self.channel, external_ids)

    def history(self, since: datetime, bookmark: str = "") -> Iterator[HistoryPage]:
        """See `connectors.shopify.history`."""
        return history.pages(self.channel, since, bookmark)

    def install(self) -> Installed:
        """See `connectors.shopify.subscriptions`."""
        return subscriptions.install(self.channel)

    def health(self) -> Health:
        """One cheap query: token, shop, scopes, version."""
        return shop.check(self.channel)

    def drift(self, inbound: Inbound) -> Health | None:
        """The version that serialised a message: that of the app's own configuration, whatever version the
        subscription was made in."""
        served, pinned = (
            inbound.headers.get(words.API_VERSION_HEADER),
            self.channel.settings["api_version"],
        )
        if not served or served == pinned:
            return None
        detail = f"the shop's messages come in version {served:.20}, the hub asks in {pinned}"
        return Health(False, "version_drift", detail)


def _decoded(signature: str | None) -> bytes:
    if not signature:
        raise BadSignature("no_signature", "the message carries no X-Shopify-Hmac-Sha256")
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature("bad_signature", "X-Shopify-Hmac-Sha256 is not base64") from None


def _signed(secret: str, body: bytes, signature: bytes) -> bool:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return hmac.compare_digest(digest, signature)


def _number(body: Mapping[str, Any]) -> str:
    data = body.get("data")
    inner = [body.get("order_edit"), data.get("order") if isinstance(data, dict) else None]
    for holder in (body, *(found for found in inner if isinstance(found, dict))):
        for key in ("name", "order_id", "id"):
            found = holder.get(key)
            if isinstance(found, str | int) and not isinstance(found, bool):
                return str(found)[:64]
    return ""
