"""WooCommerce's own way to hand out an API key: the merchant says yes, and the store calls the hub.

https://woocommerce.github.io/woocommerce-rest-api-docs/#rest-api-keys
The store posts the key to `callback_url` before it sends the browser back, over https with a certificate
it trusts, and deletes the key again unless the answer is exactly 200. The callback is not signed:
`user_id` carries the state that proves it, and the key is proven by a call to the store that the
handshake began with.
"""

from __future__ import annotations

import re
from secrets import token_hex
from typing import Any
from urllib.parse import urlencode

from connectors.woocommerce.client import Store
from hub.connector import Brought, Granted, Handshake
from hub.errors import BadPayload, Misconfigured
from hub.http import Http
from hub.payload import parse_object

_KEY, _SECRET = re.compile(r"ck_[A-Za-z0-9_]{1,100}"), re.compile(r"cs_[A-Za-z0-9_]{1,100}")


def address(handshake: Handshake) -> str:
    """The store's page that asks the merchant; all five parameters are required there."""
    query = {
        "app_name": handshake.app_name,
        "scope": "read_write",
        "user_id": handshake.state,
        "return_url": handshake.return_url,
        "callback_url": handshake.callback_url,
    }
    return f"{handshake.settings['store_url']}/wc-auth/v1/authorize?{urlencode(query)}"


def state_in(brought: Brought) -> str:
    """`user_id`, of the callback's JSON or of the browser's return."""
    given = _content(brought).get("user_id") if brought.body else dict(brought.query).get("user_id")
    return given if isinstance(given, str) else ""


def says_no(brought: Brought) -> bool:
    """The browser came back with `success=0`."""
    return dict(brought.query).get("success") == "0"


def prove(handshake: Handshake, brought: Brought, http: Http) -> Granted:
    """The key in a callback, once the store that was asked has let it in. Raises `Misconfigured`, and
    what the store's answer means."""
    content = _content(brought)
    key, secret = content.get("consumer_key"), content.get("consumer_secret")
    well_formed = isinstance(key, str) and _KEY.fullmatch(key)
    if not well_formed or not isinstance(secret, str) or not _SECRET.fullmatch(secret):
        raise Misconfigured("bad_callback", "the store's answer holds no API key: connect it again")
    if content.get("key_permissions") != "read_write":
        raise Misconfigured("key_read_only", "the store gave a key that may not write: connect it again")
    store = Store(http, handshake.settings["store_url"], str(key), secret, brought.at)
    store.get_list("webhooks", per_page="1")
    keys = {"consumer_key": key, "consumer_secret": secret}
    return Granted({**keys, "webhook_secret": token_hex(20)}, {})


def _content(brought: Brought) -> dict[str, Any]:
    try:
        return parse_object(brought.body)
    except BadPayload:
        return {}
