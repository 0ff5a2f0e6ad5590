"""The store's webhooks for the hub: made with our secret, found again, switched on again.

- A webhook is found again by its delivery URL and topic; made twice it would send everything twice.
- The secret is always sent: one that WooCommerce makes up is never told (10.5; its documentation says otherwise).
- After the seventh failed delivery in a row WooCommerce sets `status: disabled` and tells nobody. `PUT
  {"status": "active"}` switches it on, but its count of failures stays at six: one more failure disables it again,
  a success sets it to zero. The count itself is nowhere to be read. Changing the delivery URL makes the store send
  its ping, which counts for nothing; so whether deliveries arrive is only known from the next one.
- A store sends one webhook after another, for thirty seconds a minute: while the hub takes a second to answer, 27
  messages a minute arrive; the hub answers in milliseconds, once the message is on disk.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from connectors.woocommerce.client import Store
from hub.connector import Health, Installed
from hub.errors import ChannelDown

TOPICS: tuple[str, ...] = (
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
"""What the normaliser reads. https://woocommerce.github.io/woocommerce-rest-api-docs/#webhook-properties"""
ESSENTIAL = "order.updated"
_PAGE, _MOST_PAGES = 100, 20

Hook = dict[str, Any]


def install(store: Store, url: str, secret: str) -> Installed:
    """One webhook for each topic at `url`. Those there already keep their id; one that WooCommerce disabled
    is switched on with our secret, one that leads to an earlier address of ours is moved. `paused` is a
    person's word and stays."""
    ours = _ours(store, url)
    made: list[str] = []
    mended: list[str] = []
    kept: list[str] = []
    for topic in TOPICS:
        hooks = sorted((h for h in ours if h.get("topic") == topic), key=lambda h: int(h["id"]))
        if not hooks:
            _make(store, topic, url, secret)
            made.append(topic)
            continue
        is_ill = hooks[0].get("status") == "disabled" or hooks[0].get("delivery_url") != url
        (mended if is_ill else kept).append(topic)
        if is_ill:
            change = {"status": "active", "delivery_url": url, "secret": secret}
            store.put(f"webhooks/{hooks[0]['id']}", change)
        for double in hooks[1:]:
            store.delete(f"webhooks/{double['id']}")
    return Installed(tuple(made), tuple(mended), tuple(kept))


def renew_secret(store: Store, url: str, secret: str) -> int:
    """Give all webhooks of the hub this secret; a change of the secret alone sends no ping."""
    ours = _ours(store, url)
    for hook in ours:
        store.put(f"webhooks/{hook['id']}", {"secret": secret})
    return len(ours)


def state(store: Store, url: str) -> Health:
    """Whether the store still sends what matters."""
    ours = _ours(store, url)
    off = sorted({str(h.get("topic")) for h in ours if h.get("status") != "active"})
    if off:
        return Health(
            False,
            "webhook_off",
            f"WooCommerce switched off the webhook for {', '.join(off)[:120]};"
            " set it to Active in WooCommerce > Settings > Advanced > Webhooks",
        )
    if not any(h.get("topic") == ESSENTIAL for h in ours):
        return Health(False, "no_webhook", f"the store has no {ESSENTIAL} webhook for the hub's address")
    return Health(True, "ok", f"the store answers, and {len(ours)} webhooks are active")


def _make(store: Store, topic: str, url: str, secret: str) -> None:
    """An answer that was lost may have made it: then it is there, and nothing more is made."""
    wish = {
        "name": f"Loyalty hub: {topic}",
        "topic": topic,
        "delivery_url": url,
        "secret": secret,
        "status": "active",
    }
    try:
        store.post("webhooks", wish)
    except ChannelDown:
        if not any(h.get("topic") == topic for h in _ours(store, url)):
            raise


def _ours(store: Store, url: str) -> list[Hook]:
    """The webhooks that lead to this channel, whatever host the hub had when they were made."""
    found: list[Hook] = []
    for page in range(1, _MOST_PAGES + 1):
        listed = store.get_list("webhooks", per_page=str(_PAGE), page=str(page))
        found += [hook for hook in listed if _leads_to(str(hook.get("delivery_url")), url)]
        if len(listed) < _PAGE:
            break
    return found


def _leads_to(delivery_url: str, url: str) -> bool:
    """The path holds the channel's own token, so that no other hub and no other channel is meant."""
    try:
        return urlsplit(delivery_url).path.rstrip("/") == urlsplit(url).path.rstrip("/")
    except ValueError:
        return False
