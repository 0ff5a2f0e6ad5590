"""Commands to a shop: make a code, end a code, show a balance. Each is idempotent by its natural key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from connectors.shopify import operations
from connectors.shopify.client import Admin, is_unclear
from connectors.shopify.shop import gid, shop_currency
from hub.connector import ChannelHandle, CreateCode, CustomerKey, Receipt, RevokeCode, SetBalance
from hub.errors import ChannelDown, Misconfigured, Rejected
from hub.money import from_minor

NAMESPACE = "$app:loyalty"
"""Reserved for the app that writes it: another app, or another hub, cannot collide with it.
https://shopify.dev/docs/apps/build/custom-data/ownership"""

_LONGEST_TITLE = 200


def create_code(channel: ChannelHandle, command: CreateCode) -> Receipt:
    """Make a discount that this code, once, and this customer alone can use.

    Shopify keeps codes unique without regard to case. When it says TAKEN, or no answer came, the
    code is looked up and counts as ours if its title carries the voucher's id. One of ours that has
    ended or was used cannot be used again: it is deleted and made anew (the hub re-opens a code when
    the order that used it is cancelled). Raises `Rejected` with code `code_taken` when it is somebody
    else's.
    """
    admin = Admin(channel)
    discount = _discount(command, _currency_for(channel, admin, command))
    try:
        made = admin.change("discountCodeBasicCreate", operations.CODE_CREATE, input=discount)
    except Rejected as error:
        if error.code != "taken":
            raise
        present = _ours(admin, command)
        if not present.is_spent:
            return Receipt(external_id=present.id, changed=False, note="already_there")
        admin.change("discountCodeDelete", operations.CODE_DELETE, id=present.id)
        made = admin.change("discountCodeBasicCreate", operations.CODE_CREATE, input=discount)
    except ChannelDown as error:
        return _perhaps_made(admin, command, error)
    return Receipt(external_id=_node_id(made))


def revoke_code(channel: ChannelHandle, command: RevokeCode) -> Receipt:
    """Deactivate our code: it expires at once and stays taken. A code that is gone, was never made,
    has expired, or is not ours counts as revoked and is left alone."""
    admin = Admin(channel)
    found = _look_up(admin, command.code)
    if found is None:
        return _deactivate_unfound(admin, command)
    if not (found.id == command.external_id or _is_ours(found.title, command.voucher_id)):
        return Receipt(changed=False, note="another_discount")
    if found.status == "expired":
        return Receipt(external_id=found.id, changed=False, note="expired_already")
    return Receipt(external_id=found.id, changed=_deactivate(admin, found.id))


def set_balance(channel: ChannelHandle, command: SetBalance) -> Receipt:
    """Write the balance to the customer's metafields (all or none): `points`, `available`,
    `pending`, `as_of` under `$app:loyalty`."""
    values = {
        "points": ("number_integer", str(command.points)),
        "available": ("number_integer", str(command.available)),
        "pending": ("number_integer", str(command.pending)),
        "as_of": ("date_time", command.as_of.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
    }
    owner = _customer_gid(command.customer)
    metafields = [
        {"ownerId": owner, "namespace": NAMESPACE, "key": key, "type": kind, "value": text}
        for key, (kind, text) in values.items()
    ]
    Admin(channel).change("metafieldsSet", operations.METAFIELDS_SET, metafields=metafields)
    return Receipt(external_id=command.customer.external_id)


# --- the discount ------------------------------------------------------------------------------


def _discount(command: CreateCode, currency: str | None) -> dict[str, Any]:
    """The `DiscountCodeBasicInput`. `combinesWith` is spelled out: stacking is never a default."""
    discount: dict[str, Any] = {
        "code": command.code,
        "title": f"{command.title[:_LONGEST_TITLE]} ({command.voucher_id})",
        "startsAt": command.starts_at.isoformat(),
        "endsAt": command.expires_at.isoformat() if command.expires_at else None,
        "usageLimit": 1,
        "appliesOncePerCustomer": True,
        "context": {"customers": {"add": [_customer_gid(command.customer)]}},
        "combinesWith": {"orderDiscounts": False, "productDiscounts": False, "shippingDiscounts": False},
        "customerGets": {"items": {"all": True}, "value": _value(command, currency)},
    }
    if command.minimum_total and currency:
        least = _plain(command.minimum_total, currency)
        discount["minimumRequirement"] = {"subtotal": {"greaterThanOrEqualToSubtotal": least}}
    return discount


def _value(command: CreateCode, currency: str | None) -> dict[str, Any]:
    if command.amount is not None and currency:
        return {
            "discountAmount": {"amount": _plain(command.amount, currency), "appliesOnEachItem": False}
        }
    if command.percent is None:
        raise Rejected("no_value", "the voucher has neither an amount nor a percentage")
    # GraphQL's Float is a JSON number from 0 to 1; hundredths of a percent are exact in four digits.
    return {"percentage": round(command.percent / 10_000, 4)}


def _plain(amount: int, currency: str) -> str:
    return format(from_minor(amount, currency), "f")


def _currency_for(channel: ChannelHandle, admin: Admin, command: CreateCode) -> str | None:
    """The shop's currency where the command has an amount: Shopify reads amounts in it, so ten
    dollars pushed to a shop that sells in dong would become ten dong."""
    if command.amount is None and command.minimum_total is None:
        return None
    currency = shop_currency(channel, admin)
    if command.currency is not None and command.currency != currency:
        raise Misconfigured(
            "other_currency",
            f"the reward is worth an amount in {command.currency}, but the shop sells in {currency}: "
            f"give the reward an amount in {currency}",
        )
    return currency


def _customer_gid(customer: CustomerKey) -> str:
    if not customer.external_id:
        raise Rejected("no_customer_id", "the member is no customer of this shop yet")
    return gid("Customer", customer.external_id)


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
