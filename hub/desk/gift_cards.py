"""Collecting a gift card for a member."""

from __future__ import annotations

from hub.desk.place import Desk
from hub.members import view
from hub.redemption import gift_cards
from hub.redemption.gift_cards import Collected, Collecting


def collect(desk: Desk, member_id: int, code: str) -> Collected:
    """Its money becomes the member's store credit; once. Raises `NoGiftCard` and `NotCollectable`."""
    member = view.by_id(desk.session, member_id)
    deed = Collecting(desk.program.id, member.id, code, desk.actor, desk.runtime.chain_key)
    done = gift_cards.collect(desk.session, deed)
    if not done.repeated:
        told = {"member": member.public_id, "amount": done.amount, "currency": done.currency}
        desk.note("gift_card.collected", done.voucher, **told)
        desk.tell_balances([member.id])
    return done
