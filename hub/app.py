"""The web application: webhooks, the API and the dashboard on one Flask app."""

from __future__ import annotations

from functools import partial

from flask import Flask, Response, g, request

from hub import log
from hub.runtime import Runtime
from hub.settings import Settings, load
from hub.sync.doorbell import Doorbell
from hub.sync.receive import Reception
from hub.web import api, callbacks, dashboard, docs, health, metrics, pacing, problems
from hub.web.dashboard import cookies
from hub.web.proxies import TrustedProxies
from hub.web.webhooks import WebhookDoor


def create_app(settings: Settings | None = None, runtime: Runtime | None = None) -> Flask:
    """The WSGI application of one web process."""
    settings = settings or load()
    app = routes()
    attach(app, settings, runtime or Runtime.start(settings, "web"))
    return app


def routes() -> Flask:
    """An application that knows every address and has nothing to answer with; `attach` follows."""
    app = Flask("hub", static_folder=None, template_folder="web/templates")
    app.config["MAX_CONTENT_LENGTH"] = None  # each view reads its own bounded body
    app.before_request(_begin)
    app.after_request(_end)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(callbacks.blueprint)
    api.install(app)
    pacing.install(app)
    problems.install(app)  # after the API: flask-smorest brings a handler of its own
    dashboard.install(app)
    return app


def attach(app: Flask, settings: Settings, runtime: Runtime) -> None:
    """Give an application its means, in place of those that it had."""
    app.extensions["hub"] = runtime
    pacing.limit(app, settings.api_rate)
    cookies.sign(app, runtime)
    reception = Reception(runtime, Doorbell(settings.redis_url))
    door = WebhookDoor(partial(Flask.wsgi_app, app), reception, settings)
    app.wsgi_app = TrustedProxies(door, settings.trusted_proxies)  # type: ignore[method-assign]


def _begin() -> None:
    """All lines that this request logs carry its id."""
    g.request_id = log.begin_request(request.headers.get("X-Request-Id"))


def _end(answer: Response) -> Response:
    """Who reports trouble can name the request."""
    answer.headers["X-Request-Id"] = g.get("request_id", "")
    return answer
