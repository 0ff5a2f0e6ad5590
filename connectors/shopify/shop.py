"""Facts about the shop itself: its currency, the scopes the app has, whether the connection is well."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.shopify import operations
from connectors.shopify.client import Admin, Result, bad_answer
from connectors.shopify.vocabulary import NEEDED_SCOPES, USEFUL_SCOPES
from hub.connector import ChannelHandle, Health
from hub.errors import Fault, Rejected


def gid(kind: str, external_id: str) -> str:
    """`gid://shopify/Customer/1` from the digits we keep."""
    if external_id.startswith(f"gid://shopify/{kind}/"):
        return external_id
    if not external_id.isascii() or not external_id.isdigit():
        raise Rejected("bad_id", f"{external_id!r:.40} is no id of a Shopify {kind.lower()}")
    return f"gid://shopify/{kind}/{external_id}"


def shop_currency(channel: ChannelHandle, admin: Admin) -> str:
    """The shop's currency, asked once and kept: Shopify does not let it change after a first sale."""
    state, version = channel.state()
    kept = state.get("currency")
    if isinstance(kept, str):
        return kept
    currency = _text(admin.run(operations.SHOP), "currencyCode")
    channel.save_state({**state, "currency": currency}, version)
    return currency


def check(channel: ChannelHandle) -> Health:
    """One cheap query: does the token work, is it this shop, has the app the scopes it needs."""
    try:
        result = Admin(channel).run(operations.SHOP)
        domain = _text(result, "myshopifyDomain")
        if domain != channel.settings["shop"]:
            return Health(False, "other_shop", f"the access token belongs to {domain}: correct shop")
        missing, useful = _missing_scopes(result, NEEDED_SCOPES), _missing_scopes(result, USEFUL_SCOPES)
        name, currency = _text(result, "name"), _text(result, "currencyCode")
    except Fault as fault:
        return Health(False, fault.code, fault.detail)
    if missing:
        return Health(False, "missing_scopes", f"give the app the scopes {', '.join(missing)}")
    version = result.answer.headers.get("x-shopify-api-version", "")
    pinned = channel.settings["api_version"]
    if version and version != pinned:
        # Shopify serves the oldest supported version, silently, when a pinned one has expired.
        return Health(
            False, "version_expired", f"Shopify answers in version {version}: raise api_version"
        )
    return _well(f"connected to {name}, which sells in {currency}", useful)


def hides_older_orders(channel: ChannelHandle) -> bool:
    """Whether Shopify shows the app the orders of the last 60 days only."""
    return bool(_missing_scopes(Admin(channel).run(operations.SHOP), ("read_all_orders",)))


def _well(detail: str, without: list[str]) -> Health:
    """Connected; what is not seen without a scope that is only useful is said."""
    if not without:
        return Health(True, "ok", detail)
    merges = "read_customer_merge" in without
    told = f"{detail}; without {', '.join(without)}"
    return Health(True, "merged_customers" if merges else "older_orders", told)


def _missing_scopes(result: Result, wanted: Iterable[str]) -> list[str]:
    """A scope to write is one to read, too."""
    installation = result.node("currentAppInstallation") or {}
    scopes = installation.get("accessScopes")
    if not isinstance(scopes, list):
        raise bad_answer("accessScopes")
    has = {scope.get("handle") for scope in scopes if isinstance(scope, dict)}
    return [s for s in wanted if s not in has and s.replace("read_", "write_") not in has]


def _text(result: Result, name: str) -> str:
    found = (result.node("shop") or {}).get(name)
    if not isinstance(found, str):
        raise bad_answer(f"shop.{name}")
    return found
