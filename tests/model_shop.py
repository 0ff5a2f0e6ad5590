"""Two model platforms whose messages are the hub's own words as JSON: for tests of the core alone.

`EventShop` fixes its payload at the event and never deletes a refund; `DeliveryShop` builds it when
delivered, deletes refunds without a trace, and sends ids where something was trashed or restored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from marshmallow import Schema, fields

from hub.canonical import CustomerMerged, Deleted, Happening, Thin
from hub.connector import Command, Connector, Inbound, Lookup, Receipt, Verdict
from hub.transactions.codec import refund_from_json, sale_from_json


class ModelSettings(Schema):
    webhook_secret = fields.String(load_default="")
    shop_file = fields.String(load_default="", metadata={"description": "what fetch answers"})


class ModelShop(Connector):
    settings_schema = ModelSettings

    def delivery_key(self, inbound: Inbound) -> str:
        return inbound.headers["key"]

    def verify(self, inbound: Inbound) -> Verdict:
        return Verdict.VERIFIED

    def topic(self, headers: Mapping[str, str], body: bytes) -> str:
        return headers.get("topic", "")

    def normalise(self, inbound: Inbound) -> Sequence[Happening]:
        message: dict[str, Any] = json.loads(inbound.body)
        match message["type"]:
            case "sale":
                return [sale_from_json(message["sale"])]
            case "refund":
                return [refund_from_json(message["refund"])]
            case "merged":
                return [CustomerMerged(message["kept"], message["gone"], inbound.received_at)]
            case "thin":
                return [Thin("sale", message["id"])]
            case "gone":
                as_of = datetime.fromisoformat(message["as_of"])
                return [Deleted("sale", message["id"], final=message["final"], as_of=as_of)]
        raise AssertionError(message)

    def push(self, command: Command) -> Receipt:
        return Receipt()


class EventShop(ModelShop):
    kind = "model_event"
    label = "Event shop"
    payload_built = "event"
    refunds_deletable = False


class DeliveryShop(ModelShop):
    kind = "model_delivery"
    label = "Delivery shop"
    payload_built = "delivery"
    refunds_deletable = True

    def fetch(self, lookup: Lookup) -> list[Inbound]:
        """The sale as it is now: the file holds external id -> message."""
        with open(self.channel.settings["shop_file"]) as file:
            message = json.load(file)[lookup.external_id]
        body = json.dumps(message).encode()
        return [Inbound("fetch.sale", {}, body, self.channel.now())]


CONNECTORS: dict[str, str] = {
    "model_event": "tests.model_shop.EventShop",
    "model_delivery": "tests.model_shop.DeliveryShop",
}
