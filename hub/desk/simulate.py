"""What a cart, or an order of the past, would earn by the rules in force or by a draft of them.

A simulation is the posting itself, rolled back: caps, tiers and debts come out as they would. It holds
the member's account locked for a moment, and nothing of it stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from hub import words
from hub.bulk import run
from hub.canonical import CustomerRef, Line, Place, Sale, SaleState, Traits
from hub.desk.place import Desk, rehearsal
from hub.ids import new_id, new_token
from hub.members import view
from hub.members.resolve import Directory, Mention, look_up
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.expiry import NOT_YET
from hub.program.nudges import Nudge, nudges
from hub.program.rules import Rules
from hub.sync.ground import ground_of
from hub.transactions import standing
from hub.transactions.judge import Situation, basket
from hub.transactions.merge import Contribution
from hub.transactions.post import Arrival, Ground, Key, Transaction, post_arrivals

CART_CHANNEL = "cart"
"""The kind of the channel of a cart that names none: rules about channels do not apply to it."""


@dataclass(frozen=True, slots=True)
class Cart:
    """What somebody has in hand; money in minor units of `currency`."""

    currency: str
    lines: tuple[Line, ...]
    placed_at: datetime
    shipping: int = 0
    shipping_tax: int = 0
    channel: str = CART_CHANNEL
    """A connector kind, or the id of a channel."""
    location: str | None = None
    member: str | None = None
    """Public id; None: a guest."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a sale would earn."""

    points: int
    steps: Sequence[Mapping[str, Any]]
    why: str | None
    rules: Rules
    available_at: datetime | None
    """None: once the order is handed over."""
    expires_at: datetime | None
    member: str | None = None
    """Public id of who would get them."""
    change: int = 0
    """By how much the balance would move: for an order of the past, the difference to what it has."""
    before: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, int] = field(default_factory=dict)
    """The member's points: balance, available, pending, debt."""
    tiers: tuple[str | None, str | None] = (None, None)
    """The member's tier before and after."""
    nudges: tuple[Nudge, ...] = ()
    waits_for: str | None = None
    """`lookup`: the rules ask for categories that nobody has told yet."""


def simulate_cart(desk: Desk, cart: Cart, draft: Rules | None = None) -> Simulated:
    """What the cart would earn if it were paid at `placed_at`. Raises `LookupError` naming a channel or
    member that does not exist, and `RootChanged` (do it again)."""
    with rehearsal(desk.session):
        channel = _channel(desk, cart.channel)
        ground = _ground_of_cart(desk, channel, draft)
        mention, directory = _buyer(desk, cart, channel)
        sale = sale_of(cart, mention.ref if mention else None)
        arrival = Arrival(
            (channel.id, sale.external_id),
            None,
            Contribution("snapshot", "", sale.version, sale.as_of, sale.external_id, sale),
            0,
        )
        member_id = directory.find(mention) if mention else None
        return _simulated(desk, ground, arrival.key, member_id, [arrival], directory)


def simulate_order(desk: Desk, transaction_id: str, draft: Rules | None = None) -> Simulated:
    """What an order of the past would have now, judged anew. Raises `LookupError` and `RootChanged`."""
    rows = run(
        desk.session,
        "SELECT channel_id, external_id, member_id FROM transactions WHERE program_id = :program AND public_id = :id",
        {"program": desk.program.id, "id": transaction_id},
    )
    if not rows:
        raise LookupError(transaction_id)
    key = (rows[0].channel_id, rows[0].external_id)
    with rehearsal(desk.session):
        if draft is not None:  # who bought is found out by the draft's own tiers and segments
            _forget_context(desk, key)
        return _simulated(desk, _ground_of_order(desk, key, draft), key, rows[0].member_id)


def _forget_context(desk: Desk, key: Key) -> None:
    run(
        desk.session,
        """DELETE FROM sale_contexts WHERE transaction_id IN
           (SELECT id FROM transactions WHERE channel_id = :channel AND external_id = :id)""",
        {"channel": key[0], "id": key[1]},
    )


def told(found: Simulated, *, is_draft: bool) -> dict[str, Any]:
    """A simulation as the API and `hub simulate --json` tell it."""
    return {
        "points": found.points,
        "why": found.why,
        "steps": [{**step, "text": words.of_step(step)} for step in found.steps],
        "version": None if is_draft else found.rules.number,
        "available_at": found.available_at,
        "expires_at": found.expires_at,
        "member": found.member,
        "change": found.change,
        "before": found.before or None,
        "after": found.after or None,
        "tier_before": found.tiers[0],
        "tier_after": found.tiers[1],
        "nudges": [{**nudge, "text": words.of_nudge(nudge)} for nudge in found.nudges],
        "waits_for": found.waits_for,
    }


def _simulated(
    desk: Desk,
    ground: Ground,
    key: Key,
    member_id: int | None,
    arrivals: Sequence[Arrival] = (),
    directory: Directory | None = None,
) -> Simulated:
    """Look, post it, look again, and leave the undoing to the caller."""
    now = desk.runtime.clock()
    before = None if member_id is None else _stands(desk, ground, _root(desk, member_id), now)
    posted = post_arrivals(desk.session, ground, arrivals, directory or Directory(), also=[key])[key]
    verdict = posted.verdict
    if verdict is None:
        raise LookupError(key[1])
    found = Simulated(
        points=verdict.judgement.points,
        steps=verdict.judgement.steps,
        why=verdict.judgement.why,
        rules=verdict.rules,
        available_at=verdict.available_at if verdict.available_at != NOT_YET else None,
        expires_at=verdict.expires_at,
        change=posted.change,
        waits_for=posted.waiting_for,
    )
    return _with_member(desk, ground, found, posted, before, now)


def _with_member(
    desk: Desk,
    ground: Ground,
    found: Simulated,
    posted: Transaction,
    before: tuple[Mapping[str, int], str | None] | None,
    now: datetime,
) -> Simulated:
    sale, at = posted.sale, posted.placed_at or now
    bought = None
    if sale is not None:
        bought = basket(sale, "paid", posted.line_facts, ground.situations[posted.key[0]], at)
    if posted.member_id is None or before is None:
        short_of = nudges(found.rules, available=found.points, at=at, basket=bought)
        return replace(found, nudges=short_of)
    member = view.by_id(desk.session, _root(desk, posted.member_id))
    after, tier_after = _stands(desk, ground, member.id, now)
    reach = after["available"] + after["pending"]
    return replace(
        found,
        member=member.public_id,
        before=before[0],
        after=after,
        tiers=(before[1], tier_after),
        nudges=nudges(found.rules, available=reach, at=at, basket=bought),
    )


def _stands(
    desk: Desk, ground: Ground, member_id: int, now: datetime
) -> tuple[Mapping[str, int], str | None]:
    """A member's points and tier."""
    points = view.balance(desk.session, member_id, now)
    if not standing.keeps_tiers(ground.versions):
        return points, None
    stands = standing.of_member(desk.session, ground.program_id, ground.versions, member_id, now)
    return points, stands.progress.tier


def _root(desk: Desk, member_id: int) -> int:
    root: int = view.by_id(desk.session, member_id).id
    return root


# --- what it is judged by ------------------------------------------------------------------------


def _ground_of_order(desk: Desk, key: Key, draft: Rules | None) -> Ground:
    known = {c.id: c for c in channels.of_program(desk.session, desk.program.id)}
    known |= channels.by_ids(desk.session, [key[0]])
    kinds = {key[0]: desk.runtime.connector_class(known[key[0]].kind)}
    ground = ground_of(desk.runtime, desk.session, desk.program, known, kinds, actor=desk.actor)
    return ground if draft is None else _by_draft(ground, draft)


def _ground_of_cart(desk: Desk, channel: Channel, draft: Rules | None) -> Ground:
    versions = store.versions(desk.session, desk.program)
    situation = Situation(versions, desk.program.starts_at, (), channel.kind, channel.public_id)
    ground = Ground(
        desk.program.id,
        {channel.id: channel},
        traits={channel.id: Traits()},
        situations={channel.id: situation},
        readers={channel.id: 0},
        chain_key=desk.runtime.chain_key,
        actor=desk.actor,
    )
    return ground if draft is None else _by_draft(ground, draft)


def _by_draft(ground: Ground, draft: Rules) -> Ground:
    """As if the draft had been in force for ever."""
    situations = {i: replace(one, versions=[draft]) for i, one in ground.situations.items()}
    return replace(ground, situations=situations)


# --- the cart as a sale --------------------------------------------------------------------------


def _channel(desk: Desk, wanted: str) -> Channel:
    """The channel of that id, or one of that kind that is made for the moment."""
    for channel in channels.of_program(desk.session, desk.program.id):
        if channel.public_id == wanted:
            return channel
    if wanted.startswith("chn_"):
        raise LookupError(wanted)
    made = run(
        desk.session,
        """INSERT INTO channels (public_id, program_id, kind, name, token, secrets)
           VALUES (:public_id, :program, :kind, :kind, :token, '') RETURNING id""",
        {
            "public_id": new_id("chn"),
            "program": desk.program.id,
            "kind": wanted,
            "token": new_token(),
        },
    )
    return channels.by_ids(desk.session, [made[0].id])[made[0].id]


def _buyer(desk: Desk, cart: Cart, channel: Channel) -> tuple[Mention | None, Directory]:
    if cart.member is None:
        return None, Directory()
    ref = CustomerRef(staff_claim=cart.member)
    mention = Mention.of(ref, channel_id=channel.id, region=channel.region)
    directory = look_up(desk.session, desk.program.id, [mention])
    if directory.find(mention) is None:
        raise LookupError(cart.member)
    return mention, directory


def sale_of(cart: Cart, buyer: CustomerRef | None) -> Sale:
    """The cart as a sale that was paid."""
    return Sale(
        external_id=new_id("sim"),
        number="",
        state=SaleState.PAID,
        currency=cart.currency,
        lines=cart.lines,
        placed_at=cart.placed_at,
        version=1,
        as_of=cart.placed_at,
        shipping=cart.shipping,
        shipping_tax=cart.shipping_tax,
        paid_at=cart.placed_at,
        customer=buyer,
        place=Place(location=cart.location),
    )
