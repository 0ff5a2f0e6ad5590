"""Which connectors there are: a table of dotted paths. More by a line in hub.toml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from hub.connector import Connector

CONNECTORS: Mapping[str, str] = {
    "shopify": "connectors.shopify.connector.ShopifyConnector",
    "woocommerce": "connectors.woocommerce.connector.WooCommerceConnector",
    "generic_pos": "connectors.generic_pos.connector.GenericPosConnector",
}

SANDBOXES: Mapping[str, str] = {
    "shopify": "connectors.shopify.sandbox",
    "woocommerce": "connectors.woocommerce.sandbox",
    "generic_pos": "connectors.generic_pos.sandbox",
}
"""Kind -> module that runs a stand-in for the platform (`python -m <module> --port N`)."""


class UnknownConnector(LookupError):
    """There is no connector of that kind; the message names those there are."""


def connector_class(kind: str, extra: Mapping[str, str] | None = None) -> type[Connector]:
    """The class of one kind. Raises `UnknownConnector`, also when its module cannot be imported."""
    known = {**CONNECTORS, **(extra or {})}
    if kind not in known:
        raise UnknownConnector(f"there is no connector {kind!r:.50}; known: {', '.join(sorted(known))}")
    return _load(known[kind])


@cache
def _load(path: str) -> type[Connector]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownConnector(f"the connector {path} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise UnknownConnector(f"{path} is no hub.connector.Connector")
    return found
