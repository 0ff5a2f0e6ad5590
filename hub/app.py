"""The web application: webhooks, the API and the dashboard on one Flask app."""

from __future__ import annotations

from flask import Flask

from hub.runtime import Runtime
from hub.settings import Settings, load
from hub.sync.doorbell import Doorbell
from hub.sync.receive import Reception
from hub.web import api, dashboard, docs, health, problems
from hub.web.proxies import TrustedProxies
from hub.web.webhooks import WebhookDoor


def create_app(settings: Settings | None = None, runtime: Runtime | None = None) -> Flask:
    """The WSGI application of one web process."""
    settings = settings or load()
    runtime = runtime or Runtime.start(settings, "web")
    app = Flask("hub", static_folder=None, template_folder="web/templates")
    app.config["MAX_CONTENT_LENGTH"] = None  # each view reads its own bounded body
    app.extensions["hub"] = runtime
    app.register_blueprint(health.blueprint)
    app.register_blueprint(docs.blueprint)
    api.install(app)
    problems.install(app)  # after the API: flask-smorest brings a handler of its own
    dashboard.install(app, runtime)
    reception = Reception(runtime, Doorbell(settings.redis_url))
    door = WebhookDoor(app.wsgi_app, reception, settings)
    app.wsgi_app = TrustedProxies(door, settings.trusted_proxies)  # type: ignore[method-assign]
    return app
