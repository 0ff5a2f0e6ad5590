"""Giving a guest's order to a member, and taking that back.

A claim is written on the sale itself and comes first in its attribution (rules.md A3); then the sale
is judged and posted anew by the very code that posts messages (C1), so what follows later, a refund
or a replay, finds it claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.bulk import run
from hub.canonical import CustomerRef
from hub.desk.place import Desk, changed, rehearsal
from hub.i18n import gettext as _
from hub.members import view
from hub.members.identity import email, phone
from hub.members.resolve import Directory, Mention, resolve
from hub.outbox import channels
from hub.redemption import uses
from hub.redemption.uses import Locked as Vouchers
from hub.sync.ground import ground_of
from hub.transactions.post import Key, Transaction, post_arrivals


class NotClaimable(Exception):
    """This order cannot be given away, or was not; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim, or its release, came to."""

    member: str
    """Public id."""
    points: int
    """By how much the member's balance moved."""
    balance: int
    debt: int


def claim(desk: Desk, transaction_id: str, member_id: int) -> Claimed:
    """Give an order that belongs to nobody to a member, with the points it earns (D7: points that
    have expired meanwhile are given and expire at once). A second time changes nothing. Raises
    `NotClaimable` and `LookupError`."""
    row = _lock(desk, transaction_id)
    member = view.by_id(desk.session, member_id)
    if row.claim_member_id is None and row.member_id is not None:
        raise NotClaimable(_("The order belongs to a member already; its messages name them."))
    if row.claim_member_id is not None and view.by_id(desk.session, row.claim_member_id).id != member.id:
        raise NotClaimable(_("The order was given to another member; take it back from them first."))
    if row.waiting_for == "sale":
        raise NotClaimable(_("Of this order only a refund has come; there is nothing to give yet."))
    if row.claim_member_id is not None:
        now = view.balance(desk.session, member.id, desk.runtime.clock())
        return Claimed(member.public_id, 0, now["balance"], now["debt"])
    return _attribute(desk, row, member, "order.claimed", member.id)


def release(desk: Desk, transaction_id: str) -> Claimed:
    """Take a claim back: the order is attributed as its messages say, most often to nobody, and its
    points are taken back. Raises `NotClaimable` and `LookupError`."""
    row = _lock(desk, transaction_id)
    if row.claim_member_id is None:
        raise NotClaimable(_("This order was not given to anybody by hand."))
    member = view.by_id(desk.session, row.claim_member_id)
    return _attribute(desk, row, member, "order.claim_released", None)


def preview(desk: Desk, transaction_id: str, member_id: int) -> Claimed:
    """What `claim` would come to; raises what it would raise."""
    with rehearsal(desk.session):
        return claim(desk, transaction_id, member_id)


def preview_release(desk: Desk, transaction_id: str) -> Claimed:
    """What `release` would come to."""
    with rehearsal(desk.session):
        return release(desk, transaction_id)


def is_contact(text: str, region: str) -> bool:
    """Whether a member could be made of this text: a valid phone or e-mail."""
    return bool(phone(text, region) or email(text))


def enrol(desk: Desk, text: str, name: str = "") -> int:
    """The member with this phone or e-mail, made when nobody has it yet. Call it before `claim`:
    identities are locked before transactions (rules.md C4). Raises `Collision` (do it again) and
    `ValueError` when the text is neither."""
    if not is_contact(text, desk.program.region):
        raise ValueError("neither a phone nor an e-mail")
    ref = CustomerRef(phones=(text,), emails=(text,), name=name.strip())
    mention = Mention.of(ref, channel_id=0, region=desk.program.region)
    directory = resolve(desk.session, desk.program.id, [mention])
    member_id = directory.find(mention)
    assert member_id is not None
    if member_id in directory.new_members:
        desk.note("member.enrolled", view.by_id(desk.session, member_id).public_id)
    return directory.root(member_id)


def _lock(desk: Desk, transaction_id: str) -> Any:
    rows = run(
        desk.session,
        """SELECT id, public_id, channel_id, external_id, member_id, claim_member_id, waiting_for
           FROM transactions WHERE program_id = :program AND public_id = :id FOR NO KEY UPDATE""",
        {"program": desk.program.id, "id": transaction_id},
    )
    if not rows:
        raise LookupError(transaction_id)
    return rows[0]


def _attribute(desk: Desk, row: Any, member: Any, action: str, claimed_by: int | None) -> Claimed:
    before = view.balance(desk.session, member.id, desk.runtime.clock())
    run(
        desk.session,
        "UPDATE transactions SET claim_member_id = :member WHERE id = :id",
        {"member": claimed_by, "id": row.id},
    )
    members = post_again(desk, (row.channel_id, row.external_id))
    after = view.balance(desk.session, member.id, desk.runtime.clock())
    desk.note(action, row.public_id, member=member.public_id, points=changed(before, after))
    desk.tell_balances({member.id, *members})
    return Claimed(member.public_id, changed(before, after), after["balance"], after["debt"])


def post_again(desk: Desk, key: Key) -> set[int]:
    """Judge and post one sale anew. Returns the members whose points may have changed by it."""
    return post_all_again(desk, [key])[1]


def post_all_again(desk: Desk, keys: Sequence[Key]) -> tuple[dict[Key, Transaction], set[int]]:
    """Judge and post sales anew, as one batch. Returns them, and the members whose points may have
    changed by it."""
    through = {channel for channel, _ in keys}
    known = {c.id: c for c in channels.of_program(desk.session, desk.program.id)}
    known |= channels.by_ids(desk.session, sorted(through))
    kinds = {channel: desk.runtime.connector_class(known[channel].kind) for channel in through}
    ground = ground_of(desk.runtime, desk.session, desk.program, known, kinds, actor=desk.actor)
    vouchers: list[Vouchers] = []

    def lock_vouchers(transactions: Mapping[Key, Transaction]) -> set[int]:
        found = list(transactions.values())
        vouchers.append(uses.lock(desk.session, desk.program.id, desk.runtime.chain_key, found))
        return vouchers[0].owners

    transactions = post_arrivals(
        desk.session, ground, [], Directory(), also=keys, before_posting=lock_vouchers
    )
    touched = vouchers[0].settle(ground.situations, known.values())
    moved = {t.member_id for t in transactions.values() if t.change or t.key in keys}
    touched |= {member for t in transactions.values() for member in t.touched}
    return transactions, touched | {member for member in moved if member is not None}
