"""A small HTTP server that stands where the hub's webhook entrance would: it keeps what it gets."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from types import TracebackType

from flask import Flask, Response, request
from werkzeug.serving import make_server

from hub.connector import Connector, Inbound


class Receiver:
    """`with Receiver() as hub: ...`; `hub.status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        app = Flask("receiver")
        app.add_url_rule("/", "take", self._take, methods=["POST"])
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def inbox(self, connector: Connector) -> list[Inbound]:
        """What came in, as the connector is given it; pings are left out."""
        messages = [
            Inbound(connector.topic(headers, body), headers, body, datetime.now(UTC))
            for headers, body in self.got
        ]
        return [m for m in messages if m.topic != "ping"]

    def topics(self, connector: Connector) -> list[str]:
        return [m.topic for m in self.inbox(connector)]

    def _take(self) -> Response:
        headers = {name.lower(): value for name, value in request.headers}
        self.got.append((headers, request.get_data()))
        return Response(status=self.status)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()
