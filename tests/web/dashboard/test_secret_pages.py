"""Changing the secret of a channel's webhooks: the one before goes on for a day, and no longer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from connectors.sandbox_kit import Running
from connectors.woocommerce.sandbox import WooCommerceSandbox
from hub.connect import add_channel
from hub.outbox import channels as store
from hub.outbox import old_secrets
from hub.outbox.channels import Channel
from tests import signed
from tests.desks import Office

SHOPIFY = {"shop": "example.myshopify.com", "webhook_secret": "first-secret", "access_token": "shpat_1"}


def add(office: Office, kind: str, settings: dict[str, object]) -> Channel:
    with office.runtime.sessions.begin() as session:
        return add_channel(
            session, office.runtime, program_id=office.ours.id, kind=kind, name=kind,
            settings=settings, actor="test", allow_private=True,
        )  # fmt: skip


def secrets(office: Office, channel: Channel) -> tuple[str | None, str | None]:
    """The present and the previous one."""
    with office.runtime.sessions() as session:
        its = store.by_ids(session, [channel.id])[channel.id]
    found = office.runtime.secrets.decrypt(its.secrets)
    return found.get("webhook_secret"), found.get("previous_webhook_secret")


@pytest.fixture
def shop() -> Iterator[WooCommerceSandbox]:
    sandbox = WooCommerceSandbox()
    with Running(sandbox):
        yield sandbox


def test_one_of_the_platforms_making_is_entered_and_the_one_before_stays(office: Office) -> None:
    channel = add(office, "shopify", dict(SHOPIFY))
    desk = office.desk("owner")
    path = f"./channels/{channel.public_id}/secret"
    page = desk.post(path, {"secret": " second-secret\n"})
    assert page.status_code == 200
    assert secrets(office, channel) == ("second-secret", "first-secret")
    assert not [one for one in ("first-secret", "second-secret") if one in page.text]


@pytest.mark.parametrize("typed", ["", "   ", "first-secret"])
def test_none_or_the_same_one_is_refused_and_nothing_changes(office: Office, typed: str) -> None:
    channel = add(office, "shopify", dict(SHOPIFY))
    answer = office.desk("owner").post(f"./channels/{channel.public_id}/secret", {"secret": typed})
    assert answer.status_code == 422
    assert "Enter a secret that is not the present one." in answer.text
    assert secrets(office, channel) == ("first-secret", None)


def test_one_of_the_hubs_making_is_shown_once_where_a_person_enters_it(office: Office) -> None:
    channel = add(office, "generic_pos", dict(signed.SETTINGS["generic_pos"]))
    before = secrets(office, channel)[0]
    desk = office.desk("owner")
    path = f"./channels/{channel.public_id}/secret"
    shown = re.search(r'<code id="made">([^<]+)</code>', desk.post(path).text)
    assert shown is not None
    assert secrets(office, channel) == (shown[1], before)
    assert shown[1] not in desk.get(path).text


def test_where_the_hub_can_it_gives_the_secret_to_the_shops_webhooks(
    office: Office, shop: WooCommerceSandbox
) -> None:
    channel = add(office, "woocommerce", shop.settings())
    with office.runtime.sessions() as session:
        its = store.by_ids(session, [channel.id])[channel.id]
    store.connector_of(office.runtime, its).install()
    page = office.desk("owner").post(f"./channels/{channel.public_id}/secret")
    new, before = secrets(office, channel)
    assert before == shop.webhook_secret
    assert {hook["secret"] for hook in shop.webhooks.values()} == {new}
    assert str(new) not in page.text


@pytest.mark.parametrize(("hours", "left"), [(23, "first-secret"), (24, None)])
def test_the_one_before_is_forgotten_after_a_day(office: Office, hours: int, left: str | None) -> None:
    channel = add(office, "shopify", dict(SHOPIFY))
    office.desk("owner").post(f"./channels/{channel.public_id}/secret", {"secret": "second-secret"})
    now = office.runtime.clock()
    office.runtime.clock = lambda: now + timedelta(hours=hours)
    with office.runtime.sessions.begin() as session:
        assert old_secrets.forget_previous(session, office.runtime) == (left is None)
        assert old_secrets.forget_previous(session, office.runtime) == 0
    assert secrets(office, channel) == ("second-secret", left)


def test_it_is_for_owners_alone(office: Office) -> None:
    channel = add(office, "shopify", dict(SHOPIFY))
    assert office.desk("support").get(f"./channels/{channel.public_id}/secret").status_code == 403
