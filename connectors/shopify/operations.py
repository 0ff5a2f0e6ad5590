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

_LINES = """
fragment Lines on LineItemConnection {
  nodes {
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
  }
  pageInfo { hasNextPage endCursor }
}
"""

ORDER = (
    """
query Order($id: ID!) {
  order(id: $id) {
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
    shippingLines(first: 5) {
      nodes {
        isRemoved
        originalPriceSet { ...Money }
        discountAllocations { allocatedAmountSet { ...Money } }
        taxLines { priceSet { ...Money } }
      }
    }
    transactions(first: 20) { kind status gateway processedAt amountSet { ...Money } }
    refunds(first: 100) { id }
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
)
"""All of them, for the test."""
