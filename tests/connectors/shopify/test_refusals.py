"""What Shopify refuses or leaves open, by its own words, and what the hub makes of it: whose move it is, and when it
is tried again. The words are those of captured answers where there are some."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses

from connectors.shopify import bulk, subscriptions
from connectors.shopify.connector import ShopifyConnector
from hub.connector import RevokeCode
from hub.errors import ChannelDown, Misconfigured, Rejected
from tests.connectors.channel import NOON, Channel

API = "https://example.myshopify.com/admin/api/2026-10/graphql.json"
GID = "gid://shopify/DiscountCodeNode/7"
REVOKE = RevokeCode("LOY-7QXM2K", "vch_7QXM2K", GID)
NONE_YET = {"webhookSubscriptions": {"nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}
QUERY = "{ customers { edges { node { id } } } }"


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def answer(api: responses.RequestsMock, data: dict[str, Any]) -> None:
    api.add(responses.POST, API, json={"data": data})


def refuse(api: responses.RequestsMock, code: str, message: str) -> None:
    """A top-level error, which comes with 200."""
    errors = [{"message": message, "extensions": {"code": code}}]
    api.add(responses.POST, API, json={"errors": errors})


def subscribed(
    message: str | None = None, field: str = "webhookSubscription.callbackUrl"
) -> dict[str, Any]:
    """The answer to `webhookSubscriptionCreate`; its user errors have no code."""
    errors = [{"field": field.split("."), "message": message}] if message else []
    made = None if message else {"id": "gid://shopify/WebhookSubscription/1"}
    return {"webhookSubscriptionCreate": {"webhookSubscription": made, "userErrors": errors}}


def listed(*topics: str, url: str) -> dict[str, Any]:
    nodes = [
        {"id": f"gid://shopify/WebhookSubscription/{n}", "topic": t, "uri": url}
        for n, t in enumerate(topics)
    ]
    return {
        "webhookSubscriptions": {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    }


# --- subscriptions -------------------------------------------------------------------------------


def test_an_address_without_tls_is_the_operators_move(
    api: responses.RequestsMock, channel: Channel
) -> None:
    channel.webhook_url = "http://hub.example.com/webhooks/abc"
    answer(api, NONE_YET)
    answer(api, subscribed("Address protocol http:// is not supported"))
    with pytest.raises(Misconfigured) as refused:
        subscriptions.install(channel)
    assert refused.value.code == "needs_https"
    assert "public https addresses only, not to http://hub.example.com" in refused.value.detail
    assert "abc" not in refused.value.detail  # the token is a secret
    assert len(api.calls) == 2  # the other topics would be refused alike


def test_an_address_that_is_refused_for_another_reason_keeps_shopifys_words(
    api: responses.RequestsMock, channel: Channel
) -> None:
    answer(api, NONE_YET)
    answer(api, subscribed("Address is not allowed"))
    with pytest.raises(Rejected) as refused:
        subscriptions.install(channel)
    assert "webhookSubscription.callbackUrl: Address is not allowed" in refused.value.detail


def test_a_subscription_that_is_there_already_is_not_made_and_stops_nothing(
    api: responses.RequestsMock, channel: Channel
) -> None:
    """Another process made it since it was listed."""
    answer(api, NONE_YET)
    answer(api, subscribed("Address for this topic has already been taken"))
    answer(api, subscribed())  # and all others
    did = subscriptions.install(channel)
    assert did.made == (*subscriptions.TOPICS[1:], *subscriptions.IF_ALLOWED)


def test_a_topic_whose_scope_is_missing_is_the_merchants_move(
    api: responses.RequestsMock, channel: Channel
) -> None:
    answer(api, NONE_YET)
    refuse(api, "ACCESS_DENIED", "Required access: `read_orders` access scope.")
    with pytest.raises(Misconfigured) as refused:
        subscriptions.install(channel)
    assert refused.value.code == "access_denied"
    assert "read_orders" in refused.value.detail


def test_a_scope_that_the_hub_does_without_is_no_failure(
    api: responses.RequestsMock, channel: Channel
) -> None:
    answer(api, listed(*subscriptions.TOPICS, url=channel.webhook_url))
    refuse(api, "ACCESS_DENIED", "Required access: `read_customer_merge` access scope.")
    did = subscriptions.install(channel)
    assert (did.made, did.kept) == ((), subscriptions.TOPICS)


def test_a_subscription_whose_answer_was_lost_counts_when_it_is_listed(
    api: responses.RequestsMock, channel: Channel
) -> None:
    url, (last,) = channel.webhook_url, subscriptions.IF_ALLOWED
    answer(api, listed(*subscriptions.TOPICS, url=url))
    api.add(responses.POST, API, status=502, body="bad gateway")
    answer(api, listed(*subscriptions.TOPICS, last, url=url))
    assert subscriptions.install(channel).made == (last,)


def test_one_at_another_address_is_not_ours(api: responses.RequestsMock, channel: Channel) -> None:
    answer(api, listed(*subscriptions.TOPICS, url="https://old.example.com/webhooks/abc"))
    answer(api, subscribed())
    did = subscriptions.install(channel)
    assert (did.made, did.kept) == ((*subscriptions.TOPICS, *subscriptions.IF_ALLOWED), ())


# --- bulk operations -----------------------------------------------------------------------------


def begun(message: str, code: str) -> dict[str, Any]:
    errors = [{"field": None, "message": message, "code": code}]
    return {"bulkOperationRunQuery": {"bulkOperation": None, "userErrors": errors}}


@pytest.mark.parametrize("code", ["OPERATION_IN_PROGRESS", "LIMIT_REACHED"])
def test_a_shop_that_runs_as_many_operations_as_it_may_is_asked_again(
    api: responses.RequestsMock, channel: Channel, code: str
) -> None:
    answer(api, begun("A bulk query operation for this app and shop is already in progress", code))
    with pytest.raises(ChannelDown) as down:
        bulk.begin(channel, QUERY)
    assert (down.value.code, down.value.retry_at) == ("bulk_busy", NOON + timedelta(minutes=2))


def test_a_query_that_shopify_does_not_take_is_not_asked_again(
    api: responses.RequestsMock, channel: Channel
) -> None:
    answer(api, begun("Invalid bulk query: No connection", "INVALID"))
    with pytest.raises(Rejected) as refused:
        bulk.begin(channel, QUERY)
    assert refused.value.code == "invalid"
    assert "No connection" in refused.value.detail


# --- codes ---------------------------------------------------------------------------------------


def there(api: responses.RequestsMock) -> None:
    discount = {"__typename": "DiscountCodeBasic", "title": "Ten off (vch_7QXM2K)", "status": "ACTIVE"}
    answer(api, {"codeDiscountNodeByCode": {"id": GID, "codeDiscount": discount}})


def deactivated(message: str) -> dict[str, Any]:
    errors = [{"field": ["id"], "message": message, "code": "INVALID"}]
    return {"discountCodeDeactivate": {"codeDiscountNode": None, "userErrors": errors}}


def test_a_code_that_was_deleted_between_look_and_deed_is_revoked(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    there(api)
    answer(api, deactivated("Code discount does not exist."))
    assert shopify.push(REVOKE).changed is False


def test_invalid_for_any_other_reason_leaves_a_code_that_can_be_used_and_says_so(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    there(api)
    answer(api, deactivated("Discount could not be updated."))
    with pytest.raises(Rejected) as refused:
        shopify.push(REVOKE)
    assert refused.value.code == "invalid"
    assert "could not be updated" in refused.value.detail


# --- when to come again --------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(429, "throttled"), (503, "http_503")])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("2.0", timedelta(seconds=2)),
        ("Mon, 23 Nov 2026 05:01:30 GMT", timedelta(seconds=90)),
        ("Mon, 23 Nov 2026 04:00:00 GMT", timedelta(0)),
        ("999999999", timedelta(hours=12)),
        ("Thu, 23 Nov 2028 05:00:00 GMT", timedelta(hours=12)),
    ],
)
def test_it_comes_again_when_shopify_says(
    api: responses.RequestsMock,
    channel: Channel,
    shopify: ShopifyConnector,
    status: int,
    code: str,
    header: str,
    wait: timedelta,
) -> None:
    channel.http.now = lambda: NOON
    api.add(responses.POST, API, status=status, headers={"retry-after": header}, body="later")
    with pytest.raises(ChannelDown) as down:
        shopify.push(REVOKE)
    assert (down.value.code, down.value.retry_at) == (code, NOON + wait)


def test_503_without_a_moment_leaves_it_to_the_hub(
    api: responses.RequestsMock, shopify: ShopifyConnector
) -> None:
    api.add(responses.POST, API, status=503, headers={"retry-after": "soon"}, body="later")
    with pytest.raises(ChannelDown) as down:
        shopify.push(REVOKE)
    assert down.value.retry_at is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("BAD_REQUEST", "Parameter Missing or Invalid"),
        ("CURRENCY_CODE_INVALID", "Currency code is invalid"),
        ("INVALID_VARIABLE", "Variable $id of type ID! was provided invalid value"),
    ],
)
def test_a_request_that_is_wrong_in_itself_waits_for_a_person(
    api: responses.RequestsMock, shopify: ShopifyConnector, code: str, message: str
) -> None:
    refuse(api, code, message)
    with pytest.raises(Rejected) as refused:
        shopify.push(REVOKE)
    assert (refused.value.code, refused.value.detail) == (
        code.lower(),
        f"Shopify refuses the request: {message}",
    )
    assert len(api.calls) == 1
