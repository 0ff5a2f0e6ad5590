"""API v1: members, rewards, redemptions, vouchers, transactions, for tills and other systems."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api

from hub.web.api import (
    discounts,
    document,
    double_uses,
    events,
    expiring,
    gift_cards,
    lists,
    members,
    notices,
    programme,
    redeeming,
    redemptions,
    simulation,
    staff,
    tiers,
    transactions,
)


def install(app: Flask) -> None:
    """Register the API and its OpenAPI document on an application."""
    app.config |= {
        "API_TITLE": "Hub",
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.1.0",
    }
    api = Api(app)
    api.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    api.spec.options["security"] = [{"key": []}]
    parts = (
        members, redemptions, redeeming, transactions, lists, events, expiring, notices, discounts, simulation,
        tiers, gift_cards, programme, double_uses, staff,
    )  # fmt: skip
    for part in parts:
        api.register_blueprint(part.blueprint)
    app.register_blueprint(document.blueprint)
    app.extensions["hub_openapi"] = document.describe(api)
