"""The GraphQL documents the connector sends; a test validates each against the schema beside it.

Page sizes keep the requested cost far under the limit of 1,000 points per query:
https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits
"""

from __future__ import annotations

SHOP = """
query Shop {
  shop { id name myshopifyDomain currencyCode }
  currentAppInstallation { id accessScopes { handle } }
}
"""

# --- discount codes ----------------------------------------------------------------------------

CODE_CREATE = """
mutation CodeCreate($input: DiscountCodeBasicInput!) {
  discountCodeBasicCreate(basicCodeDiscount: $input) {
    codeDiscountNode { id }
    userErrors { field message code }
  }
}
"""

FREE_SHIPPING_CREATE = """
mutation FreeShippingCreate($input: DiscountCodeFreeShippingInput!) {
  discountCodeFreeShippingCreate(freeShippingCodeDiscount: $input) {
    codeDiscountNode { id }
    userErrors { field message code }
  }
}
"""

VARIANTS_BY_SKU = """
query VariantsBySku($query: String!) {
  productVariants(first: 100, query: $query) {
    nodes { id sku price }
  }
}
"""

CODE_BY_CODE = """
query CodeByCode($code: String!) {
  codeDiscountNodeByCode(code: $code) {
    id
    codeDiscount {
      __typename
      ... on DiscountCodeBasic { title status asyncUsageCount }
      ... on DiscountCodeFreeShipping { title status asyncUsageCount }
    }
  }
}
"""

CODE_DEACTIVATE = """
mutation CodeDeactivate($id: ID!) {
  discountCodeDeactivate(id: $id) {
    codeDiscountNode { id }
    userErrors { field message code }
  }
}
"""

CODE_DELETE = """
mutation CodeDelete($id: ID!) {
  discountCodeDelete(id: $id) {
    deletedCodeDiscountId
    userErrors { field message code }
  }
}
"""

# --- balances ----------------------------------------------------------------------------------

METAFIELDS_SET = """
mutation MetafieldsSet($metafields: [MetafieldsSetInput!]!) {
  metafieldsSet(metafields: $metafields) {
    metafields { id }
    userErrors { field message code }
  }
}
"""

# --- look-ups ----------------------------------------------------------------------------------

# The shop's half alone: GraphQL gives it for transactions too, and each half costs a point a line.
_MONEY = """
fragment Money on MoneyBag { shopMoney { amount currencyCode } }
"""

# REST's names, so that an address is read the same wherever it comes from.
_ADDRESS = """
fragment Address on MailingAddress {
  first_name: firstName
  last_name: lastName
  company
  address1
  address2
  city
  province
  zip
  country
  country_code: countryCodeV2
  phone
}
"""

_CUSTOMER = """
fragment Person on Customer {
  id
  updatedAt
  firstName
  lastName
  locale
  defaultEmailAddress { emailAddress marketingState marketingUpdatedAt }
  defaultPhoneNumber { phoneNumber smsMarketingConsent { state updatedAt } }
  defaultAddress { ...Address }
}
"""

_LINE_FIELDS = """
  id
  name
  sku
  quantity
  currentQuantity
  isGiftCard
  requiresShipping
  taxable
  product { id }
  variant { id }
  originalUnitPriceSet { ...Money }
  discountAllocations { allocatedAmountSet { ...Money } }
  taxLines { priceSet { ...Money } }
"""

_ORDER_FIELDS = """
  id
  name
  test
  createdAt
  processedAt
  updatedAt
  cancelledAt
  displayFinancialStatus
  displayFulfillmentStatus
  sourceName
  sourceIdentifier
  retailLocation { id }
  currencyCode
  taxesIncluded
  dutiesIncluded
  email
  phone
  customerLocale
  discountCodes
  customer { ...Person }
  billingAddress { ...Address }
  subtotalPriceSet { ...Money }
  totalPriceSet { ...Money }
  totalTipReceivedSet { ...Money }
  originalTotalDutiesSet { ...Money }
  originalTotalAdditionalFeesSet { ...Money }
"""

_SHIPPING_FIELDS = """
  isRemoved
  originalPriceSet { ...Money }
  discountAllocations { allocatedAmountSet { ...Money } }
  taxLines { priceSet { ...Money } }
"""

_PAID_FIELDS = """
  transactions(first: 20) { kind status gateway processedAt amountSet { ...Money } }
  refunds(first: 100) { id }
"""

_LINES = (
    """
fragment Lines on LineItemConnection {
  nodes {
"""
    + _LINE_FIELDS
    + """
  }
  pageInfo { hasNextPage endCursor }
}
"""
)

ORDER = (
    """
query Order($id: ID!) {
  order(id: $id) {
"""
    + _ORDER_FIELDS
    + """
    shippingLines(first: 5) {
      nodes {
"""
    + _SHIPPING_FIELDS
    + """
      }
    }
"""
    + _PAID_FIELDS
    + """
    lineItems(first: 25) { ...Lines }
  }
}
"""
    + _LINES
    + _CUSTOMER
    + _ADDRESS
    + _MONEY
)

ORDER_LINES = (
    """
query OrderLines($id: ID!, $after: String) {
  order(id: $id) { lineItems(first: 25, after: $after) { ...Lines } }
}
"""
    + _LINES
    + _MONEY
)

REFUND = (
    """
query Refund($id: ID!, $after: String) {
  refund(id: $id) {
    id
    createdAt
    note
    refundLineItems(first: 25, after: $after) {
      nodes {
        quantity
        subtotalSet { ...Money }
        totalTaxSet { ...Money }
        lineItem { id isGiftCard }
      }
      pageInfo { hasNextPage endCursor }
    }
    orderAdjustments(first: 10) { nodes { reason amountSet { ...Money } taxAmountSet { ...Money } } }
    refundShippingLines(first: 5) {
      nodes { subtotalAmountSet { ...Money } taxAmountSet { ...Money } }
    }
    transactions(first: 10) { nodes { kind status gateway processedAt amountSet { ...Money } } }
  }
}
"""
    + _MONEY
)

CUSTOMER = (
    """
query Customer($id: ID!) {
  customer(id: $id) { ...Person }
}
"""
    + _CUSTOMER
    + _ADDRESS
)

PRODUCT = """
query Product($id: ID!) {
  product(id: $id) {
    id
    productType
    tags
    collections(first: 50) { nodes { title } }
    variants(first: 50) { nodes { sku } }
  }
}
"""

# --- what changed, and what tells of it --------------------------------------------------------

CHANGES = (
    """
query Changes($query: String!, $after: String) {
  orders(first: 100, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes {
      id
      name
      updatedAt
      cancelledAt
      displayFinancialStatus
      displayFulfillmentStatus
      currencyCode
      totalRefundedSet { ...Money }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _MONEY
)

AGAIN = (
    """
query Again($ids: [ID!]!) {
  nodes(ids: $ids) {
    ... on Order {
      id
      name
      updatedAt
      cancelledAt
      displayFinancialStatus
      displayFulfillmentStatus
      currencyCode
      totalRefundedSet { ...Money }
    }
  }
}
"""
    + _MONEY
)

SUBSCRIPTIONS = """
query Subscriptions($after: String) {
  webhookSubscriptions(first: 50, after: $after) {
    nodes { id topic uri }
    pageInfo { hasNextPage endCursor }
  }
}
"""

SUBSCRIBE = """
mutation Subscribe($topic: WebhookSubscriptionTopic!, $input: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $input) {
    webhookSubscription { id }
    userErrors { field message }
  }
}
"""

# --- all of a shop: https://shopify.dev/docs/api/usage/bulk-operations/queries ------------------

BULK_RUN = """
mutation BulkRun($query: String!) {
  bulkOperationRunQuery(query: $query, groupObjects: true) {
    bulkOperation { id status createdAt url partialDataUrl errorCode rootObjectCount }
    userErrors { field message code }
  }
}
"""

BULK_OPERATION = """
query BulkOperation($id: ID!) {
  bulkOperation(id: $id) { id status createdAt url partialDataUrl errorCode rootObjectCount }
}
"""

_BULK_ORDERS = (
    """
{
  orders(query: "SINCE", sortKey: UPDATED_AT) {
    edges {
      node {
"""
    + _ORDER_FIELDS
    + _PAID_FIELDS
    + """
        shippingLines { edges { node { __typename id """
    + _SHIPPING_FIELDS
    + """ } } }
        lineItems { edges { node { __typename """
    + _LINE_FIELDS
    + """ } } }
      }
    }
  }
}
"""
)

_BULK_CUSTOMERS = """
{
  customers(query: "SINCE", sortKey: UPDATED_AT) { edges { node { ...Person } } }
}
"""


def bulk_orders(since: str) -> str:
    """All orders that changed then (ISO 8601) or later, with their lines, the oldest change first."""
    return _spelt_out(_BULK_ORDERS, since)


def bulk_customers(since: str) -> str:
    """All customers that changed then or later; "": all."""
    return _spelt_out(_BULK_CUSTOMERS, since)


def _spelt_out(query: str, since: str) -> str:
    """A bulk query is one operation without variables: what they would say, and fragments, stand in it."""
    for name, fragment in (("Person", _CUSTOMER), ("Address", _ADDRESS), ("Money", _MONEY)):
        inner = fragment[fragment.index("{") + 1 : fragment.rindex("}")]
        query = query.replace(f"...{name}", inner.strip())
    return query.replace("SINCE", f"updated_at:>='{since}'" if since else "")


DOCUMENTS: tuple[str, ...] = (
    SHOP,
    CODE_CREATE,
    FREE_SHIPPING_CREATE,
    VARIANTS_BY_SKU,
    CODE_BY_CODE,
    CODE_DEACTIVATE,
    CODE_DELETE,
    METAFIELDS_SET,
    ORDER,
    ORDER_LINES,
    REFUND,
    CUSTOMER,
    PRODUCT,
    CHANGES,
    SUBSCRIPTIONS,
    SUBSCRIBE,
    AGAIN,
    BULK_RUN,
    BULK_OPERATION,
)
"""All of them, for the test."""
