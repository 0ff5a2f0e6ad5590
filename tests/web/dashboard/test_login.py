"""Login without a browser: cookies, refusals, and what is written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from hub.runtime import Runtime
from hub.settings import Settings
from hub.users import passwords, store
from hub.users.store import User
from tests.apps import an_app
from tests.desks import _TOKEN, Office

EMAIL, PASSWORD = "linh@example.com", "eight small brown tables"


@pytest.fixture(scope="module")
def hashed() -> str:
    return passwords.hashed(PASSWORD)


@pytest.fixture
def linh(office: Office, hashed: str) -> User:
    with office.runtime.sessions.begin() as session:
        user = store.add(
            session, email=EMAIL, name="Linh", password_hash=hashed, locale="vi", actor="test"
        )
        store.give_role(session, user, office.ours.id, "owner", actor="test")
    return user


@pytest.fixture
def client(office: Office) -> FlaskClient:
    return office.app.test_client()


def post(client: FlaskClient, path: str, **data: str) -> TestResponse:
    page = client.get("/login" if path != "/password" else path)
    found = _TOKEN.search(page.text)
    token = found[1] if found else _token(client)
    return client.post(path, data={**data, "csrf_token": token})


def _token(client: FlaskClient) -> str:
    found = _TOKEN.search(client.get("/password").text)
    assert found is not None
    return found[1]


def log_in(
    client: FlaskClient, email: str = EMAIL, password: str = PASSWORD, **more: str
) -> TestResponse:
    return post(client, "/login", email=email, password=password, **more)


def test_the_right_password_opens_the_door(client: FlaskClient, linh: User) -> None:
    answer = log_in(client, " Linh@Example.com ")
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/").location == "/p/ours/"
    assert 'lang="vi"' in client.get("/p/ours/").text, "the language of the user"


def test_wrong_unknown_and_disabled_are_told_the_same(
    client: FlaskClient, office: Office, linh: User
) -> None:
    wrong = log_in(client, password="not this one")
    unknown = log_in(client, "nobody@example.com")
    with office.runtime.sessions.begin() as session:
        store.set_able(session, linh, able=False, actor="test")
    disabled = log_in(client)
    assert {a.status_code for a in (wrong, unknown, disabled)} == {401}
    assert all("E-mail address or password is wrong." in a.text for a in (wrong, unknown, disabled))
    assert client.get("/p/ours/").status_code == 303


def test_guessing_is_stopped_for_accounts_that_exist_and_for_others_alike(
    client: FlaskClient, linh: User
) -> None:
    for email in (EMAIL, "nobody@example.com"):
        statuses = [log_in(client, email, "wrong wrong wrong").status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429], email
    assert log_in(client).status_code == 429, "the right password waits too"


def test_the_session_is_new_at_login_and_gone_after_logout(client: FlaskClient, linh: User) -> None:
    client.get("/login")
    with client.session_transaction() as before:
        before["planted"] = "by somebody else"
    log_in(client)
    with client.session_transaction() as after:
        token = after["_user_id"]
        assert "planted" not in after
    assert post(client, "/logout").status_code == 303
    with client.session_transaction() as stolen:
        stolen["_user_id"] = token
    assert client.get("/p/ours/").status_code == 303, "the row is revoked, whatever the cookie says"


def test_a_changed_password_ends_the_others_and_keeps_this_one(
    client: FlaskClient, office: Office, linh: User
) -> None:
    other = office.app.test_client()
    log_in(other)
    log_in(client)
    answer = post(client, "/password", old=PASSWORD, new="nine small brown tables")
    assert answer.status_code == 303
    assert client.get("/p/ours/").status_code == 200
    assert other.get("/p/ours/").status_code == 303
    assert log_in(other).status_code == 401
    assert log_in(other, password="nine small brown tables").status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("not this one", "nine small brown tables", "mật khẩu hiện tại"),
        (PASSWORD, "short", "10 đến 200"),
    ],
)
def test_a_password_is_not_changed_by_a_stranger_nor_to_a_weak_one(
    client: FlaskClient, linh: User, old: str, new: str, said: str
) -> None:
    log_in(client)
    answer = post(client, "/password", old=old, new=new)
    assert answer.status_code == 422
    assert said in answer.text
    assert log_in(client.application.test_client()).status_code == 303


@pytest.mark.parametrize(
    ("back", "there"),
    [
        ("/p/ours/?state=failed", "/p/ours/?state=failed"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example/", "/"),
        ("/\t/elsewhere.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_the_way_back_is_one_of_ours(client: FlaskClient, linh: User, back: str, there: str) -> None:
    assert log_in(client, back=back).location == there


@pytest.mark.parametrize(
    ("public_url", "scheme", "secure"),
    [
        ("", "http", False),
        ("", "https", True),
        ("https://points.example.com", "http", True),
    ],
)
def test_the_cookie_is_kept_from_scripts_and_strangers(
    database: str, redis_url: str, tmp_path: Path, public_url: str, scheme: str, secure: bool
) -> None:
    settings = Settings(
        data=tmp_path, database_url=database, redis_url=redis_url, public_url=public_url,
        trusted_proxies=("127.0.0.1",),
    )  # fmt: skip
    runtime = Runtime.start(settings)
    client = an_app(runtime).test_client()
    answer = client.get("/login", headers={"X-Forwarded-Proto": scheme, "X-Forwarded-For": "192.0.2.1"})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("hub_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert ("Secure" in cookie) == secure
    assert ("Strict-Transport-Security" in answer.headers) == (scheme == "https")
    runtime.engine.dispose()


def test_pages_are_kept_by_nobody_and_framed_by_nobody(client: FlaskClient) -> None:
    first, second = client.get("/login"), client.get("/login")
    policy = first.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert policy != second.headers["Content-Security-Policy"], "a nonce is used once"
    assert first.headers["Cache-Control"] == "no-store"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["Referrer-Policy"] == "same-origin"


def test_every_process_reads_the_cookies_of_the_others(office: Office, linh: User) -> None:
    client = office.app.test_client()
    log_in(client)
    other = an_app(replace(office.runtime)).test_client()
    cookie = client.get_cookie("hub_session")
    assert cookie is not None
    other.set_cookie("hub_session", cookie.value)
    assert other.get("/p/ours/").status_code == 200


def test_login_is_written_down_and_no_log_names_who_failed(
    office: Office, client: FlaskClient, linh: User
) -> None:
    with capture_logs() as events:
        log_in(client, password="a secret that is wrong")
        log_in(client)
    assert [event["event"] for event in events] == ["login refused"]
    assert "linh" not in str(events).lower()
    assert "a secret that is wrong" not in str(events)
    with office.runtime.sessions() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT actor, action FROM audit WHERE action = 'user.logged_in'"
        )
        assert [(row.actor, row.action) for row in rows] == [(linh.actor, "user.logged_in")]


@pytest.fixture
def away(tmp_path: Path) -> Iterator[FlaskClient]:
    """A hub whose database does not answer."""
    url = "postgresql://nobody@127.0.0.1:9/none"
    settings = Settings(data=tmp_path, database_url=url, redis_url="redis://127.0.0.1:9/0")
    runtime = Runtime.start(settings, "web")
    yield an_app(runtime).test_client()
    runtime.engine.dispose()


def test_a_database_that_is_away_is_a_page_that_says_so(away: FlaskClient) -> None:
    answer = post(away, "/login", email=EMAIL, password=PASSWORD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "The database did not answer in time." in answer.text
    with away.session_transaction() as cookie:
        cookie["_user_id"] = "somebody"
    answer = away.get("/p/ours/")
    assert answer.status_code == 503
    assert "The database did not answer in time." in answer.text
