"""Events that earn points, and who brought whom: told by API, command line, or seen by the hub."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from hub.actions import referrals
from hub.actions.record import Deed, Recorded, record_action
from hub.actions.referrals import Referred
from hub.canonical import CustomerRef
from hub.desk.place import Desk
from hub.ledger import accounts
from hub.members import view
from hub.members.resolve import Mention, resolve
from hub.program import store
from hub.program.rules import in_force
from hub.transactions import standing

CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of ours a caller's clock may be."""

PERSON = ("phone", "email", "card")


class NotYet(Exception):
    """Told of something that lies in the future."""


def person(desk: Desk, told: Mapping[str, str]) -> int:
    """The member (root) with this phone, e-mail or card, made when nobody has it yet; one of `PERSON` is
    told. Raises `ValueError` when it is no valid one, and `Collision`: do it again."""
    ref = CustomerRef(
        phones=(told["phone"],) if "phone" in told else (),
        emails=(told["email"],) if "email" in told else (),
        cards=(told["card"],) if "card" in told else (),
    )
    mention = Mention.of(ref, channel_id=0, region=desk.program.region)
    if not mention.keys:
        raise ValueError("neither a phone nor an e-mail nor a card")
    directory = resolve(desk.session, desk.program.id, [mention])
    member_id = directory.find(mention)
    assert member_id is not None
    if member_id in directory.new_members:
        desk.note("member.enrolled", view.by_id(desk.session, member_id).public_id)
    return directory.root(member_id)


def act(desk: Desk, member_id: int, action: str, *, key: str, at: datetime | None = None) -> Recorded:
    """Record that a member did something, and give its points: once for each key. Raises
    `ActionKeyReused`, `NotYet`, and `RootChanged`: do it again."""
    now = desk.runtime.clock()
    if at is not None and at > now + CLOCK_SKEW:
        raise NotYet
    member = view.by_id(desk.session, member_id)
    deed = Deed(
        desk.program.id, member.id, action, key, at or now, desk.actor, desk.runtime.chain_key,
        told_at=at,
    )  # fmt: skip
    rules = in_force(store.versions(desk.session, desk.program), deed.at)
    done = record_action(desk.session, deed, rules)
    if done.points and not done.repeated:
        desk.note("action.recorded", done.id, event=action, points=done.points)
        standing.look_again(desk.session, rules, [member.id])
        desk.tell_balances([member.id])
    return done


def refer(desk: Desk, referrer_id: int, friend_id: int, *, at: datetime | None = None) -> Referred:
    """Note that one member brought another, and give what the friend's orders bring already. Raises
    `NotReferable`, `NotYet`, and `RootChanged`: do it again."""
    now = desk.runtime.clock()
    if at is not None and at > now + CLOCK_SKEW:
        raise NotYet
    referrer, friend = (view.by_id(desk.session, m).id for m in (referrer_id, friend_id))
    accounts.lock(
        desk.session,
        desk.program.id,
        [referrer, friend],
        chain_key=desk.runtime.chain_key,
        actor=desk.actor,
    )
    told = referrals.refer(
        desk.session, desk.program.id, referrer, friend, at=at or now, actor=desk.actor
    )
    if told.repeated:
        return told
    desk.note("referral.told", told.id)
    touched = referrals.settle(
        desk.session,
        desk.program.id,
        referrals.of_friends(desk.session, desk.program.id, [friend]),
        store.versions(desk.session, desk.program),
        chain_key=desk.runtime.chain_key,
        actor=desk.actor,
    )
    desk.tell_balances(touched)
    return told
