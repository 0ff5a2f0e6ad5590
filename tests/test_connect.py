"""Connecting a shop: what is wrong is named, a shop is connected once, secrets are not readable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from cryptography.fernet import Fernet

from hub.connect import change_channel, disconnect, pause, resume, setting_errors
from hub.errors import Misconfigured
from hub.outbox.channels import Handle, by_public_id
from hub.registry import connector_class
from hub.secrets import Secrets
from tests.hubs import Hub, running_hub

SECRET = "whsec_dGhlIHRpbGwgYW5kIHRoZSBodWIga25vdyB0aGlz"
SHOP = {
    "store_url": "https://shop.example.com",
    "consumer_key": "ck_1",
    "consumer_secret": "cs_1",
    "webhook_secret": "s3cret",
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "webhook_secret"),
        ({"webhook_secret": "guess"}, "webhook_secret"),
        ({"webhook_secret": SECRET, "secert": "x"}, "secert"),
        ({"webhook_secret": SECRET, "callback_url": "not a url"}, "callback_url"),
    ],
)
def test_a_wrong_setting_is_named(hub: Hub, settings: dict[str, str], named: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        hub.add_channel("generic_pos", settings, "Till")
    assert named in refused.value.detail
    assert hub.rows("SELECT 1 FROM channels") == []


def test_the_same_shop_is_connected_once(hub: Hub) -> None:
    hub.add_channel("woocommerce", SHOP, "Shop")
    with pytest.raises(Misconfigured) as refused:
        hub.add_channel("woocommerce", SHOP, "Shop again")
    assert refused.value.code == "shop_taken"


def test_two_channels_have_two_names(hub: Hub) -> None:
    hub.add_channel("generic_pos", {"webhook_secret": SECRET}, "Till")
    with pytest.raises(Misconfigured) as refused:
        hub.add_channel("generic_pos", {"webhook_secret": SECRET}, "Till")
    assert refused.value.code == "name_taken"


def test_secrets_are_sealed_in_the_database_and_open_to_the_connector(hub: Hub) -> None:
    channel = hub.add_channel("woocommerce", SHOP, "Shop")
    row = hub.rows("SELECT settings::text AS settings, secrets FROM channels")[0]
    assert "s3cret" not in row.settings
    assert b"s3cret" not in bytes(row.secrets)
    assert Handle(hub.runtime, channel).settings["webhook_secret"] == "s3cret"


def test_what_is_changed_is_checked_and_the_rest_stays(hub: Hub) -> None:
    channel = hub.add_channel("woocommerce", SHOP, "Shop")
    with hub.runtime.sessions.begin() as session:
        changes = {"webhook_secret": "n3w", "previous_webhook_secret": "s3cret"}
        change_channel(session, hub.runtime, channel, changes, actor="test")
    with hub.runtime.sessions() as session:
        now = by_public_id(session, channel.public_id)
    assert now is not None
    assert dict(Handle(hub.runtime, now).settings) == {**SHOP, **changes}
    (audited,) = hub.rows("SELECT * FROM audit WHERE action = 'channel.changed'")
    assert "n3w" not in str(audited)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"webhook_secert": "x"}, "secert"), ({"webhook_secret": ""}, "webhook_secret")],
)
def test_a_wrong_change_is_named_and_changes_nothing(
    hub: Hub, changes: dict[str, str], named: str
) -> None:
    channel = hub.add_channel("woocommerce", SHOP, "Shop")
    before = hub.rows("SELECT * FROM channels")
    with pytest.raises(Misconfigured) as refused, hub.runtime.sessions.begin() as session:
        change_channel(session, hub.runtime, channel, changes, actor="test")
    assert named in refused.value.detail
    assert hub.rows("SELECT * FROM channels") == before


def test_secrets_whose_key_is_lost_are_entered_anew(hub: Hub) -> None:
    channel = hub.add_channel("generic_pos", {"webhook_secret": SECRET}, "Till")
    later = replace(hub.runtime, secrets=Secrets([Fernet.generate_key().decode()]))
    with later.sessions.begin() as session:
        change_channel(session, later, channel, {"webhook_secret": SECRET}, actor="test")
    with later.sessions() as session:
        now = by_public_id(session, channel.public_id)
    assert now is not None
    assert Handle(later, now).settings["webhook_secret"] == SECRET


def test_a_channel_keeps_its_shop(hub: Hub) -> None:
    """Orders, customers and codes of two shops would mix under one channel."""
    channel = hub.add_channel("woocommerce", SHOP, "Shop")
    changes = {"store_url": "https://other.example.com"}
    with pytest.raises(Misconfigured) as refused, hub.runtime.sessions.begin() as session:
        change_channel(session, hub.runtime, channel, changes, actor="test")
    assert refused.value.code == "other_shop_named"
    assert "as a new channel" in refused.value.detail
    (row,) = hub.rows("SELECT settings->>'store_url' AS url, shop_identity FROM channels")
    assert row.url == SHOP["store_url"]
    assert "other" not in row.shop_identity


def test_the_same_shop_written_otherwise_is_the_same(hub: Hub) -> None:
    channel = hub.add_channel("woocommerce", SHOP, "Shop")
    with hub.runtime.sessions.begin() as session:
        changes = {"store_url": "https://SHOP.example.com/"}
        (before,) = hub.rows("SELECT shop_identity FROM channels")
        change_channel(session, hub.runtime, channel, changes, actor="test")
    (after,) = hub.rows("SELECT shop_identity, settings->>'store_url' AS url FROM channels")
    assert after.shop_identity == before.shop_identity
    assert after.url == changes["store_url"]


def test_a_disconnected_channel_forgets_its_secrets_and_frees_its_shop(hub: Hub) -> None:
    channel = hub.add_channel("woocommerce", SHOP, "Shop")
    with hub.runtime.sessions.begin() as session:
        disconnect(session, hub.runtime, channel, actor="test")
    (row,) = hub.rows("SELECT status, secrets FROM channels")
    assert (row.status, bytes(row.secrets)) == ("disconnected", b"")
    assert requests.post(hub.webhook(channel), data=b"{}", timeout=10).status_code == 404
    for deed in (pause, resume):
        with pytest.raises(Misconfigured, match="disconnected"), hub.runtime.sessions.begin() as session:
            deed(session, channel, actor="test")
    with pytest.raises(Misconfigured, match="disconnected"), hub.runtime.sessions.begin() as session:
        disconnect(session, hub.runtime, channel, actor="test")
    hub.add_channel("woocommerce", SHOP, "Shop again")


def test_every_mistake_in_settings_is_told_at_once() -> None:
    connector = connector_class("woocommerce")
    errors = setting_errors(connector, {"store_url": "no address", "consumer_key": "wrong"})
    assert set(errors) == {"store_url", "consumer_key", "consumer_secret", "webhook_secret"}
    assert setting_errors(connector, SHOP) == {}
