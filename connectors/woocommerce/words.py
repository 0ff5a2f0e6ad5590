"""What this connector's codes mean, for people."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    # ignored
    "gone_before_delivery": "It was deleted before the shop sent the message.",
    "ping": "A test message of the shop.",
    "staff_account": "An account of the shop's staff is no member.",
    "told_by_order": "The message about the order says this too, so that one is used.",
    "unknown_topic": "The hub does not use messages of this kind.",
    "unused_topic": "Facts about products are looked up when a rule needs them.",
    # the connection
    "bad_callback": "The store's answer holds no API key; connect it again.",
    "bad_key": "The store refused the API key; check consumer_key and consumer_secret.",
    "bad_signature": "The channel's webhook_secret is not the webhook's secret in WooCommerce.",
    "blocked": "Something before WooCommerce refused the hub; allow it in the security plugin or at the host.",
    "captcha": "The store's host asks whether the hub is a robot; have it let the hub's address through.",
    "key_lacks_rights": "The user who owns the API key may not manage WooCommerce.",
    "key_read_only": "The API key may only read; the hub needs one with Read/Write.",
    "https_hidden": "A proxy before the store hides that requests come over https; it must pass X-Forwarded-Proto on.",
    "key_unknown": "The store saw no valid API key; check consumer_key.",
    "no_keys": "Enter store_url, consumer_key and consumer_secret in the channel's settings.",
    "no_rest_api": "There is no WooCommerce at store_url; is it active, and are permalinks not plain?",
    "no_signature": "The message carries no signature.",
    "no_webhook": "The store has no webhook for the hub.",
    "no_webhook_secret": "The channel has no webhook_secret; set one.",
    "redirected": "store_url leads to another address; enter that one.",
    "webhook_off": "WooCommerce switched a webhook off; switch it on again.",
    "webhook_owner_lost_rights": "The WordPress user who owns the webhook may no longer read what it sends.",
    # messages
    "no_lookup": "The answer does not say what was asked.",
    "no_time": "The message does not say when it changed.",
    "not_a_list": "The store answered with something else than a list.",
    "not_money": "An amount in the message is no amount of its currency.",
    "shop_error": "The shop sent an error of its own instead of an order.",
    # codes and balances
    "code_taken": "The store has another coupon with this code.",
    "coupon_*": "The store did not keep the coupon as we wrote it, so it was deleted again.",
    "gone": "What was to be changed does not exist in the store.",
    "no_customer": "The member has no account in this store.",
    "no_email": "The member has no e-mail address to bind the coupon to.",
    "no_id": "The store answered with a coupon that has no id.",
    "no_such_code": "There was no such coupon in the store, so there was nothing to take back.",
    "no_such_id": "Ids of this store are whole numbers.",
    "no_value": "The reward has neither an amount with its currency nor a percentage.",
    "no_such_product": "The store has no product with the SKU that the reward names.",
    "other_currency": "The reward has no amount in the store's currency.",
    "starts_later": "A WooCommerce coupon cannot start in the future.",
    "ok": "The store answers and its webhooks are active.",
}

SETTING_WORDS: Mapping[str, str] = {
    "consumer_key": "A consumer key starts with ck_",
    "consumer_secret": "A consumer secret starts with cs_",
    "store_url": "Enter the store's address, for example https://shop.example.com",
}
"""What is wrong with a setting."""

FORM_WORDS: Mapping[str, tuple[str, str]] = {
    "store_url": (
        "Store address",
        "The Site Address under Settings > General in WordPress, exactly: with or without www., with its folder.",
    ),
    "consumer_key": (
        "Consumer key",
        "WooCommerce > Settings > Advanced > REST API > Add key, with the permissions Read/Write. It begins with ck_.",
    ),
    "consumer_secret": ("Consumer secret", "Shown once, beside the key. It begins with cs_."),
    "webhook_secret": (
        "Webhook secret",
        "The hub has made one: copy it now and enter it in every webhook in WooCommerce. One of your own will do too.",
    ),
    "previous_webhook_secret": (
        "Previous webhook secret",
        "Only while you change the secret: the old one.",
    ),
}
"""Setting -> label, where to find it."""

WAY_WORDS: Mapping[str, tuple[str, str]] = {
    "wc_auth": (
        "Let the hub in at the store",
        "You log in to the store as an administrator, it shows what is asked for, and you approve. Nothing to copy.",
    ),
    "keys": (
        "With an API key you made",
        "For a hub that has no https address, and stores whose plugins keep the other way closed.",
    ),
}
"""Way to connect -> its name, when to take it."""

GUIDE_WORDS: tuple[str, ...] = (
    "In WordPress open WooCommerce > Settings > Advanced > Webhooks and add one webhook for each topic.",
    "Topics of orders: created, updated, deleted, restored.",
    "Topics of customers and coupons: created, updated, deleted.",
    "In each: status Active, the address above as Delivery URL, the webhook secret as Secret, API version v3.",
    "Test the connection, then make a small order. It appears here within seconds.",
)
"""What to do in the shop."""
