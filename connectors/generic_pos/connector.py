"""The connector for any till that speaks `hub.sale/1`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any

from marshmallow import Schema, ValidationError, fields

from connectors.generic_pos import push, signing
from connectors.generic_pos.normalise import normalise
from connectors.generic_pos.schemas import MESSAGES
from connectors.generic_pos.words import FORM_WORDS, GUIDE_WORDS, LABEL_WORDS, WORDS
from hub.canonical import Happening
from hub.connector import Command, Connector, Inbound, Receipt, Verdict
from hub.errors import BadPayload, Misconfigured
from hub.payload import parse_object

_TYPE = re.compile(rb'"type"\s*:\s*"(hub\.[a-z]{1,20}/[0-9]{1,3})"')


class _Secret(fields.String):
    """A `whsec_...` secret with a key in it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"secret": True}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        secret: str = super()._deserialize(value, attr, data, **kwargs).strip()
        if secret or self.required:
            try:
                signing.key_of(secret)
            except Misconfigured as fault:
                raise ValidationError(WORDS[fault.code]) from None
        return secret


class TillSettings(Schema):
    """What connects a till: a shared secret, and where callbacks go, if it wants any."""

    webhook_secret = _Secret(required=True)
    previous_webhook_secret = _Secret(load_default="")
    callback_url = fields.Url(
        schemes={"http", "https"}, require_tld=False, load_default=None, allow_none=True
    )


class GenericPosConnector(Connector):
    """One till, or one till system."""

    kind = "generic_pos"
    code_features = frozenset({"products", "amount_of_products", "pieces", "cap", "free_shipping"})
    label = LABEL_WORDS[0]
    settings_schema = TillSettings
    words = WORDS
    form = FORM_WORDS
    guide = GUIDE_WORDS
    payload_built = "event"
    lists_refunds = "absent"
    refunds_deletable = False
    sale_is = "gross"

    def delivery_key(self, inbound: Inbound) -> str:
        """`webhook-id`: the same over all tries of one message."""
        return inbound.headers.get("webhook-id", "")

    @classmethod
    def suggested(cls) -> Mapping[str, str]:
        """A fresh secret, to be entered on both sides."""
        return {"webhook_secret": signing.new_secret()}

    def verify(self, inbound: Inbound) -> Verdict:
        """Standard Webhooks, under the present or the previous secret. Raises `BadSignature`."""
        names = ("webhook_secret", "previous_webhook_secret")
        secrets = [s for s in (self.channel.settings.get(name) for name in names) if s]
        if not secrets:
            raise Misconfigured("no_webhook_secret", "webhook_secret is not set")
        signing.check(inbound.headers, inbound.body, secrets, inbound.received_at)
        return Verdict.VERIFIED

    @classmethod
    def message_schemas(cls) -> Mapping[str, bytes]:
        """`hub.sale/1` with its refunds, voids and customers."""
        return {"hub.sale-1": files(__package__).joinpath("hub.sale-1.schema.json").read_bytes()}

    @classmethod
    def recorded_at(cls, headers: Mapping[str, str]) -> datetime | None:
        """The signed `webhook-timestamp`."""
        return signing.sent_at(headers)

    def topic(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002
        """The message's `type`, as far as a glance tells: a label for lists, found without parsing
        while the till waits for its answer. What counts is what `normalise` reads."""
        found = _TYPE.search(body)
        kind = found[1].decode() if found else ""
        return kind if kind in MESSAGES else ""

    def describe(self, inbound: Inbound) -> str:
        """The receipt's number, or the id of what the message is about."""
        message = _peek(inbound.body)
        named = (message.get(name) for name in ("number", "sale_id", "id"))
        return next((name[:40] for name in named if isinstance(name, str) and name), "")

    def normalise(self, inbound: Inbound) -> Sequence[Happening]:
        """See `connectors.generic_pos.normalise`."""
        return normalise(inbound.body)

    def push(self, command: Command) -> Receipt:
        """A signed callback. A till without `callback_url` asks the hub for codes and balances when
        it needs them, so there is nothing to do."""
        url = self.channel.settings.get("callback_url")
        if not url:
            return Receipt(changed=False, note="till_asks")
        secret = self.channel.settings["webhook_secret"]
        return push.send(self.channel.http, url, secret, command, self.channel.now())


def _peek(body: bytes) -> dict[str, Any]:
    try:
        return parse_object(body)
    except BadPayload:
        return {}
