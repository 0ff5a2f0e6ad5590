"""The shop's subscriptions for the hub: made per topic, listed, made again when they are gone.

- Shopify deletes a subscription that was made through the API after eight failed deliveries in a row, and writes to
  the app's emergency address alone. So they are listed every hour.
- The list holds only subscriptions made through the API: those of a shopify.app.toml are neither deleted nor listed.
- The same topic and address twice is refused ("Address for this topic has already been taken").
- `http://` and local addresses are refused.
https://shopify.dev/docs/api/admin-graphql/latest/mutations/webhookSubscriptionCreate
"""

from __future__ import annotations

from urllib.parse import urlsplit

from connectors.shopify import operations
from connectors.shopify.client import Admin, bad_answer
from hub.connector import ChannelHandle, Installed
from hub.errors import ChannelDown, Fault, Misconfigured, Rejected

TOPICS: tuple[str, ...] = (
    "ORDERS_CREATE",
    "ORDERS_PAID",
    "ORDERS_UPDATED",
    "ORDERS_EDITED",
    "ORDERS_CANCELLED",
    "ORDERS_DELETE",
    "REFUNDS_CREATE",
    "ORDER_TRANSACTIONS_CREATE",
    "CUSTOMERS_CREATE",
    "CUSTOMERS_UPDATE",
    "CUSTOMERS_DELETE",
    "DISCOUNTS_UPDATE",
    "DISCOUNTS_DELETE",
    "APP_UNINSTALLED",
)
"""What the normaliser reads and the needed scopes allow."""
IF_ALLOWED: tuple[str, ...] = ("CUSTOMERS_MERGE",)
"""Needs a scope that the hub does without: read_customer_merge."""
_MOST_PAGES = 20


def install(channel: ChannelHandle) -> Installed:
    """One subscription for each topic at the channel's address. An answer that was lost may have made one: then
    the next list has it, and Shopify refuses a second."""
    admin = Admin(channel)
    have = _have(admin, channel.webhook_url)
    wanted = (*TOPICS, *IF_ALLOWED)
    lacking = [topic for topic in wanted if topic not in have]
    made = [topic for topic in lacking if _subscribe(admin, channel.webhook_url, topic)]
    return Installed(made=tuple(made), kept=tuple(topic for topic in wanted if topic in have))


def _subscribe(admin: Admin, url: str, topic: str) -> bool:
    """False when it is there already, or needs a scope that the app may lack."""
    try:
        admin.change(
            "webhookSubscriptionCreate",
            operations.SUBSCRIBE,
            topic=topic,
            input={"uri": url, "format": "JSON"},
        )
    except ChannelDown:
        if topic not in _have(admin, url):
            raise
    except (Misconfigured, Rejected) as fault:
        if topic in IF_ALLOWED:
            return False
        if "already been taken" in fault.detail:
            return False
        raise _worded(fault, url) from None
    return True


def _worded(fault: Fault, url: str) -> Fault:
    """What the merchant can do about an address that Shopify does not take."""
    if isinstance(fault, Rejected) and urlsplit(url).scheme != "https":
        return Misconfigured(
            "needs_https",
            f"Shopify sends to public https addresses only, not to {url.split('/webhooks', maxsplit=1)[0]}",
        )
    return fault


def _have(admin: Admin, url: str) -> frozenset[str]:
    """Topics that are subscribed to at exactly this address; one at an earlier address of the hub is left to
    Shopify, which deletes what fails."""
    found: set[str] = set()
    after: str | None = None
    for _ in range(_MOST_PAGES):
        listed = admin.run(operations.SUBSCRIPTIONS, after=after).node("webhookSubscriptions") or {}
        nodes, info = listed.get("nodes"), listed.get("pageInfo")
        if not isinstance(nodes, list) or not isinstance(info, dict):
            raise bad_answer("webhookSubscriptions")
        found |= {str(node.get("topic")) for node in nodes if node.get("uri") == url}
        if not info.get("hasNextPage"):
            break
        after = info.get("endCursor")
    return frozenset(found)
