"""The compliance topics: what a customer, or a shop that has left, may ask of every app.

https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance
"""

from __future__ import annotations

from connectors.shopify import schemas
from hub.connector import Inbound, PrivacyRequest
from hub.payload import load, parse_object


def request_of(inbound: Inbound) -> PrivacyRequest:
    """customers/data_request, customers/redact, shop/redact. Raises `BadPayload`."""
    body = parse_object(inbound.body)
    if inbound.topic == "shop/redact":
        return PrivacyRequest("forget_shop")
    customer = load(schemas.CUSTOMER_REDACT, body)["customer"]
    return PrivacyRequest(
        "forget" if inbound.topic == "customers/redact" else "report",
        customer["id"],
        tuple(filter(None, [customer["email"]])),
        tuple(filter(None, [customer["phone"]])),
    )
