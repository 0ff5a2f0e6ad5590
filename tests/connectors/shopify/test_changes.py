"""A shop that is asked what it changed, subscribed to, and asked no more than it allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.shopify import changes, subscriptions
from connectors.shopify.client import Admin
from hub.canonical import SaleState, Thin
from hub.connector import Lookup, RevokeCode
from hub.errors import ChannelDown, Misconfigured
from tests.connectors.channel import Plenty, message
from tests.connectors.shopify.conftest import Shop

TEA: dict[str, Any] = {"sku": "TEA", "name": "Tea", "quantity": 1, "price": "12.40"}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def listed(shop: Shop, since: datetime = LONG_AGO) -> list[Thin]:
    found = []
    for inbound in shop.connector.reconcile(since):
        assert inbound.changed_at is not None
        (one,) = shop.connector.normalise(inbound)
        assert isinstance(one, Thin)
        found.append(one)
    return found


def test_what_changed_is_listed_lightly_with_its_version_and_state(shop: Shop) -> None:
    paid, open_ = shop.sell(lines=[TEA]), shop.sell(lines=[TEA], state="pending")
    shop.ask(f"sales/{paid}/fulfil")
    found = {one.external_id: one for one in listed(shop)}
    assert set(found) == {paid, open_}
    assert (found[paid].state, found[open_].state) == (SaleState.FULFILLED, SaleState.PENDING)
    (answer,) = shop.connector.fetch(Lookup("sale", paid))
    assert shop.sale_of(answer).version == found[paid].version
    assert shop.sale_of(answer).state is found[paid].state


def test_unchanged_it_bears_the_same_key_and_changed_another(shop: Shop) -> None:
    order = shop.sell(lines=[TEA])

    def key() -> str:
        (inbound,) = shop.connector.reconcile(LONG_AGO)
        return shop.connector.delivery_key(inbound)

    before = key()
    assert key() == before
    shop.ask(f"sales/{order}/fulfil")
    assert key() != before


def test_more_than_a_page_is_read_to_its_end(shop: Shop) -> None:
    sold = {shop.sell(lines=[TEA]) for _ in range(3)}
    for copy in range(230):
        order = dict(shop.sandbox.shop.orders[int(min(sold))])
        order["id"] = 900 + copy
        order["admin_graphql_api_id"] = f"gid://shopify/Order/{order['id']}"
        shop.sandbox.shop.orders[order["id"]] = order
    assert len({one.external_id for one in listed(shop)}) == 233


def test_nothing_from_before_is_listed(shop: Shop) -> None:
    shop.sell(lines=[TEA])
    assert listed(shop, datetime.now(UTC) + timedelta(minutes=1)) == []


def test_between_two_pages_it_waits_for_the_rate_limit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell(lines=[TEA])
    shop.ask("faults", fault="throttle", times=2)
    waits: list[float] = []
    monkeypatch.setattr("connectors.shopify.changes.time.sleep", waits.append)
    assert len(listed(shop)) == 1
    assert len(waits) == 2
    assert all(0 < seconds < changes.PATIENCE for seconds in waits)


def test_what_shopify_says_of_its_bucket_is_noted_and_what_is_asked_is_taken(shop: Shop) -> None:
    shop.connector.health()
    budget: Plenty = shop.channel.budgets["graphql"]
    available, rate, most, taken = budget.told[-1]
    assert (rate, most) == (100.0, 2000.0)
    assert 0 < available <= 2000
    assert taken == budget.taken[-1][0]
    shop.connector.health()
    assert budget.taken[-1][0] < 50  # by now it is known what this one costs


def test_an_empty_bucket_sends_nothing_and_a_revoke_goes_ahead(shop: Shop) -> None:
    shop.connector.health()
    budget: Plenty = shop.channel.budgets["graphql"]
    budget.wait = timedelta(seconds=7)
    sent = len(shop.channel.http.exchanges)
    with pytest.raises(ChannelDown) as caught:
        shop.connector.fetch(Lookup("sale", "1"))
    assert caught.value.code == "throttled"
    assert caught.value.retry_at is not None
    left = caught.value.retry_at - shop.channel.now()
    assert timedelta(seconds=5) < left <= timedelta(seconds=7)
    assert len(shop.channel.http.exchanges) == sent
    receipt = shop.connector.push(RevokeCode("NOSUCH", "vch_1"))
    assert not receipt.changed
    assert budget.taken[-1][1]


@pytest.mark.parametrize(
    ("form", "code"), [("429", "throttled"), ("503", "http_503"), ("graphql", "throttled")]
)
def test_however_shopify_says_slow_down_it_names_when_to_come_back(
    shop: Shop, form: str, code: str
) -> None:
    shop.connector.health()
    shop.ask("faults", fault="throttle", form=form)
    with pytest.raises(ChannelDown) as caught:
        shop.connector.fetch(Lookup("sale", "1"))
    assert caught.value.code == code
    assert caught.value.retry_at is not None


# --- subscriptions -------------------------------------------------------------------------------


def topics(shop: Shop) -> list[str]:
    return sorted(s["enum"] for s in shop.sandbox._subscriptions)


def test_subscribed_once_or_twice_there_is_one_subscription_a_topic(shop: Shop) -> None:
    did, again = shop.connector.install(), shop.connector.install()
    wanted = sorted((*subscriptions.TOPICS, *subscriptions.IF_ALLOWED))
    assert sorted(did.made) == wanted == topics(shop)
    assert (again.made, sorted(again.kept)) == ((), wanted)


def test_what_shopify_deleted_is_subscribed_to_again(shop: Shop) -> None:
    shop.connector.install()
    gone = shop.sandbox._subscriptions.pop(3)
    assert shop.connector.install().made == (gone["enum"],)
    assert len(topics(shop)) == len(set(topics(shop)))


def test_a_lost_answer_subscribes_to_nothing_twice(shop: Shop) -> None:
    shop.ask("faults", fault="drop_after_write", times=2)
    shop.connector.install()
    assert topics(shop) == sorted((*subscriptions.TOPICS, *subscriptions.IF_ALLOWED))


def test_a_topic_of_a_scope_that_is_only_useful_stops_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Admin.change

    def refuse(self: Any, name: str, document: str, **variables: Any) -> dict[str, Any]:
        if variables["topic"] == "CUSTOMERS_MERGE":
            raise Misconfigured("access_denied", "Required access: `read_customer_merge`")
        return real(self, name, document, **variables)

    monkeypatch.setattr(Admin, "change", refuse)
    assert shop.connector.install().made == subscriptions.TOPICS


def test_after_eight_failures_a_subscription_is_gone(shop: Shop) -> None:
    """What Shopify does, so that the watchdog has something to find."""
    shop.channel.webhook_url = "http://127.0.0.1:9/webhooks/abc"
    shop.connector.install()
    for _ in range(8):
        shop.sell(lines=[TEA])
    assert "ORDERS_CREATE" not in topics(shop)
    assert "ORDERS_CREATE" in shop.connector.install().made


# --- versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "told"), [("2026-10", None), ("2026-07", "version_drift"), ("", None)]
)
def test_a_message_in_another_version_is_told(shop: Shop, served: str, told: str | None) -> None:
    headers = {"X-Shopify-API-Version": served} if served else {}
    found = shop.connector.drift(message("orders/paid", b"{}", headers))
    assert (found.code if found else None) == told


@pytest.mark.parametrize("topic", ["fetch.sale", "poll.sale"])
def test_a_message_from_outside_never_passes_for_an_answer_to_a_question_of_ours(
    shop: Shop, topic: str
) -> None:
    assert shop.connector.topic({"x-shopify-topic": topic}, b"{}") == ""
