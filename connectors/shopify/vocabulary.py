"""Shopify's words and what they mean here."""

from __future__ import annotations

from typing import Literal

from hub.canonical import SaleState

API_VERSION = "2026-10"
"""Pinned: 2026-07 and later have `LineItem.priceAfterAllDiscountsBeforeTaxesSet`.
https://shopify.dev/docs/api/usage/versioning"""

# Header names, once: a coming delivery system drops the X-.
# https://shopify.dev/docs/apps/build/webhooks/delivery-structure
TOPIC = "x-shopify-topic"
HMAC = "x-shopify-hmac-sha256"
SHOP = "x-shopify-shop-domain"
WEBHOOK_ID = "x-shopify-webhook-id"
TRIGGERED_AT = "x-shopify-triggered-at"

API_VERSION_HEADER = "x-shopify-api-version"

POLLED_SALE = "poll.sale"
"""The topic of an order in a list of what changed."""

LOOKUP = "x-hub-lookup"
"""The header `fetch` adds to an answer: the id that was asked for (an answer of null names none)."""

# REST `financial_status` and GraphQL `displayFinancialStatus`, in lower case. A status that is not
# listed is unpaid: it earns nothing until Shopify says paid.
# https://shopify.dev/docs/api/admin-rest/latest/resources/order
# https://shopify.dev/docs/api/admin-graphql/latest/enums/OrderDisplayFinancialStatus
FINANCIAL_STATUS: dict[str, SaleState] = {
    "pending": SaleState.PENDING,
    "authorized": SaleState.PENDING,
    "partially_paid": SaleState.PENDING,
    "expired": SaleState.PENDING,  # the authorization lapsed; the buyer can still pay
    "paid": SaleState.PAID,
    "partially_refunded": SaleState.PAID,
    "refunded": SaleState.REFUNDED,
    "voided": SaleState.CANCELLED,
}

# REST `fulfillment_status` and GraphQL `displayFulfillmentStatus` that mean: all of it is sent.
# https://shopify.dev/docs/api/admin-graphql/latest/enums/OrderDisplayFulfillmentStatus
FULFILLED = frozenset({"fulfilled"})

# https://shopify.dev/docs/api/admin-graphql/latest/enums/OrderTransactionStatus
TRANSACTION_STATUS: dict[str, Literal["success", "pending", "failed"]] = {
    "success": "success",
    "pending": "pending",
    "awaiting_response": "pending",
    "unknown": "pending",
    "failure": "failed",
    "error": "failed",
}

# https://shopify.dev/docs/api/admin-graphql/latest/enums/OrderTransactionKind
REFUND_KINDS = frozenset({"refund"})
PAYMENT_KINDS = frozenset({"sale", "capture"})

# Gateways that are stored value, not money:
# https://shopify.dev/docs/api/admin-graphql/latest/objects/OrderTransaction
STORED_VALUE: dict[str, Literal["gift_card", "store_credit"]] = {
    "gift_card": "gift_card",
    "shopify_store_credit": "store_credit",
}

# `order_adjustments[].kind`; since 2024-10 shipping stands in `refund_shipping_lines` instead.
# https://shopify.dev/docs/api/admin-rest/latest/resources/refund
SHIPPING_REFUND = "shipping_refund"
DISCREPANCY = "refund_discrepancy"

# GraphQL has no kind: an adjustment is a discrepancy, and this reason marks the fake one.
# https://shopify.dev/docs/api/admin-graphql/latest/enums/OrderAdjustmentDiscrepancyReason
PENDING_DISCREPANCY = "pending_refund_discrepancy"

# Marketing states in which the person has said something. The others (not_subscribed, which is where
# everybody starts, and pending, a double opt-in under way) are no word of theirs.
# https://shopify.dev/docs/api/admin-graphql/latest/enums/CustomerEmailAddressMarketingState
CONSENT: dict[str, bool] = {
    "subscribed": True,
    "unsubscribed": False,
    "redacted": False,
}

# `source_name` of sales made in Shopify itself. Any other word was written by the app that made
# the order, and `source_identifier` is then the order's id there:
# https://shopify.dev/docs/api/admin-rest/latest/resources/order (source_identifier)
SHOPIFY_SOURCES = frozenset(
    {
        "web",
        "pos",
        "checkout",
        "shopify_draft_order",
        "subscription_contract",
        "subscription_contract_checkout_one",
        "iphone",
        "android",
        "mobile_app",
        "amp_google",
        "facebook",
        "instagram",
        "google",
        "tiktok",
        "exchange",
        "return",
    }
)

# customers/merge `status`: GraphQL's CustomerMergeRequestStatus and the webhook's own words.
# https://shopify.dev/docs/api/admin-graphql/latest/enums/CustomerMergeRequestStatus
MERGE_DONE = frozenset({"success", "succeeded", "completed", "complete"})
MERGE_UNDER_WAY = frozenset({"in_progress", "requested"})

# https://shopify.dev/docs/api/admin-graphql/latest/enums/DiscountStatus
DISCOUNT_ACTIVE = frozenset({"active", "scheduled"})

# What the connector's operations need, by the schema's `requiredAccess` notes.
# https://shopify.dev/docs/api/usage/access-scopes
NEEDED_SCOPES: tuple[str, ...] = (
    "read_orders",
    "read_customers",
    "write_customers",
    "read_discounts",
    "write_discounts",
    "read_products",
    "read_locations",
)

USEFUL_SCOPES: tuple[str, ...] = ("read_customer_merge", "read_all_orders")
"""What the hub does without, not seeing merged customers or orders older than 60 days."""

ASKED_SCOPES: tuple[str, ...] = (*NEEDED_SCOPES, "read_customer_merge")
"""What a shop is asked for. `read_all_orders` is left out: Shopify refuses the whole page to an app
that was not given it first."""
