"""What we read of Shopify's messages: REST-shaped webhooks and GraphQL answers, loaded alike.

Both families load into the same keys, so that `normalise` has one way to build a sale and a
fetched order cannot count differently from a delivered one. Instances are made once, below.
"""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, fields

from connectors.shopify.fields import (
    Bag,
    Bags,
    Count,
    Currency,
    Flag,
    Gid,
    Id,
    PlainMoney,
    Ref,
    RestMoney,
    RestMoneys,
    SetMoney,
    Text,
    Texts,
    TextsOf,
    Time,
)
from hub.payload import Message


class _Read(Message):
    """Only the fields we read; everything else may come, go and change."""

    class Meta:
        unknown = EXCLUDE


class Nodes(fields.Field[list[dict[str, Any]]]):
    """The `nodes` of a GraphQL connection."""

    def __init__(self, schema: type[Schema], *, data_key: str | None = None) -> None:
        super().__init__(required=True, data_key=data_key)
        self.inner = fields.Nested(_connection(schema))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        return self.inner.deserialize(value, attr, data)["nodes"]


def _connection(schema: type[Schema]) -> Schema:
    nodes = fields.List(fields.Nested(schema), required=True)
    return _Read.from_dict({"nodes": nodes}, name=f"{schema.__name__}s")(unknown=EXCLUDE)


def _one(schema: type[Schema], *, data_key: str | None = None) -> fields.Nested:
    return fields.Nested(schema, allow_none=True, load_default=None, data_key=data_key)


def _many(schema: type[Schema], *, data_key: str | None = None) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), allow_none=True, load_default=None, data_key=data_key)


# --- people ------------------------------------------------------------------------------------


_ADDRESS = (
    "company",
    "address1",
    "address2",
    "city",
    "province",
    "zip",
    "country",
    "country_code",
    "first_name",
    "last_name",
    "phone",
)


class ConsentState(_Read):
    """`email_marketing_consent` and `sms_marketing_consent` (gone from 2026-07 on)."""

    state = Text()
    at = Time(data_key="consent_updated_at")


class Buyer(_Read):
    """The customer inside an order."""

    id = Id()
    email = Text()
    phone = Text()
    first_name = Text()
    last_name = Text()
    default_address = TextsOf(*_ADDRESS)
    email_consent = _one(ConsentState, data_key="email_marketing_consent")
    sms_consent = _one(ConsentState, data_key="sms_marketing_consent")


class CustomerBody(Buyer):
    """customers/create and customers/update."""

    id = Id(required=True)
    updated_at = Time(required=True)


class CustomerMerge(_Read):
    """customers/merge."""

    kept = Id(required=True, data_key="admin_graphql_api_customer_kept_id")
    gone = Id(required=True, data_key="admin_graphql_api_customer_deleted_id")
    status = Text(required=True)


# --- orders ------------------------------------------------------------------------------------


class OrderLine(_Read):
    """`line_items[]`, in orders and inside refunds."""

    id = Id(required=True)
    name = Text()
    sku = Text()
    product_id = Id()
    variant_id = Id()
    quantity = Count(required=True)
    current_quantity = Count()
    price = RestMoney(required=True)
    gift_card = Flag()
    requires_shipping = Flag()
    taxable = Flag()
    # Only a tip carries these keys, as a rule with null inside: their presence tells (captured 2025,
    # https://community.shopify.com/t/topic/410117).
    tip = fields.Raw(allow_none=True)
    tip_gateway = fields.Raw(allow_none=True, data_key="tip_payment_gateway")
    allocations = RestMoneys("amount", data_key="discount_allocations")
    taxes = RestMoneys("price", data_key="tax_lines")


class Shipping(_Read):
    """`shipping_lines[]`."""

    price = RestMoney()
    discounted_price = RestMoney()
    is_removed = Flag()
    allocations = RestMoneys("amount", data_key="discount_allocations")
    taxes = RestMoneys("price", data_key="tax_lines")


class RefundLine(_Read):
    """`refund_line_items[]`; subtotal and tax are JSON numbers beside their `_set`."""

    line_item_id = Id()
    quantity = Count(required=True)
    subtotal = RestMoney()
    tax = RestMoney(data_key="total_tax")
    line_item = _one(OrderLine)


class Adjustment(_Read):
    """`order_adjustments[]`."""

    kind = Text()
    amount = RestMoney()
    tax = RestMoney(data_key="tax_amount")


class RefundShipping(_Read):
    """`refund_shipping_lines[]`."""

    amount = SetMoney(data_key="subtotal_amount_set")
    tax = SetMoney(data_key="tax_amount_set")


class Transaction(_Read):
    """`refunds[].transactions[]`; amount and currency are the buyer's."""

    kind = Text()
    status = Text()
    amount = PlainMoney()


class RefundBody(_Read):
    """refunds/create, and `refunds[]` of an order."""

    id = Id(required=True)
    order_id = Id()
    created_at = Time()
    note = Text()
    lines = _many(RefundLine, data_key="refund_line_items")
    adjustments = _many(Adjustment, data_key="order_adjustments")
    shipping = _many(RefundShipping, data_key="refund_shipping_lines")
    transactions = _many(Transaction)
    duties = SetMoney(data_key="total_duties_set")
    fees = SetMoney(data_key="total_additional_fees_set")


class OrderBody(_Read):
    """orders/create, paid, updated, cancelled."""

    # Without these an order is no complete snapshot: a subscription's include_fields left them out.
    COMPLETE: ClassVar = (
        "updated_at",
        "created_at",
        "currency",
        "financial_status",
        "line_items",
        "refunds",
    )

    id = Id(required=True)
    name = Text()
    updated_at = Time(required=True)
    created_at = Time(required=True)
    processed_at = Time()
    cancelled_at = Time()
    currency = Currency(required=True)
    financial_status = Text()
    fulfillment_status = Text()
    test = Flag()
    taxes_included = Flag()
    duties_included = Flag()
    subtotal = RestMoney(data_key="subtotal_price")
    total = RestMoney(data_key="total_price")
    outstanding = RestMoney(data_key="total_outstanding")
    tax = RestMoney(data_key="total_tax")
    tip = RestMoney(data_key="total_tip_received")
    shipping_total = SetMoney(data_key="total_shipping_price_set")
    duties = SetMoney(data_key="original_total_duties_set")
    fees = SetMoney(data_key="original_total_additional_fees_set")
    lines = fields.List(fields.Nested(OrderLine), required=True, data_key="line_items")
    shipping = _many(Shipping, data_key="shipping_lines")
    refunds = fields.List(fields.Nested(RefundBody), required=True)
    customer = _one(Buyer)
    email = Text()
    phone = Text()
    billing = TextsOf(*_ADDRESS, data_key="billing_address")
    accepts_marketing = Flag(data_key="buyer_accepts_marketing")
    locale = Text(data_key="customer_locale")
    codes = Texts("code", data_key="discount_codes")
    gateways = Texts(data_key="payment_gateway_names")
    source_name = Text()
    source_identifier = Text()
    location_id = Id()
    device_id = Id()
    user_id = Id()


class Identified(_Read):
    """orders/delete and customers/delete: an id, and nothing that can be counted on beside it."""

    id = Id(required=True)


class OrderEdit(_Read):
    """`order_edit` of orders/edited: ids and deltas only."""

    order_id = Id(required=True)


class OrderEdited(_Read):
    """orders/edited."""

    order_edit = fields.Nested(OrderEdit, required=True)


class OrderTransaction(_Read):
    """order_transactions/create."""

    order_id = Id(required=True)


class RedactedCustomer(_Read):
    """`customer` of customers/redact and customers/data_request."""

    id = Id(required=True)
    email = Text()
    phone = Text()


class CustomerRedact(_Read):
    """customers/redact."""

    customer = fields.Nested(RedactedCustomer, required=True)


class ShopBody(_Read):
    """app/uninstalled."""

    myshopify_domain = Text()
    id = Id()


class ShopRedact(_Read):
    """shop/redact."""

    shop_domain = Text()
    shop_id = Id(required=True)


# --- discounts ---------------------------------------------------------------------------------


class Discount(_Read):
    """discounts/create, update, delete: the rule, never its codes."""

    id = Gid(required=True, data_key="admin_graphql_api_id")
    status = Text()
    updated_at = Time()
    deleted_at = Time()


class RedeemCode(_Read):
    """`redeem_code` of discounts/redeemcode_added and _removed."""

    code = Text(required=True)


class DiscountCode(_Read):
    """discounts/redeemcode_added and discounts/redeemcode_removed."""

    id = Gid(required=True, data_key="admin_graphql_api_id")
    redeem_code = fields.Nested(RedeemCode, required=True)
    updated_at = Time()


# --- GraphQL answers: the same keys, Shopify's other spelling -------------------------------------


# `MailingAddress` in our documents is aliased to REST's names (operations.ADDRESS).


class GraphEmail(_Read):
    """`CustomerEmailAddress`."""

    address = Text(data_key="emailAddress")
    state = Text(data_key="marketingState")
    at = Time(data_key="marketingUpdatedAt")


class GraphSmsConsent(_Read):
    """`CustomerSmsMarketingConsent`."""

    state = Text()
    at = Time(data_key="updatedAt")


class GraphPhone(_Read):
    """`CustomerPhoneNumber`."""

    number = Text(data_key="phoneNumber")
    consent = _one(GraphSmsConsent, data_key="smsMarketingConsent")


class GraphCustomer(_Read):
    """`Customer`."""

    id = Id(required=True)
    updated_at = Time(required=True, data_key="updatedAt")
    first_name = Text(data_key="firstName")
    last_name = Text(data_key="lastName")
    locale = Text()
    default_email = _one(GraphEmail, data_key="defaultEmailAddress")
    default_phone = _one(GraphPhone, data_key="defaultPhoneNumber")
    default_address = TextsOf(*_ADDRESS, data_key="defaultAddress")


class GraphLine(_Read):
    """`LineItem`."""

    id = Id(required=True)
    name = Text()
    sku = Text()
    product_id = Ref(data_key="product")
    variant_id = Ref(data_key="variant")
    quantity = Count(required=True)
    current_quantity = Count(data_key="currentQuantity")
    price = Bag(required=True, data_key="originalUnitPriceSet")
    gift_card = Flag(data_key="isGiftCard")
    requires_shipping = Flag(data_key="requiresShipping")
    taxable = Flag()
    allocations = Bags("allocatedAmountSet", data_key="discountAllocations")
    taxes = Bags("priceSet", data_key="taxLines")


class GraphShipping(_Read):
    """`ShippingLine`."""

    price = Bag(data_key="originalPriceSet")
    is_removed = Flag(data_key="isRemoved")
    allocations = Bags("allocatedAmountSet", data_key="discountAllocations")
    taxes = Bags("priceSet", data_key="taxLines")


class GraphRefundedLine(_Read):
    """`LineItem` inside a refund."""

    id = Id(required=True)
    gift_card = Flag(data_key="isGiftCard")


class GraphRefundLine(_Read):
    """`RefundLineItem`."""

    line_item = fields.Nested(GraphRefundedLine, required=True, data_key="lineItem")
    quantity = Count(required=True)
    subtotal = Bag(data_key="subtotalSet")
    tax = Bag(data_key="totalTaxSet")


class GraphAdjustment(_Read):
    """`OrderAdjustment`."""

    reason = Text()
    amount = Bag(data_key="amountSet")
    tax = Bag(data_key="taxAmountSet")


class GraphRefundShipping(_Read):
    """`RefundShippingLine`."""

    amount = Bag(data_key="subtotalAmountSet")
    tax = Bag(data_key="taxAmountSet")


class GraphTransaction(_Read):
    """`OrderTransaction`."""

    kind = Text()
    status = Text()
    gateway = Text()
    amount = Bag(data_key="amountSet")
    at = Time(data_key="processedAt")


class GraphRefund(_Read):
    """`Refund`."""

    id = Id(required=True)
    created_at = Time(data_key="createdAt")
    note = Text()
    lines = Nodes(GraphRefundLine, data_key="refundLineItems")
    adjustments = Nodes(GraphAdjustment, data_key="orderAdjustments")
    shipping = Nodes(GraphRefundShipping, data_key="refundShippingLines")
    transactions = Nodes(GraphTransaction)


class GraphOrder(_Read):
    """`Order`."""

    id = Id(required=True)
    name = Text()
    updated_at = Time(required=True, data_key="updatedAt")
    created_at = Time(required=True, data_key="createdAt")
    processed_at = Time(data_key="processedAt")
    cancelled_at = Time(data_key="cancelledAt")
    currency = Currency(required=True, data_key="currencyCode")
    financial_status = Text(data_key="displayFinancialStatus")
    fulfillment_status = Text(data_key="displayFulfillmentStatus")
    test = Flag()
    taxes_included = Flag(data_key="taxesIncluded")
    duties_included = Flag(data_key="dutiesIncluded")
    subtotal = Bag(data_key="subtotalPriceSet")
    total = Bag(data_key="totalPriceSet")
    tip = Bag(data_key="totalTipReceivedSet")
    duties = Bag(data_key="originalTotalDutiesSet")
    fees = Bag(data_key="originalTotalAdditionalFeesSet")
    lines = Nodes(GraphLine, data_key="lineItems")
    shipping = Nodes(GraphShipping, data_key="shippingLines")
    refunds = fields.List(fields.Nested(GraphRefund), required=True)
    transactions = _many(GraphTransaction)
    customer = _one(GraphCustomer)
    email = Text()
    phone = Text()
    billing = TextsOf(*_ADDRESS, data_key="billingAddress")
    locale = Text(data_key="customerLocale")
    codes = Texts(data_key="discountCodes")
    source_name = Text(data_key="sourceName")
    source_identifier = Text(data_key="sourceIdentifier")
    location_id = Ref(data_key="retailLocation")


class GraphListed(_Read):
    """An `Order` in a list of what changed."""

    id = Id(required=True)
    updated_at = Time(required=True, data_key="updatedAt")
    cancelled_at = Time(data_key="cancelledAt")
    financial_status = Text(data_key="displayFinancialStatus")
    fulfillment_status = Text(data_key="displayFulfillmentStatus")
    currency = Currency(required=True, data_key="currencyCode")
    refunded = Bag(data_key="totalRefundedSet")


class GraphTitle(_Read):
    """A collection's title."""

    title = Text()


class GraphSku(_Read):
    """A variant's sku."""

    sku = Text()


class GraphProduct(_Read):
    """`Product`."""

    id = Id(required=True)
    product_type = Text(data_key="productType")
    tags = Texts()
    collections = Nodes(GraphTitle)
    variants = Nodes(GraphSku)


class GraphCodeDiscount(_Read):
    """`codeDiscount` of a `DiscountCodeNode`; types other than ours have neither field."""

    title = Text()
    status = Text()


class GraphCode(_Read):
    """`DiscountCodeNode`."""

    id = Gid(required=True)
    discount = fields.Nested(GraphCodeDiscount, required=True, data_key="codeDiscount")


ORDER = OrderBody()
REFUND = RefundBody()
CUSTOMER = CustomerBody()
CUSTOMER_MERGE = CustomerMerge()
CUSTOMER_REDACT = CustomerRedact()
IDENTIFIED = Identified()
SHOP = ShopBody()
SHOP_REDACT = ShopRedact()
ORDER_EDITED = OrderEdited()
ORDER_TRANSACTION = OrderTransaction()
DISCOUNT = Discount()
DISCOUNT_CODE = DiscountCode()
GRAPH_ORDER = GraphOrder()
GRAPH_LISTED = GraphListed()
GRAPH_REFUND = GraphRefund()
GRAPH_CUSTOMER = GraphCustomer()
GRAPH_PRODUCT = GraphProduct()
GRAPH_CODE = GraphCode()
