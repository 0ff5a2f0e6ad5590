"""Commands to a shop: make a code, end a code, show a balance. Each is idempotent by its natural key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from connectors.shopify import discounts, operations
from connectors.shopify.client import Admin
from connectors.shopify.discounts import customer_gid
from connectors.shopify.endpoint import is_unclear
from hub.connector import ChannelHandle, CodeThere, CreateCode, Receipt, RevokeCode, SetBalance
from hub.errors import ChannelDown, Rejected

NAMESPACE = "$app:loyalty"
"""Reserved for the app that writes it: another app, or another hub, cannot collide with it.
https://shopify.dev/docs/apps/build/custom-data/ownership"""


def create_code(channel: ChannelHandle, command: CreateCode) -> Receipt:
    """Make a discount that this code, once, and this customer alone can use.

    Shopify keeps codes unique without regard to case. When it says TAKEN, or no answer came, the
    code is looked up and counts as ours if its title carries the voucher's id. One of ours that has
    ended or was used cannot be used again: it is deleted and made anew (the hub re-opens a code when
    the order that used it is cancelled). Raises `Rejected` with code `code_taken` when it is somebody
    else's.
    """
    admin = Admin(channel)
    try:
        made = discounts.make(channel, admin, command)
    except Rejected as error:
        if error.code != "taken":
            raise
        present = _ours(admin, command)
        if not present.is_spent:
            return Receipt(external_id=present.id, changed=False, note="already_there")
        admin.change("discountCodeDelete", operations.CODE_DELETE, id=present.id)
        made = discounts.make(channel, admin, command)
    except ChannelDown as error:
        return _perhaps_made(admin, command, error)
    return Receipt(external_id=_node_id(made))


def revoke_code(channel: ChannelHandle, command: RevokeCode) -> Receipt:
    """Deactivate our code: it expires at once and stays taken. A code that is gone, was never made,
    has expired, or is not ours counts as revoked and is left alone. Goes ahead of look-ups and balances
    where the rate limit is short: until then the code can be used a second time."""
    admin = Admin(channel, urgent=True)
    found = _look_up(admin, command.code)
    if found is None:
        return _deactivate_unfound(admin, command)
    if not (found.id == command.external_id or _is_ours(found.title, command.voucher_id)):
        return Receipt(changed=False, note="another_discount")
    if found.status == "expired":
        return Receipt(external_id=found.id, changed=False, note="expired_already")
    return Receipt(external_id=found.id, changed=_deactivate(admin, found.id))


def read_code(channel: ChannelHandle, code: RevokeCode) -> CodeThere | None:
    """The discount with this code, where its title carries our voucher's id."""
    found = _look_up(Admin(channel), code.code)
    if found is None or not (found.id == code.external_id or _is_ours(found.title, code.voucher_id)):
        return None
    return CodeThere(not found.is_spent, found.uses > 0)


def set_balance(channel: ChannelHandle, command: SetBalance) -> Receipt:
    """Write the balance to the customer's metafields (all or none): `points`, `available`,
    `pending`, `as_of` under `$app:loyalty`."""
    values = {
        "points": ("number_integer", str(command.points)),
        "available": ("number_integer", str(command.available)),
        "pending": ("number_integer", str(command.pending)),
        "as_of": ("date_time", command.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
    }
    owner = customer_gid(command.customer)
    metafields = [
        {"ownerId": owner, "namespace": NAMESPACE, "key": key, "type": kind, "value": text}
        for key, (kind, text) in values.items()
    ]
    Admin(channel).change("metafieldsSet", operations.METAFIELDS_SET, metafields=metafields)
    return Receipt(external_id=command.customer.external_id)


# --- looking up --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Discount:
    """A code as the shop has it."""

    id: str
    title: str
    status: str
    """Lower case."""
    uses: int

    @property
    def is_spent(self) -> bool:
        """Whether it can be used no more; each of ours may be used once."""
        return self.status == "expired" or self.uses > 0


def _look_up(admin: Admin, code: str) -> _Discount | None:
    """A code as the shop has it; immediate and without regard to case, where a
    search over `discountNodes` still shows nothing right after a write."""
    node = admin.run(operations.CODE_BY_CODE, code=code).node("codeDiscountNodeByCode")
    if node is None:
        return None
    discount = node.get("codeDiscount")
    texts = discount if isinstance(discount, dict) else {}
    uses = texts.get("asyncUsageCount")
    return _Discount(
        str(node.get("id")),
        str(texts.get("title") or ""),
        str(texts.get("status") or "").lower(),
        uses if isinstance(uses, int) else 0,
    )


def _ours(admin: Admin, command: CreateCode) -> _Discount:
    found = _look_up(admin, command.code)
    if found is None or not _is_ours(found.title, command.voucher_id):
        raise Rejected("code_taken", "another discount of the shop already uses this code")
    return found


def _perhaps_made(admin: Admin, command: CreateCode, error: ChannelDown) -> Receipt:
    """No answer came: the code may have been made. If it was, the command is carried out."""
    if not is_unclear(error):
        raise error
    try:
        found = _look_up(admin, command.code)
    except ChannelDown:
        raise error from None
    if found is None or not _is_ours(found.title, command.voucher_id) or found.is_spent:
        raise error
    return Receipt(external_id=found.id, note="made_answer_lost")


def _is_ours(title: str, voucher_id: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(voucher_id)}(?!\w)", title) is not None


def _deactivate_unfound(admin: Admin, command: RevokeCode) -> Receipt:
    """The code is unknown; a merchant may have changed it under a discount whose id we keep."""
    if command.external_id is None or not command.external_id.startswith("gid://"):
        return Receipt(changed=False, note="no_such_code")
    return Receipt(external_id=command.external_id, changed=_deactivate(admin, command.external_id))


def _deactivate(admin: Admin, node_id: str) -> bool:
    """False when the discount does not exist (any more)."""
    try:
        admin.change("discountCodeDeactivate", operations.CODE_DEACTIVATE, id=node_id)
    except Rejected as error:
        if error.code == "invalid" and "does not exist" in error.detail:
            return False
        raise
    return True


def _node_id(payload: dict[str, Any]) -> str | None:
    node = payload.get("codeDiscountNode")
    return node.get("id") if isinstance(node, dict) else None
