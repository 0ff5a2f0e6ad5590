"""Callbacks to a till: what is sent, what answers mean, and end to end against the stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses

from connectors.generic_pos import signing
from connectors.generic_pos.connector import GenericPosConnector
from connectors.generic_pos.sandbox import TillSandbox
from connectors.sandbox_kit import Running
from hub.connector import Command, CreateCode, CustomerKey, RevokeCode, SetBalance
from hub.errors import ChannelDown, Fault, Misconfigured, Rejected
from hub.http import Http
from tests.connectors.channel import NOON, Channel
from tests.connectors.generic_pos.conftest import CALLBACK, SECRET

MAI = CustomerKey("mem_mai", external_id="K7", phone="+84912345678")
CREATE = CreateCode(
    code="LYL-Q7F2",
    voucher_id="vch_1",
    title="50.000đ off",
    customer=MAI,
    starts_at=NOON,
    expires_at=NOON + timedelta(days=30),
    amount=50000,
    currency="VND",
    minimum_total=100000,
)
REVOKE = RevokeCode("LYL-Q7F2", "vch_1")
BALANCE = SetBalance(MAI, 120, 100, 20, NOON)


# --- what is sent ------------------------------------------------------------------------------


@responses.activate
def test_a_code_is_told_in_full(till: GenericPosConnector) -> None:
    responses.post(CALLBACK, status=204)
    till.push(CREATE)
    assert json.loads(responses.calls[0].request.body or "") == {
        "type": "hub.code/1",
        "state": "active",
        "code": "LYL-Q7F2",
        "voucher_id": "vch_1",
        "title": "50.000đ off",
        "customer": {"member_id": "mem_mai", "id": "K7", "phone": "+84912345678"},
        "starts_at": "2026-11-23T05:00:00Z",
        "expires_at": "2026-12-23T05:00:00Z",
        "currency": "VND",
        "amount": "50000",
        "minimum_total": "100000",
    }


@responses.activate
def test_a_percentage_is_told_as_one(till: GenericPosConnector) -> None:
    responses.post(CALLBACK, status=204)
    till.push(CreateCode("C", "vch_2", "t", MAI, starts_at=NOON, expires_at=None, percent=1250))
    told = json.loads(responses.calls[0].request.body or "")
    assert told["percent"] == "12.50"
    assert not {"amount", "currency", "expires_at", "minimum_total"} & set(told)


@responses.activate
def test_a_balance_and_a_revocation_are_told(till: GenericPosConnector) -> None:
    responses.post(CALLBACK, status=204)
    till.push(REVOKE)
    till.push(BALANCE)
    revoked, balance = (json.loads(call.request.body or "") for call in responses.calls)
    assert revoked == {
        "type": "hub.code/1",
        "state": "revoked",
        "code": "LYL-Q7F2",
        "voucher_id": "vch_1",
    }
    assert balance == {
        "type": "hub.balance/1",
        "customer": {"member_id": "mem_mai", "id": "K7", "phone": "+84912345678"},
        "points": 120,
        "available": 100,
        "pending": 20,
        "as_of": "2026-11-23T05:00:00Z",
    }


@responses.activate
def test_a_callback_is_signed_as_the_tills_own_messages_are(till: GenericPosConnector) -> None:
    responses.post(CALLBACK, status=204)
    till.push(CREATE)
    sent = responses.calls[0].request
    headers = {name.lower(): value for name, value in sent.headers.items()}
    assert isinstance(sent.body, bytes)
    signing.check(headers, sent.body, [SECRET], NOON)


@responses.activate
def test_each_try_of_one_command_has_one_id_and_each_command_its_own(
    till: GenericPosConnector, channel: Channel
) -> None:
    responses.post(CALLBACK, status=204)
    later = SetBalance(MAI, 120, 100, 20, NOON + timedelta(seconds=1))
    commands: tuple[Command, ...] = (CREATE, CREATE, REVOKE, BALANCE, BALANCE, later)
    for command in commands:
        till.push(command)
        channel.at = (channel.at or NOON) + timedelta(seconds=10)
    ids = [call.request.headers["webhook-id"] for call in responses.calls]
    assert ids[0] == ids[1]
    assert ids[3] == ids[4]
    assert len(set(ids)) == 4


def test_a_till_without_a_callback_is_told_nothing(channel: Channel) -> None:
    channel.settings = {"webhook_secret": SECRET, "callback_url": None}
    for command in (CREATE, REVOKE, BALANCE):
        receipt = GenericPosConnector(channel).push(command)
        assert receipt.changed is False
        assert receipt.note
    assert channel.http.exchanges == []


# --- what answers mean -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "changed", "external_id"),
    [
        (204, "", True, None),
        (200, "  ", True, None),
        (200, '{"changed": false}', False, None),
        (201, '{"external_id": "77", "changed": true}', True, "77"),
        (200, '{"external_id": 77, "changed": "no"}', True, None),
    ],
)
@responses.activate
def test_a_2xx_is_done(
    till: GenericPosConnector, status: int, body: str, changed: bool, external_id: str | None
) -> None:
    responses.post(CALLBACK, status=status, body=body)
    receipt = till.push(CREATE)
    assert (receipt.changed, receipt.external_id) == (changed, external_id)


@pytest.mark.parametrize(
    ("status", "body", "fault", "code"),
    [
        (301, "", Misconfigured, "redirected"),
        (401, "", Misconfigured, "callback_unsigned"),
        (403, "", Misconfigured, "callback_forbidden"),
        (404, "<html>", Misconfigured, "callback_not_found"),
        (405, "", Misconfigured, "callback_not_found"),
        (410, "", Misconfigured, "callback_gone"),
        (400, "", Rejected, "http_400"),
        (409, '{"code": "code_taken", "detail": "another voucher has it"}', Rejected, "code_taken"),
        (422, '{"code": 7, "detail": []}', Rejected, "http_422"),
        (422, "[]", Rejected, "http_422"),
        (200, "<html>Welcome to this network</html>", ChannelDown, "not_json"),
        (200, "[]", ChannelDown, "not_an_object"),
        (429, "", ChannelDown, "http_429"),
        (500, "", ChannelDown, "http_500"),
    ],
)
@responses.activate
def test_each_other_answer_says_whose_move_it_is(
    till: GenericPosConnector, status: int, body: str, fault: type[Fault], code: str
) -> None:
    responses.post(CALLBACK, status=status, body=body)
    with pytest.raises(fault) as caught:
        till.push(CREATE)
    assert (type(caught.value), caught.value.code) == (fault, code)
    assert caught.value.detail


# --- end to end --------------------------------------------------------------------------------


class Counter:
    """A till over real HTTP, and a connector that is connected to it."""

    def __init__(self, url: str) -> None:
        settings = requests.get(f"{url}/_sandbox/settings", timeout=5).json()["settings"]
        self.url = url
        self.connector = GenericPosConnector(
            Channel(settings, Http(allow_private=["127.0.0.1"]), at=None)
        )

    def steer(self, path: str, **wish: Any) -> requests.Response:
        return requests.post(f"{self.url}/_sandbox/{path}", json=wish, timeout=5)

    def codes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/_sandbox/codes", timeout=5).json()
        return found

    def buy(self, **wish: Any) -> requests.Response:
        basket = {
            "customer": {"name": "Mai", "phone": "+84912345678"},
            "lines": [
                {"sku": "TEA", "name": "Trà", "quantity": 2, "price": "50000"},
                {"sku": "CUP", "name": "Cốc", "quantity": 1, "price": "100000"},
            ],
            **wish,
        }
        return self.steer("sales", **basket)

    def create(self, **changes: Any) -> CreateCode:
        now = datetime.now(UTC)
        wish: dict[str, Any] = {
            "code": "LYL-Q7F2",
            "voucher_id": "vch_1",
            "title": "50.000đ off",
            "customer": MAI,
            "starts_at": now,
            "expires_at": now + timedelta(days=30),
            "amount": 50000,
            "currency": "VND",
            **changes,
        }
        return CreateCode(**wish)


@pytest.fixture
def counter() -> Iterator[Counter]:
    with Running(TillSandbox()) as url:
        yield Counter(url)


def test_a_code_told_twice_is_there_once(counter: Counter) -> None:
    command = counter.create()
    first, second = counter.connector.push(command), counter.connector.push(command)
    assert (first.changed, second.changed) == (True, False)
    assert first.external_id == "vch_1"
    assert [(code["code"], code["active"]) for code in counter.codes()] == [("LYL-Q7F2", True)]


def test_an_answer_that_was_lost_leaves_one_code(counter: Counter) -> None:
    counter.steer("faults", fault="drop_after_write")
    command = counter.create()
    with pytest.raises(ChannelDown):
        counter.connector.push(command)
    assert counter.connector.push(command).changed is False
    assert len(counter.codes()) == 1


def test_a_code_is_taken_once_and_lowers_the_lines(counter: Counter) -> None:
    counter.connector.push(counter.create())
    sale = counter.buy(codes=["LYL-Q7F2"]).json()
    assert sale["total"] == "150000"
    shown = requests.get(f"{counter.url}/_sandbox/sales/{sale['external_id']}", timeout=5).json()
    assert [(line["net"], line["discount"]) for line in shown["lines"]] == [
        ("75000", "25000"),
        ("75000", "25000"),
    ]
    again = counter.buy(codes=["LYL-Q7F2"])
    assert again.status_code == 400
    assert "was used" in again.text


@pytest.mark.parametrize(
    ("changes", "buyer", "why"),
    [
        ({}, {"phone": "+84900000000"}, "belongs to somebody else"),
        ({}, {"name": "Mai"}, "belongs to somebody else"),
        ({"expires_at": NOON - timedelta(days=3000)}, {"phone": MAI.phone}, "has expired"),
        ({"code": "OTHER"}, {"phone": MAI.phone}, "is not known"),
    ],
)
def test_a_code_that_does_not_hold_for_this_buyer_is_refused(
    counter: Counter, changes: dict[str, Any], buyer: dict[str, Any], why: str
) -> None:
    counter.connector.push(counter.create(**changes))
    answer = counter.buy(customer=buyer, codes=["LYL-Q7F2"])
    assert (answer.status_code, why in answer.text) == (400, True)


def test_a_revoked_code_is_refused_and_can_be_opened_again(counter: Counter) -> None:
    command = counter.create()
    counter.connector.push(command)
    assert counter.connector.push(REVOKE).changed is True
    assert counter.connector.push(REVOKE).changed is False
    assert "was revoked" in counter.buy(codes=["LYL-Q7F2"]).text
    assert counter.connector.push(command).changed is True
    assert counter.buy(codes=["LYL-Q7F2"]).status_code == 200


def test_revoking_what_was_never_made_is_done(counter: Counter) -> None:
    assert counter.connector.push(REVOKE).changed is False
    assert counter.codes() == []


def test_a_code_of_another_voucher_is_not_overwritten(counter: Counter) -> None:
    counter.connector.push(counter.create())
    with pytest.raises(Rejected) as caught:
        counter.connector.push(counter.create(voucher_id="vch_2"))
    assert caught.value.code == "code_taken"


def test_a_refused_code_is_taken_when_it_is_replayed(counter: Counter) -> None:
    counter.steer("faults", fault="refuse_code")
    with pytest.raises(Rejected) as caught:
        counter.connector.push(counter.create())
    assert caught.value.code == "code_refused"
    assert counter.connector.push(counter.create()).changed is True


def test_an_older_balance_never_replaces_a_newer_one(counter: Counter) -> None:
    old = SetBalance(MAI, 50, 50, 0, NOON - timedelta(minutes=1))
    pushed = [counter.connector.push(command).changed for command in (BALANCE, BALANCE, old)]
    assert pushed == [True, False, False]
    shown = requests.get(f"{counter.url}/_sandbox/balances", timeout=5).json()
    assert shown == {"mem_mai": 120, "K7": 120, "+84912345678": 120}


def test_a_till_refuses_what_another_secret_signed(counter: Counter) -> None:
    settings = {**counter.connector.channel.settings, "webhook_secret": SECRET}
    stranger = GenericPosConnector(Channel(settings, Http(allow_private=["127.0.0.1"]), at=None))
    with pytest.raises(Misconfigured) as caught:
        stranger.push(counter.create())
    assert caught.value.code == "callback_unsigned"
    assert counter.codes() == []


def test_a_till_refuses_an_old_callback(counter: Counter) -> None:
    settings = counter.connector.channel.settings
    then = datetime.now(UTC) - timedelta(seconds=400)
    late = GenericPosConnector(Channel(settings, Http(allow_private=["127.0.0.1"]), at=then))
    with pytest.raises(Misconfigured):
        late.push(counter.create())


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ("server_error", ChannelDown, "http_500"),
        ("too_many_requests", ChannelDown, "http_429"),
        ("html", ChannelDown, "not_json"),
        ("unauthorised", Misconfigured, "callback_unsigned"),
        ("gone", Misconfigured, "callback_gone"),
    ],
)
def test_a_till_in_trouble_gets_its_code_when_it_is_well_again(
    counter: Counter, fault: str, expected: type[Fault], code: str
) -> None:
    counter.steer("faults", fault=fault)
    with pytest.raises(expected) as caught:
        counter.connector.push(counter.create())
    assert caught.value.code == code
    assert counter.connector.push(counter.create()).changed is True
