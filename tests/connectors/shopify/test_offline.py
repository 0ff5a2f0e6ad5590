"""Expiring tokens: renewed ahead of their end, on a 401, by one worker, and never lost with an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
import responses

from connectors.sandbox_kit import Running
from connectors.shopify.client import Admin
from connectors.shopify.connector import ShopifyConnector
from connectors.shopify.sandbox import ShopifySandbox
from connectors.shopify.tokens import access_token
from hub.connector import Brought, Handshake, JSONObject, Lease
from hub.errors import ChannelDown, Fault, Misconfigured
from hub.http import Http
from tests.connectors.channel import NOON, Channel

SHOP = "example.myshopify.com"
TOKEN = f"https://{SHOP}/admin/oauth/access_token"
SETTINGS = {
    "shop": SHOP, "client_id": "client-1", "webhook_secret": "hush", "login": "code",
    "api_version": "2026-10", "access_token": "", "client_secret": "", "api_base": "",
}  # fmt: skip


def pair(n: int, ends: datetime) -> JSONObject:
    later = (NOON + timedelta(days=90)).isoformat()
    return {
        "access": f"shpat_{n}", "expires_at": ends.isoformat(), "refresh": f"shprt_{n}",
        "refresh_expires_at": later,
    }  # fmt: skip


def answer(n: int) -> dict[str, Any]:
    return {"access_token": f"shpat_{n}", "expires_in": 3600, "refresh_token": f"shprt_{n}"}


def body_of(call: responses.Call) -> str:
    body = call.request.body
    assert isinstance(body, bytes)
    return body.decode()


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def channel() -> Channel:
    """One whose access token ends in half an hour."""
    memory = {"currency": "USD", "offline": pair(1, NOON + timedelta(minutes=30))}
    return Channel(dict(SETTINGS), Http(allow_private=[SHOP]), memory=memory)


def refused(channel: Channel, token: str | None = None) -> Fault:
    with pytest.raises(Fault) as fault:
        access_token(channel, token)
    return fault.value


def sent(api: responses.RequestsMock) -> list[str]:
    return [dict(parse_qsl(body_of(c)))["refresh_token"] for c in api.calls]


def test_a_token_that_lasts_is_used_as_it_is(api: responses.RequestsMock, channel: Channel) -> None:
    assert access_token(channel) == "shpat_1"
    assert len(api.calls) == 0


@pytest.mark.parametrize(("minutes", "renewed"), [(6, False), (5, True), (0, True), (-90, True)])
def test_it_is_renewed_five_minutes_before_its_end(
    api: responses.RequestsMock, channel: Channel, minutes: int, renewed: bool
) -> None:
    channel.memory["offline"] = pair(1, NOON + timedelta(minutes=minutes))
    api.post(TOKEN, json=answer(2))
    assert access_token(channel) == ("shpat_2" if renewed else "shpat_1")
    assert channel.memory["offline"]["refresh"] == ("shprt_2" if renewed else "shprt_1")
    assert channel.memory["currency"] == "USD", "the rest of the memory stays"


def test_a_token_that_shopify_refused_is_renewed_at_once(
    api: responses.RequestsMock, channel: Channel
) -> None:
    api.post(TOKEN, json=answer(2))
    assert access_token(channel, refused="shpat_1") == "shpat_2"
    assert sent(api) == ["shprt_1"]


def test_both_tokens_rotate(api: responses.RequestsMock, channel: Channel) -> None:
    api.post(TOKEN, json=answer(2))
    api.post(TOKEN, json=answer(3))
    access_token(channel, refused="shpat_1")
    assert access_token(channel, refused="shpat_2") == "shpat_3"
    assert sent(api) == ["shprt_1", "shprt_2"]


@pytest.mark.parametrize("lost", [requests.ConnectionError(), requests.ReadTimeout()])
def test_a_lost_answer_is_asked_for_again_with_the_old_token(
    api: responses.RequestsMock, channel: Channel, lost: Exception
) -> None:
    api.post(TOKEN, body=lost)
    api.post(TOKEN, json=answer(2))
    assert access_token(channel, refused="shpat_1") == "shpat_2"
    assert sent(api) == ["shprt_1", "shprt_1"]


def test_when_both_answers_are_lost_the_old_pair_stands_and_goes_again(
    api: responses.RequestsMock, channel: Channel
) -> None:
    for _ in range(2):
        api.post(TOKEN, body=requests.ConnectionError())
    api.post(TOKEN, json=answer(2))
    assert isinstance(refused(channel, "shpat_1"), ChannelDown)
    assert channel.memory["offline"]["refresh"] == "shprt_1"
    assert access_token(channel, refused="shpat_1") == "shpat_2"


class Contended(Channel):
    """Somebody else saves first, each time."""

    def save_state(self, value: JSONObject, version: int) -> bool:
        return False


def test_a_pair_that_cannot_be_stored_is_not_used(api: responses.RequestsMock, channel: Channel) -> None:
    """Used, it would end the old refresh token, and nobody would know the new one."""
    contended = Contended(channel.settings, channel.http, memory=channel.memory)
    api.post(TOKEN, json=answer(2))
    fault = refused(contended, "shpat_1")
    assert (type(fault), fault.code) == (ChannelDown, "token_not_kept")


class Overtaken(Channel):
    """The lease runs out while Shopify answers, and another worker stores its pair."""

    def save_state(self, value: JSONObject, version: int) -> bool:
        if self.memory["offline"]["refresh"] == "shprt_1":
            self.memory["offline"] = pair(9, NOON + timedelta(hours=1))
            return False
        return super().save_state(value, version)


def test_the_pair_of_a_faster_worker_is_not_overwritten(
    api: responses.RequestsMock, channel: Channel
) -> None:
    overtaken = Overtaken(channel.settings, channel.http, memory=channel.memory)
    api.post(TOKEN, json=answer(2))
    assert access_token(overtaken, refused="shpat_1") == "shpat_9"
    assert overtaken.memory["offline"]["refresh"] == "shprt_9"


class Busy(Channel):
    """Another worker holds every lease."""

    def once(self, name: str, seconds: float) -> AbstractContextManager[Lease | None]:
        return _taken()


@contextmanager
def _taken() -> Iterator[Lease | None]:
    yield None


def test_one_worker_renews_and_the_others_come_back(
    api: responses.RequestsMock, channel: Channel
) -> None:
    busy = Busy(channel.settings, channel.http, memory=channel.memory)
    fault = refused(busy, "shpat_1")
    assert (type(fault), fault.code) == (ChannelDown, "token_under_way")
    assert isinstance(fault, ChannelDown)
    assert fault.retry_at == NOON + timedelta(seconds=2)
    assert access_token(busy) == "shpat_1", "what lasts still serves meanwhile"
    assert len(api.calls) == 0


@pytest.mark.parametrize(
    ("status", "body", "fault", "code"),
    [
        (400, {"error": "invalid_grant"}, Misconfigured, "refresh_refused"),
        (401, {}, Misconfigured, "refresh_refused"),
        (403, {}, Misconfigured, "refresh_refused"),
        (200, {"access_token": "shpat_2"}, ChannelDown, "bad_answer"),
        (500, {}, ChannelDown, "http_500"),
        (503, {}, ChannelDown, "http_503"),
        (429, {}, ChannelDown, "http_429"),
    ],
)
def test_each_refusal_to_renew_has_its_owner_and_keeps_the_pair(
    api: responses.RequestsMock,
    channel: Channel,
    status: int,
    body: Any,
    fault: type[Fault],
    code: str,
) -> None:
    api.post(TOKEN, json=body, status=status)
    found = refused(channel, "shpat_1")
    assert (type(found), found.code) == (fault, code)
    assert channel.memory["offline"]["refresh"] == "shprt_1"


def test_a_channel_whose_tokens_are_gone_says_what_to_do(channel: Channel) -> None:
    channel.memory = {}
    assert refused(channel).code == "not_connected"


def test_no_token_stays_in_what_is_kept_of_an_exchange(
    api: responses.RequestsMock, channel: Channel
) -> None:
    api.post(TOKEN, json=answer(2))
    access_token(channel, refused="shpat_1")
    kept = repr(channel.http.exchanges)
    assert [w for w in ("hush", "shprt_1", "shprt_2", "shpat_2") if w in kept] == []


# --- against the sandbox -------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def let_in(clock: Clock) -> Iterator[tuple[ShopifySandbox, Channel]]:
    """A shop that has let the app in, over HTTP, and its channel."""
    sandbox = ShopifySandbox(clock=lambda: clock.now)
    with Running(sandbox) as url:
        settings = ShopifyConnector.settings_schema().load({**sandbox.settings(), "login": "code"})
        hub = "http://127.0.0.1/connect/shopify"
        asked = Handshake("code", "st", settings, f"{hub}/return", f"{hub}/callback", "Hub")
        page = ShopifyConnector.leave_at(asked)
        assert "write_discounts" in requests.get(page, timeout=5).text
        back = requests.post(page, timeout=5, allow_redirects=False).headers["location"]
        query = tuple(parse_qsl(back.partition("?")[2]))
        http = Http(allow_private=["127.0.0.1"])
        granted = ShopifyConnector.take(asked, Brought(query, b"", clock.now), http)
        channel = Channel(settings, http, at=None, memory=granted.state)
        channel.now = lambda: clock.now  # type: ignore[method-assign]
        yield sandbox, channel
        assert url


def works(channel: Channel) -> bool:
    return bool(Admin(channel).run("query { shop { name } }").data)


def test_a_shop_that_was_let_in_stays_so_from_hour_to_hour(
    let_in: tuple[ShopifySandbox, Channel], clock: Clock
) -> None:
    sandbox, channel = let_in
    for _hour in range(3):
        assert works(channel)
        clock.now += timedelta(hours=1)
    assert sandbox.grants.asked == 2


def test_a_code_is_of_use_once(let_in: tuple[ShopifySandbox, Channel], clock: Clock) -> None:
    sandbox, channel = let_in
    used = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "code": "x"}
    url = f"{sandbox.address}/admin/oauth/access_token"
    assert requests.post(url, data=used, timeout=5).status_code == 400
    assert works(channel)


def test_a_dropped_answer_of_the_token_endpoint_costs_nothing(
    let_in: tuple[ShopifySandbox, Channel], clock: Clock
) -> None:
    sandbox, channel = let_in
    clock.now += timedelta(hours=2)
    requests.post(
        f"{sandbox.address}/_sandbox/faults", json={"fault": "drop_token_answer", "times": 1}, timeout=5
    )
    assert works(channel)
    assert sandbox.grants.asked == 1, "the second try got the same pair"


def test_a_dead_token_is_renewed_on_a_401(let_in: tuple[ShopifySandbox, Channel], clock: Clock) -> None:
    sandbox, channel = let_in
    requests.post(f"{sandbox.address}/_sandbox/faults", json={"fault": "token_expired"}, timeout=5)
    assert works(channel)
    assert sandbox.grants.asked == 1


def test_after_ninety_idle_days_the_merchant_is_asked_to_connect_again(
    let_in: tuple[ShopifySandbox, Channel], clock: Clock
) -> None:
    clock.now += timedelta(days=91)
    with pytest.raises(Misconfigured) as fault:
        works(let_in[1])
    assert fault.value.code == "refresh_refused"
