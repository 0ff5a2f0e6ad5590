"""Standard Webhooks: signatures, times, keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from marshmallow import ValidationError

from connectors.generic_pos import signing
from connectors.generic_pos.connector import GenericPosConnector, TillSettings
from hub.connector import Inbound, Verdict
from hub.errors import BadSignature, Misconfigured
from tests.connectors.channel import Channel
from tests.connectors.generic_pos.conftest import SECRET

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "standard_webhooks_vectors.json").read_text()
)["vectors"]
SIGNED = [v for v in VECTORS if v["headers"]]
AT = datetime(2026, 11, 23, 5, 0, 0, tzinfo=UTC)
NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def connector(secret: str, previous: str = "") -> GenericPosConnector:
    return GenericPosConnector(Channel({"webhook_secret": secret, "previous_webhook_secret": previous}))


def signed(
    body: bytes = b"{}",
    at: datetime = AT,
    received: datetime = AT,
    changes: Mapping[str, str] | None = None,
) -> Inbound:
    headers = {**signing.signed_headers(SECRET, "msg_1", at, body), **(changes or {})}
    return Inbound("", headers, body, received)


@pytest.mark.parametrize("vector", SIGNED, ids=[v["name"] for v in SIGNED])
def test_every_vector_of_the_standard_is_judged_as_it_says(vector: dict[str, Any]) -> None:
    at = datetime.fromtimestamp(vector["receiver_clock"], UTC)
    inbound = Inbound("", vector["headers"], vector["body"].encode(), at)
    if vector["expect"] == "reject":
        with pytest.raises(BadSignature):
            connector(vector["secret"]).verify(inbound)
    else:
        assert connector(vector["secret"]).verify(inbound) is Verdict.VERIFIED


def test_the_vectors_cover_both_ways() -> None:
    assert {v["expect"] for v in VECTORS} == {
        "accept",
        "reject",
        "accept_signature",
        "refuse_to_configure",
    }


@pytest.mark.parametrize("secret", ["whsec_", "", "   ", "whsec_not base64!", "whsec_ä"])
def test_a_secret_without_a_key_is_refused_when_it_is_entered(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TillSettings().load({"webhook_secret": secret})
    assert isinstance(caught.value.messages, dict)
    assert list(caught.value.messages) == ["webhook_secret"]


@pytest.mark.parametrize("secret", ["whsec_", ""])
def test_a_secret_without_a_key_verifies_nothing(secret: str) -> None:
    with pytest.raises(Misconfigured):
        connector(secret).verify(signed())


def test_settings_are_trimmed_and_marked() -> None:
    loaded = TillSettings().load({"webhook_secret": f" {SECRET}\n"})
    assert loaded == {"webhook_secret": SECRET, "previous_webhook_secret": "", "callback_url": None}
    secret = {n for n, f in TillSettings().fields.items() if f.metadata.get("secret")}
    assert secret == {"webhook_secret", "previous_webhook_secret"}


@pytest.mark.parametrize("url", ["till.example.com", "ftp://till.example.com", "javascript:alert(1)"])
def test_a_callback_goes_to_a_web_address(url: str) -> None:
    with pytest.raises(ValidationError):
        TillSettings().load({"webhook_secret": SECRET, "callback_url": url})


@pytest.mark.parametrize(
    ("seconds", "taken"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_message_holds_for_five_minutes(seconds: int, taken: bool) -> None:
    inbound = signed(received=AT + timedelta(seconds=seconds))
    if taken:
        assert connector(SECRET).verify(inbound) is Verdict.VERIFIED
    else:
        with pytest.raises(BadSignature) as caught:
            connector(SECRET).verify(inbound)
        assert caught.value.code == "too_old"


def test_the_previous_secret_still_counts() -> None:
    assert connector(NEW, SECRET).verify(signed()) is Verdict.VERIFIED
    with pytest.raises(BadSignature):
        connector(NEW).verify(signed())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", ""),
        ("webhook-id", "x" * 201),
        ("webhook-id", "msg_2"),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "9" * 13),
        ("webhook-timestamp", "٣"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v2,garbage"),
        ("webhook-signature", "\u00e9 \udc80"),
    ],
)
def test_a_changed_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSignature):
        connector(SECRET).verify(signed(changes={name: value}))


def test_a_changed_body_is_refused() -> None:
    inbound = signed(b'{"a": 1}')
    with pytest.raises(BadSignature):
        connector(SECRET).verify(Inbound("", inbound.headers, b'{"a":1}', AT))


def test_the_id_of_a_message_is_its_key_over_all_tries() -> None:
    first, later = signed(), signed(at=AT + timedelta(seconds=60))
    assert first.headers["webhook-signature"] != later.headers["webhook-signature"]
    assert connector(SECRET).delivery_key(first) == connector(SECRET).delivery_key(later) == "msg_1"


def test_a_recorded_message_says_when_it_was_sent() -> None:
    assert GenericPosConnector.recorded_at(signed().headers) == AT
    assert GenericPosConnector.recorded_at({}) is None
    assert GenericPosConnector.recorded_at({"webhook-timestamp": "999999999999"}) is None
