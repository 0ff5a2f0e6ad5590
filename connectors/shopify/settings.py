"""What a merchant enters to connect a Shopify shop."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from connectors.shopify.vocabulary import API_VERSION
from connectors.shopify.words import SETTING_WORDS

_SHOP = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_VERSION = r"20[0-9]{2}-(01|04|07|10)"
_SECRET = {"secret": True}
_RARE = {"rare": True}


class _Pasted(fields.String):
    """A text as pasted: blanks and line ends around it are never meant."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).strip()


class _ShopDomain(_Pasted):
    """The permanent `*.myshopify.com` name; an address around it is taken off."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        domain = super()._deserialize(value, attr, data, **kwargs).lower()
        domain = domain.removeprefix("https://").removeprefix("http://").rstrip("/")
        if not _SHOP.fullmatch(domain):
            raise ValidationError(SETTING_WORDS["shop"])
        return domain


class _Base(_Pasted):
    """An address to use instead of the shop's, without a trailing slash; "" for none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        base = super()._deserialize(value, attr, data, **kwargs).rstrip("/")
        try:
            parts = urlsplit(base)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if base and not good:
            raise ValidationError(SETTING_WORDS["api_base"])
        return base


COMBINABLE = ("order", "product", "shipping")
"""Classes of discounts. https://shopify.dev/docs/api/admin-graphql/latest/input-objects/DiscountCombinesWithInput"""


class _Classes(_Pasted):
    """Classes of discounts, in the order above, with commas between them; "" for none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs).lower()
        named = {word for word in re.split(r"[\s,;]+", text) if word}
        if not named <= set(COMBINABLE):
            raise ValidationError(SETTING_WORDS["combines_with"])
        return ", ".join(one for one in COMBINABLE if one in named)


class ShopifySettings(Schema):
    """One shop. The Admin API is reached with a pasted token, or with client id and secret."""

    shop = _ShopDomain(required=True)
    webhook_secret = _Pasted(required=True, validate=validate.Length(min=1), metadata=_SECRET)
    """The app's client secret (API secret key): it signs the webhooks."""
    previous_webhook_secret = _Pasted(load_default="", metadata=_SECRET)
    """For up to an hour after a rotation Shopify may still sign with the old secret."""
    access_token = _Pasted(load_default="", metadata=_SECRET)
    """Of an app made in the shop's admin before 2026."""
    client_id = _Pasted(load_default="")
    client_secret = _Pasted(load_default="", metadata={**_SECRET, "rare": True})
    """Empty: the webhook secret, which is the same value in apps of the Dev Dashboard."""
    login = fields.String(
        load_default="credentials",
        validate=validate.OneOf(["credentials", "code"]),
        metadata={"set_by_hub": True},
    )
    """`code`: the tokens were granted for an authorization code, and are renewed in pairs."""
    api_version = _Pasted(
        load_default=API_VERSION,
        metadata=_RARE,
        validate=validate.Regexp(rf"(?:{_VERSION})\Z", error=SETTING_WORDS["api_version"]),
    )
    combines_with = _Classes(load_default="", metadata=_RARE)
    """Which other discounts our codes may be used beside. Stacking is never a default."""
    api_base = _Base(load_default="", metadata=_RARE)
    """Where a sandbox stands in for the shop."""

    @validates_schema
    def _one_login(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("access_token") and data.get("client_id"):
            raise ValidationError(SETTING_WORDS["access_token"], "access_token")
        if data.get("client_secret") and not data.get("client_id"):
            raise ValidationError(SETTING_WORDS["client_id"], "client_id")
