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
    "bad_callback": "The shop's answer lacks what it must hold; connect the shop again.",
    "bad_callback_signature": "The shop's answer bears a wrong signature; the client secret is not the app's.",
    "client_refused": "Shopify grants no token; check client_id and client_secret.",
    "code_refused": "Shopify does not take the code it sent; check client ID and client secret, then connect again.",
    "late_callback": "The shop's answer came later than 90 seconds; connect the shop again.",
    "not_connected": "The hub holds no tokens of the shop; connect it again.",
    "refresh_refused": "Shopify renews our token no more (removed, or 90 days without use); connect the shop again.",
    "forbidden": "Shopify denies access; give the app the scopes it needs.",
    "merged_customers": "Connected. Without the scope read_customer_merge, merged customers are not followed.",
    "missing_scopes": "The app lacks scopes; give it those it needs.",
    "no_api_access": "Enter access_token, or client_id and client_secret, in the channel's settings.",
    "no_signature": "The message carries no signature.",
    "no_such_shop": "Shopify knows no such shop or API version; check shop and api_version.",
    "last_60_days": "Shopify shows the hub the orders of the last 60 days only. Give the app the scope "
    "read_all_orders and begin again, to have the older ones too.",
    "bulk_busy": "The shop is busy gathering data for other apps or for us; we ask again in two minutes.",
    "bulk_failed": "Shopify stopped gathering half-way. What it had is kept; it goes on from there.",
    "one_by_one": "Shopify could not gather the orders in one go; they are read one by one, which takes longer.",
    "no_list_of_customers": "Shopify could not gather the customers; orders are read one by one, each with its "
    "customer. Customers who have not bought yet are left out; each becomes a member with the first order.",
    "older_orders": "Connected. Without the scope read_all_orders, orders older than 60 days are not seen.",
    "other_shop": "It belongs to another shop than this channel's; check shop.",
    "redirected": "The shop's address leads elsewhere; check shop.",
    "shop_frozen": "The shop is frozen; its owner has to settle an open bill with Shopify.",
    "shop_inactive": "The shop is not active at Shopify.",
    "shop_locked": "Shopify has locked the shop.",
    "token_refused": "Shopify refuses our token (removed or revoked); install the app again.",
    "needs_https": "Shopify sends to public https addresses only; set the hub's public address (PUBLIC_URL).",
    "version_drift": "The app is configured for another API version than the hub asks in; set it to the hub's there.",
    "version_expired": "Shopify has retired this API version; raise api_version.",
    "ok": "Connected.",
    # passing trouble
    "bad_answer": "Shopify's answer lacks what it must hold.",
    "internal_server_error": "Shopify has trouble of its own.",
    "service_unavailable": "Shopify has trouble of its own.",
    "throttled": "Shopify asks us to slow down; it goes out a little later.",
    "token_not_kept": "The new token could not be stored; it is asked for again by itself.",
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
    "previous_webhook_secret": (
        "Client secret before the last change",
        "Shopify may sign with it for an hour after the secret was changed.",
    ),
    "client_secret": (
        "Another secret for tokens",
        "Only where the app's tokens are had with another secret than the one that signs the webhooks.",
    ),
    "combines_with": (
        "Discounts that our codes may be used beside",
        "order, product, shipping, with commas between them. Empty: each code stands alone.",
    ),
    "api_version": (
        "Version of Shopify's interface",
        "As it is, unless the hub tells you that Shopify has retired it.",
    ),
    "api_base": (
        "Address instead of Shopify's own",
        "Empty for every real shop. For trying things out with a sandbox.",
    ),
}
"""Setting -> label, where to find it."""

WAY_WORDS: Mapping[str, tuple[str, str]] = {
    "credentials": (
        "With an app of your own organisation",
        "You made the app in the Dev Dashboard and installed it in a shop of the same organisation. The simplest way.",
    ),
    "code": (
        "Let an app in at Shopify",
        "The app belongs to somebody else, an agency for example: Shopify shows what it asks for, and you agree.",
    ),
    "pasted": (
        "With a token you have",
        "An app that was made in the shop's admin before 2026 has a token (shpat_...) that never changes.",
    ),
}
"""Way to connect -> its name, when to take it."""

GUIDE_WORDS: tuple[str, ...] = (
    "Give the app these access scopes, then install it in the shop.",
    "Scopes: read_orders, read_customers, write_customers, read_discounts, write_discounts.",
    "And read_products, read_locations.",
    "Let the app subscribe the address above to these topics.",
    "Orders: orders/create, orders/paid, orders/updated, orders/edited, orders/cancelled, orders/delete.",
    "Refunds: refunds/create.",
    "Customers: customers/create, customers/update, customers/delete, customers/merge. And app/uninstalled.",
    "Webhooks made by hand under Settings > Notifications are signed with another secret and are refused.",
    "Test the connection, then make a small order. It appears here within seconds.",
)
"""What to do in the shop."""
