"""What this connector's codes mean, for people."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    # ignored
    "automatic_discount": "An automatic discount has no code, so it is none of ours.",
    "data_request": "A customer asks for their data; the merchant answers it.",
    "merge_failed": "Shopify did not merge the two customers.",
    "merge_not_finished": "Shopify is still merging the two customers; another message follows.",
    "not_visible": "Shopify does not show it to the hub; orders older than 60 days need one more scope.",
    "unknown_topic": "The hub does not use messages of this kind.",
    # the connection
    "access_denied": "Shopify denies access; give the app the scopes it needs.",
    "bad_signature": "The channel's webhook_secret is not the app's client secret in Shopify.",
    "client_refused": "Shopify grants no token; check client_id and client_secret.",
    "forbidden": "Shopify denies access; give the app the scopes it needs.",
    "missing_scopes": "The app lacks scopes; give it those it needs.",
    "no_api_access": "Enter access_token, or client_id and client_secret, in the channel's settings.",
    "no_signature": "The message carries no signature.",
    "no_such_shop": "Shopify knows no such shop or API version; check shop and api_version.",
    "other_shop": "It belongs to another shop than this channel's; check shop.",
    "redirected": "The shop's address leads elsewhere; check shop.",
    "shop_frozen": "The shop is frozen; its owner has to settle an open bill with Shopify.",
    "shop_inactive": "The shop is not active at Shopify.",
    "shop_locked": "Shopify has locked the shop.",
    "token_refused": "Shopify refuses our token (removed or revoked); install the app again.",
    "version_expired": "Shopify has retired this API version; raise api_version.",
    "ok": "Connected.",
    # passing trouble
    "bad_answer": "Shopify's answer lacks what it must hold.",
    "internal_server_error": "Shopify has trouble of its own.",
    "service_unavailable": "Shopify has trouble of its own.",
    "throttled": "Shopify asks us to slow down; it goes out a little later.",
    "token_under_way": "Another worker is asking Shopify for a token; it goes out a little later.",
    # messages
    "bad_amount": "An amount in the message is no amount of its currency.",
    # codes and balances
    "already_there": "The code was there already.",
    "another_discount": "The code belongs to another discount of the shop now, so it was left alone.",
    "bad_id": "This is no id of Shopify's.",
    "code_taken": "Another discount of the shop has this code.",
    "expired_already": "The code had expired already.",
    "graphql_error": "Shopify refused the request.",
    "made_answer_lost": "The code was made, although Shopify's answer was lost.",
    "no_customer_id": "The member is no customer of this shop yet.",
    "no_such_code": "There was no such code in the shop, so there was nothing to take back.",
    "no_such_lookup": "Shopify cannot be asked for this.",
    "no_value": "The reward has neither an amount nor a percentage.",
    "no_price": "The shop does not say what the product costs.",
    "no_such_product": "The shop has no product with the SKU that the reward names.",
    "other_currency": "The reward has no amount in the shop's currency.",
    "user_error": "Shopify refused the request.",
}

SETTING_WORDS: Mapping[str, str] = {
    "access_token": "Enter either an access token or a client id, not both",
    "api_base": "Enter an address, for example http://127.0.0.1:9000, or leave it empty",
    "api_version": "Enter a version such as 2026-10",
    "client_id": "The client secret needs a client id",
    "combines_with": "Enter any of order, product and shipping, with commas between them, or leave it empty",
    "shop": "Enter the shop's permanent name, for example example.myshopify.com",
}
"""What is wrong with a setting."""

FORM_WORDS: Mapping[str, tuple[str, str]] = {
    "shop": ("Shop", "The permanent name, for example example.myshopify.com."),
    "webhook_secret": (
        "Client secret of the app",
        "In the Dev Dashboard, under the app's settings (in older apps: API secret key). It signs the webhooks.",
    ),
    "client_id": (
        "Client ID of the app",
        "Beside the client secret. The hub gets its tokens with both.",
    ),
    "access_token": (
        "Access token",
        "Instead of a client ID: the token (shpat_...) of an app made in the shop's admin before 2026.",
    ),
}
"""Setting -> label, where to find it."""

GUIDE_WORDS: tuple[str, ...] = (
    "Give the app these access scopes, then install it in the shop.",
    "Scopes: read_orders, read_customers, write_customers, read_discounts, write_discounts, read_products.",
    "Let the app subscribe the address above to these topics.",
    "Orders: orders/create, orders/paid, orders/updated, orders/edited, orders/cancelled, orders/delete.",
    "Refunds: refunds/create.",
    "Customers: customers/create, customers/update, customers/delete, customers/merge. And app/uninstalled.",
    "Webhooks made by hand under Settings > Notifications are signed with another secret and are refused.",
    "Test the connection, then make a small order. It appears here within seconds.",
)
"""What to do in the shop."""
