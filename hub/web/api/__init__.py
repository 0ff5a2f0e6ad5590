"""API v1: members, rewards, redemptions, vouchers, transactions, for tills and other systems."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api

from hub.web.api import (
    discounts,
    events,
    expiring,
    members,
    redemptions,
    simulation,
    tiers,
    transactions,
)


def install(app: Flask) -> None:
    """Register the API and its OpenAPI document on an application."""
    app.config |= {
        "API_TITLE": "Hub",
        "API_VERSION": "v1",
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/api/v1",
        "OPENAPI_JSON_PATH": "openapi.json",
    }
    api = Api(app)
    api.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    api.spec.options["security"] = [{"key": []}]
    for part in (members, redemptions, transactions, events, expiring, discounts, simulation, tiers):
        api.register_blueprint(part.blueprint)
