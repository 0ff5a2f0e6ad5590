"""No log line holds a secret or anything about a person, whatever happened."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import structlog

from hub import log
from hub.sync import health
from hub.users import passwords, store
from tests import signed
from tests.desks import _TOKEN
from tests.hubs import Hub, running_hub

EMAIL, PASSWORD, PHONE, NAME = (
    "linh@example.com",
    "eight small brown tables",
    "0912345678",
    "Trần Thị Mai",
)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, at the most talkative level."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure("debug", "json", process="test", stream=stream)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # the tests' own server, not granian
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("werkzeug").setLevel(logging.NOTSET)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def hub(lines: io.StringIO, database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


def log_in(hub: Hub, browser: requests.Session, password: str) -> requests.Response:
    found = _TOKEN.search(browser.get(hub.url + "/login", timeout=10).text)
    assert found is not None
    form = {"email": EMAIL, "password": password, "csrf_token": found[1]}
    return browser.post(hub.url + "/login", data=form, timeout=10)


def let_in(hub: Hub) -> None:
    """An owner who may log in."""
    with hub.runtime.sessions.begin() as session:
        user = store.add(
            session, email=EMAIL, name=NAME, password_hash=passwords.hashed(PASSWORD), locale="vi", actor="test"
        )  # fmt: skip
        store.give_role(session, user, hub.program.id, "owner", actor="test")


def test_a_day_of_trouble_leaves_nothing_personal_in_the_log(
    hub: Hub, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(hub)
    till = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    body = signed.till_sale(1, PHONE, customer={"phone": PHONE, "name": NAME, "email": EMAIL})
    for sent, key in (
        (body, "1"),
        (b'{"type": "hub.sale/1", "customer": {"phone": "0912345678"', "2"),
        (body, "1"),
    ):
        headers = signed.headers("generic_pos", sent, key)
        assert requests.post(hub.webhook(till), data=sent, headers=headers, timeout=10).ok
    forged = {**signed.headers("generic_pos", body, "3"), "webhook-signature": "v1,AAAA"}
    assert requests.post(hub.webhook(till), data=body, headers=forged, timeout=10).status_code == 401
    hub.work()
    browser = requests.Session()
    assert log_in(hub, browser, "wrong wrong wrong").status_code == 401
    assert log_in(hub, browser, PASSWORD).status_code == 200

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("something went wrong inside")

    monkeypatch.setattr(health, "of_program", breaks)
    broken = browser.get(f"{hub.url}/p/corner/?q={PHONE}", timeout=10)
    assert broken.status_code == 500
    written = lines.getvalue()
    events = [json.loads(line) for line in written.splitlines()]
    assert any("something went wrong inside" in json.dumps(e) for e in events), (
        "or nothing was heard at all"
    )
    assert any(e["event"] == "login refused" for e in events)
    request_id = broken.headers["X-Request-Id"]
    assert request_id in broken.text
    assert any(e.get("request_id") == request_id and "exception" in e for e in events)
    token = browser.cookies["hub_session"]
    for secret in (
        EMAIL,
        PASSWORD,
        "wrong wrong",
        PHONE,
        "912345678",
        NAME,
        signed.SECRET,
        till.token,
        token,
    ):
        assert secret not in written, secret
