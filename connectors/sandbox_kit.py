"""What every sandbox shares: signed webhooks on their way out, faults switched over HTTP, a server.

A sandbox is a stand-in for a platform: a small HTTP server that behaves like it (each `sandbox.py`
says what was written down first). It never imports the hub. Tests, benchmarks and the demo steer
all of them through the same control routes, in words no platform uses:

    GET  /_sandbox/settings             {"kind", "settings"}: what a merchant would paste into the hub
    POST /_sandbox/connect              {"webhook_url"}: the platform now sends its webhooks there
    POST /_sandbox/sales                a sale: {"customer": {"name", "phone", "email", "external_id"?},
                                        "lines": [{"sku", "name", "quantity", "price", "category"?,
                                        "kind"?}], "currency"?, "codes"?, "state"?, "shipping"?,
                                        "fields"?}
                                        -> {"external_id", "number", "total"}; prices are decimal strings
    GET  /_sandbox/sales/<id>           the sale as the platform's API would show it
    POST /_sandbox/sales/<id>/<verb>    pay, fulfil, cancel, trash, restore, delete, edit {"lines"},
                                        refund {"amount"?, "lines"?: [{"sku", "quantity"}], "pending"?},
                                        settle_refund / delete_refund {"refund"}, claim {"customer"}
    GET  /_sandbox/codes                [{"code", "active", "used", "external_id", ...}]
    GET  /_sandbox/balances             {customer id or email or phone: points} as pushed by the hub
    GET  /_sandbox/outbox               every webhook: {"n", "topic", "status": null | int, "held"}
    POST /_sandbox/hold                 webhooks are kept back from now on
    POST /_sandbox/release              {"order": "recorded" | "reversed" | [n, ...]}: send them, and
                                        stop holding
    POST /_sandbox/resend               {"n": [..] | "last", "times": 1}: the very same bytes again
    POST /_sandbox/faults               {"fault": name, "times": count or null, ...options}
    DELETE /_sandbox/faults             all faults off
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from flask import Flask, Response, abort, jsonify, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

SEND_SECONDS = 10


class Numbers:
    """`next` gives start, start + step, and so on; unlike itertools' it can be kept in a file."""

    def __init__(self, start: int = 1, step: int = 1) -> None:
        self._next, self._step = start, step

    def __next__(self) -> int:
        number = self._next
        self._next += self._step
        return number


@dataclass(slots=True)
class Outgoing:
    """One webhook: recorded when the platform decides to send it."""

    n: int
    topic: str
    url: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None
    held: bool = False


@dataclass(slots=True)
class Fault:
    """A fault that is switched on, for the next `times` uses (None: until switched off)."""

    name: str
    times: int | None
    options: dict[str, Any] = field(default_factory=dict)


class Sandbox:
    """Base of the platforms' stand-ins. Subclasses add the platform's routes to `self.app`, call
    `self.emit` for each webhook, and implement the verbs they support as `verb_<name>` methods
    taking the sale's id and the request's JSON."""

    kind: str
    fault_names: frozenset[str] = frozenset()
    forgets: frozenset[str] = frozenset({"address"})
    """What it does not remember: attributes that every process makes anew."""
    address: str = ""
    """Where this sandbox listens; set by the server before the first request."""

    def __init__(self) -> None:
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The platform's clock; it also dates every answer."""
        self.app = Flask(f"sandbox.{self.kind}")
        self.lock = threading.RLock()
        self.outbox: list[Outgoing] = []
        self.holding = False
        self._faults: dict[str, Fault] = {}
        self._numbers = Numbers()
        self._control()

    # --- for subclasses ---

    def settings(self) -> dict[str, Any]:
        """What the merchant pastes into the hub to connect this shop."""
        raise NotImplementedError

    def connect(self, webhook_url: str) -> None:
        """Send webhooks there from now on."""
        raise NotImplementedError

    def place_sale(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Make a sale and send what the platform sends for it."""
        raise NotImplementedError

    def show_sale(self, external_id: str) -> dict[str, Any] | None:
        """The sale as the platform's API shows it."""
        raise NotImplementedError

    def codes(self) -> list[dict[str, Any]]:
        """All discount codes."""
        raise NotImplementedError

    def balances(self) -> dict[str, int]:
        """Balances that the hub has shown in this shop."""
        raise NotImplementedError

    def fault(self, name: str) -> Fault | None:
        """Use up one occurrence of a fault that is switched on."""
        with self.lock:
            fault = self._faults.get(name)
            if fault is None:
                return None
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self._faults[name]
            return fault

    def emit(self, topic: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Record one webhook, and send it unless webhooks are held back."""
        with self.lock:
            outgoing = Outgoing(next(self._numbers), topic, url, dict(headers), body, held=self.holding)
            self.outbox.append(outgoing)
        if not outgoing.held:
            self.send(outgoing)

    def send(self, outgoing: Outgoing) -> None:
        """Send one webhook; subclasses add the platform's habits (disabling, retries)."""
        try:
            answer = requests.post(
                outgoing.url,
                data=outgoing.body,
                headers=outgoing.headers,
                timeout=SEND_SECONDS,
                allow_redirects=False,
            )
            outgoing.status = answer.status_code
        except requests.RequestException:
            outgoing.status = 0
        outgoing.held = False

    # --- control routes ---

    def _control(self) -> None:
        rule: Callable[..., Any] = self.app.add_url_rule
        rule("/_sandbox/settings", view_func=self._get_settings)
        rule("/_sandbox/connect", view_func=self._post_connect, methods=["POST"])
        rule("/_sandbox/sales", view_func=self._post_sale, methods=["POST"])
        rule("/_sandbox/sales/<path:external_id>", view_func=self._get_sale)
        rule("/_sandbox/sales/<external_id>/<verb>", view_func=self._post_verb, methods=["POST"])
        rule("/_sandbox/codes", view_func=lambda: jsonify(self.codes()), endpoint="codes")
        rule("/_sandbox/balances", view_func=lambda: jsonify(self.balances()), endpoint="balances")
        rule("/_sandbox/outbox", view_func=self._get_outbox)
        rule("/_sandbox/hold", view_func=self._post_hold, methods=["POST"])
        rule("/_sandbox/release", view_func=self._post_release, methods=["POST"])
        rule("/_sandbox/resend", view_func=self._post_resend, methods=["POST"])
        rule("/_sandbox/faults", view_func=self._post_fault, methods=["POST"])
        rule("/_sandbox/faults", view_func=self._delete_faults, methods=["DELETE"])

    def _get_settings(self) -> Response:
        return jsonify({"kind": self.kind, "settings": self.settings()})

    def _post_connect(self) -> Response:
        self.connect(_wish()["webhook_url"])
        return jsonify({})

    def _post_sale(self) -> Response:
        return jsonify(self.place_sale(_wish()))

    def _get_sale(self, external_id: str) -> Response:
        shown = self.show_sale(external_id)
        if shown is None:
            abort(404)
        return jsonify(shown)

    def _post_verb(self, external_id: str, verb: str) -> Response:
        act = getattr(self, f"verb_{verb}", None)
        if act is None:
            abort(400, f"this platform has no {verb}")
        return jsonify(act(external_id, _wish()) or {})

    def _get_outbox(self) -> Response:
        return jsonify(
            [{"n": o.n, "topic": o.topic, "status": o.status, "held": o.held} for o in self.outbox]
        )

    def _post_hold(self) -> Response:
        self.holding = True
        return jsonify({})

    def _post_release(self) -> Response:
        with self.lock:
            self.holding = False
            held = [o for o in self.outbox if o.held]
        for outgoing in self._ordered(held, _wish().get("order", "recorded")):
            self.send(outgoing)
        return jsonify({"sent": len(held)})

    def _post_resend(self) -> Response:
        wish = _wish()
        wanted = wish.get("n", "last")
        chosen = self.outbox[-1:] if wanted == "last" else self._ordered(self.outbox, wanted)
        for _ in range(int(wish.get("times", 1))):
            for outgoing in chosen:
                self.send(outgoing)
        return jsonify({"sent": [o.status for o in chosen]})

    @staticmethod
    def _ordered(outgoing: Iterable[Outgoing], order: str | list[int]) -> list[Outgoing]:
        known = list(outgoing)
        if order == "reversed":
            return known[::-1]
        if isinstance(order, list):
            by_number = {o.n: o for o in known}
            return [by_number[n] for n in order]
        return known

    def _post_fault(self) -> Response:
        wish = _wish()
        name = wish.pop("fault")
        if name not in self.fault_names:
            abort(400, f"no fault {name}; there are {', '.join(sorted(self.fault_names))}")
        with self.lock:
            self._faults[name] = Fault(name, wish.pop("times", 1), wish)
        return jsonify({})

    def _delete_faults(self) -> Response:
        with self.lock:
            self._faults.clear()
        return jsonify({})


def _server(sandbox: Sandbox, port: int) -> BaseWSGIServer:
    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(timestamp or sandbox.now().timestamp())

    return make_server("127.0.0.1", port, sandbox.app, threaded=True, request_handler=Handler)


class Memory:
    """What a sandbox knows, in a file: written after each request that may have changed it, read
    back when it starts again. Written and read by nobody else."""

    def __init__(self, sandbox: Sandbox, file: Path) -> None:
        self.sandbox, self.file = sandbox, file
        made = dict(vars(sandbox))  # what it cannot do without, made anew by every process
        self.fresh = {name for name, value in made.items() if not _keeps(value)} | sandbox.forgets

    def recall(self) -> None:
        """Take up where the last process ended; what cannot be read any more is forgotten."""
        try:
            kept = pickle.loads(self.file.read_bytes())  # noqa: S301 - our own file
        except (FileNotFoundError, pickle.UnpicklingError, AttributeError, ImportError, EOFError):
            return
        vars(self.sandbox).update(kept)

    def keep(self) -> None:
        """Whole or not at all."""
        with self.sandbox.lock:
            known = {n: value for n, value in vars(self.sandbox).items() if n not in self.fresh}
            unfinished = self.file.with_suffix(".part")
            unfinished.write_bytes(pickle.dumps(known))
            os.replace(unfinished, self.file)

    def after(self, answer: Response) -> Response:
        """After each request of the sandbox's application."""
        if request.method != "GET":
            self.keep()
        return answer


def _keeps(value: object) -> bool:
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def serve(sandbox: Sandbox) -> None:
    """Run until killed: `python -m connectors.<kind>.sandbox --port N` (0 picks a free one). The
    first line printed is the address. With `--memory FILE` it goes on where it was ended."""
    parser = argparse.ArgumentParser(prog=f"sandbox of {sandbox.kind}")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--memory", type=Path)
    options = parser.parse_args()
    if options.memory:
        memory = Memory(sandbox, options.memory)
        memory.recall()
        sandbox.app.after_request(memory.after)
    server = _server(sandbox, options.port)
    sandbox.address = f"http://127.0.0.1:{server.server_port}"
    print(sandbox.address, flush=True)
    server.serve_forever()


class Running:
    """A sandbox served from a thread of this process, for tests: `with Running(sandbox) as url`."""

    def __init__(self, sandbox: Sandbox, port: int = 0) -> None:
        self._server = _server(sandbox, port)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        sandbox.address = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)


def drip(body: bytes, seconds: float) -> Iterable[bytes]:
    """Yield a body byte by byte, for the fault `slow_drip`."""
    for index in range(len(body)):
        time.sleep(seconds)
        yield body[index : index + 1]


def hang_up() -> None:
    """Cut the connection of the request at hand: what it did stays done, its answer is lost."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _wish() -> dict[str, Any]:
    wish = request.get_json(force=True, silent=True)
    return wish if isinstance(wish, dict) else {}
