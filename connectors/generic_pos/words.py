"""What this connector's codes mean, for people."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "bad_secret": "The secret must be whsec_ followed by a key in base64.",
    "bad_signature": "No signature of the message fits the channel's webhook_secret.",
    "callback_forbidden": "The till does not let the hub in; allow the hub's address there.",
    "callback_gone": "The till wants no callbacks any more; clear callback_url or correct it.",
    "callback_not_found": "There is nothing at callback_url that takes our messages; correct the address.",
    "callback_unsigned": "The till refused our signature; give it this channel's webhook_secret.",
    "does_not_add_up": "The amounts of the sale do not add up.",
    "no_id": "The message has no webhook-id.",
    "no_timestamp": "The message has no webhook-timestamp in whole Unix seconds.",
    "no_webhook_secret": "The channel has no webhook_secret; set one.",
    "not_money": "An amount in the message is no amount of its currency.",
    "redirected": "callback_url answers with a redirect; enter where it leads.",
    "till_asks": "The till asks the hub when it needs it, so nothing was sent.",
    "too_old": "The message is over five minutes old; sign each attempt anew and set the till's clock.",
    "twice": "Two lines of the sale have the same id.",
    "unknown_type": "The hub does not know this type of message.",
}

LABEL_WORDS: tuple[str, ...] = ("Till (hub.sale/1)",)

FORM_WORDS: Mapping[str, tuple[str, str]] = {
    "webhook_secret": (
        "Secret",
        "The hub has made one: copy it into the till now. One of your own is whsec_ and 24 to 64 bytes in base64.",
    ),
    "callback_url": (
        "Where codes and balances go",
        "An address of the till. Empty: the till asks the hub when it needs them.",
    ),
    "previous_webhook_secret": (
        "Previous secret",
        "Only while you change the secret: the old one.",
    ),
}
"""Setting -> label, what it is."""

GUIDE_WORDS: tuple[str, ...] = (
    "Enter the address above and the secret in the till.",
    "The till signs each message with the secret, by Standard Webhooks.",
    "Let it send a small sale. It appears here within seconds.",
)
"""What to do at the till."""
