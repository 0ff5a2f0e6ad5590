"""`/metrics` for Prometheus: figures out of the database, so that every web process tells the same.

Who may read them: whoever knows the token of the settings; without one, machines of private
networks that came straight here. What came through a proxy has a private address of the proxy's,
so it needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from hub import __version__
from hub.outbox import figures
from hub.outbox.figures import Figures
from hub.runtime import Runtime

blueprint = Blueprint("metrics", __name__)

_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""Python's `is_private` has more: whatever is not routed, documentation's examples among it."""
_KIND = "text/plain; version=0.0.4; charset=utf-8"


class _Snapshot(Collector):
    """The figures of one moment as metrics; None: the database does not answer."""

    def __init__(self, found: Figures | None) -> None:
        self.found = found

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("hub_info", "The version that answers.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily(
            "hub_database_up", "Whether the database answers.", value=float(self.found is not None)
        )
        if self.found is not None:
            yield from _metrics(self.found)


def _metrics(found: Figures) -> Iterator[Metric]:
    open_ = GaugeMetricFamily(
        "hub_deliveries_open",
        f"Deliveries that are not at their end; counted up to {figures.COUNTED}.",
        labels=["direction", "state"],
    )
    for labels, n in sorted(found.open.items()):
        open_.add_metric(labels, n)
    oldest = GaugeMetricFamily(
        "hub_deliveries_oldest_due_seconds",
        "How long the oldest delivery that is due has been so; 0 when none is.",
        labels=["direction"],
    )
    for direction, seconds in sorted(found.oldest_due.items()):
        oldest.add_metric([direction], seconds)
    channels = GaugeMetricFamily(
        "hub_channels", "Channels by kind and status.", labels=["kind", "status"]
    )
    for labels, n in sorted(found.channels.items()):
        channels.add_metric(labels, n)
    yield from (open_, oldest, channels)
    yield from _connections(found)
    yield GaugeMetricFamily(
        "hub_quarantined", "Messages with a bad signature that are kept.", value=found.quarantined
    )
    for what, number in sorted(found.created.items()):
        yield CounterMetricFamily(
            f"hub_{what}_created",
            f"The last number given to one of the {what}; it has gaps.",
            value=number,
        )


def _connections(found: Figures) -> Iterator[Metric]:
    asked = GaugeMetricFamily(
        "hub_reconcile_age_seconds",
        "Since the active channel that waits longest was asked for what it changed; 0 when none was.",
        labels=["kind"],
    )
    ill = GaugeMetricFamily(
        "hub_connections_ill", "Active channels whose connection is not well.", labels=["kind"]
    )
    for kind, (seconds, number) in sorted(found.asked.items()):
        asked.add_metric([kind], seconds)
        ill.add_metric([kind], number)
    messages = CounterMetricFamily(
        "hub_reconciled_messages",
        "What asking has brought: all that was seen, what was news, and what nothing had told of.",
        labels=["what"],
    )
    for what, number in sorted(found.asked_for.items()):
        messages.add_metric([what], number)
    yield from (asked, ill, messages)


@blueprint.get("/metrics")
def metrics() -> Response:
    """The figures, in Prometheus's text format."""
    runtime: Runtime = current_app.extensions["hub"]
    if not _may_read(runtime):
        return Response(
            "not for you: see metrics_token in config/hub.toml\n", 403, content_type="text/plain"
        )
    try:
        with runtime.sessions() as session:
            found = figures.read(session)
    except SQLAlchemyError:
        found = None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(found))
    return Response(generate_latest(registry), content_type=_KIND)


def _may_read(runtime: Runtime) -> bool:
    token = runtime.settings.metrics_token
    if token:
        kind, _space, given = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
    return not any(name in request.headers for name in _FORWARDED) and _is_private(request.remote_addr)


def _is_private(address: str | None) -> bool:
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in network for network in _PRIVATE)
