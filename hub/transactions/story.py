"""What became of one order: all its messages and what each changed, the points and why, what the
channels were told; for the dashboard and `hub sale`.

The story is told anew from what is stored, in the language in force: nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from babel.dates import format_timedelta
from sqlalchemy.orm import Session

from hub import words
from hub.audit import actor_names
from hub.bulk import run
from hub.canonical import Sale
from hub.i18n import gettext as _
from hub.i18n import language, ngettext
from hub.members.identity import identities
from hub.outbox import channels
from hub.program import store
from hub.program.earn import line_exclusion
from hub.program.rules import Rules
from hub.program.store import Program
from hub.runtime import Runtime
from hub.transactions import browse, buyer, coded
from hub.transactions.codec import refund_from_json, sale_from_json
from hub.transactions.judge import basket
from hub.transactions.merge import (
    Contribution,
    Fold,
    amounts,
    asked_to_pay,
    fold,
    remaining_by_line,
)

Words = Callable[[str], Mapping[str, str]]
"""Kind of channel -> what its own codes mean."""

STATE_WORDS: Mapping[str, str] = {
    "unknown": "not seen yet",
    "draft": "a draft",
    "pending": "not paid",
    "paid": "paid",
    "fulfilled": "paid and handed over",
    "cancelled": "cancelled",
    "refunded": "refunded",
    "deleted": "deleted in the shop",
}
SOURCE_WORDS: Mapping[str, str] = {
    "webhook": "Received from {channel} by webhook",
    "fetch": "Received from {channel}: the answer to our question",
    "poll": "Found in {channel} by asking the shop",
    "backfill": "Brought in with what {channel} sold before it was connected",
    "quarantine": "Received from {channel}; its signature was accepted later, out of the quarantine",
}
"""How a message came; others are told as received."""
TOPIC_WORDS: Mapping[str, str] = {
    "set_balance": "Balance to {channel}",
    "create_code": "Code to {channel}",
    "revoke_code": "Code taken back in {channel}",
}
DEED_WORDS: Mapping[str, str] = {
    "order.claimed": "Given to a member by {who}.",
    "order.claim_released": "Taken back from the member by {who}.",
    "order.approved": "Approved by {who}.",
    "order.declined": "Declined by {who}.",
}
"""What people did with an order, by the action of the audit."""
_PLACES = {"received": 0, "understood": 1, "failed": 1, "posted": 2}
_ONE_BATCH = timedelta(milliseconds=50)
"""Messages whose ends are not further apart than this were processed together."""
_LATE = timedelta(minutes=5)
"""A message that comes later after its order than this has its delay told."""
_SHOWN = 100
"""Messages of one order that are told."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story. `kind`: received, understood, failed, posted, claimed, shared, pushed,
    asked."""

    kind: str
    at: datetime
    sentence: str
    more: Sequence[str] = ()
    delivery: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    """State, outcome and code of the delivery, for its badge."""
    points: int | None = None
    batch: datetime | None = None
    """The end of the batch it belongs to: what happened in one batch is told message by message,
    then what followed from it."""

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands in the story."""
        return self.batch or self.at, _PLACES.get(self.kind, 3)


@dataclass(frozen=True, slots=True)
class Line:
    """One line as the shop shows it; money in minor units."""

    name: str
    sku: str | None
    quantity: Any
    gross: int
    """After discounts, with tax."""
    left: int
    """What is left of it without tax after refunds: what may earn."""
    earns: bool
    why_not: str = ""
    discounted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one thing people ask: how many points, for whom, and why; or why none, and what to do."""

    colour: str
    """green: given; blue: waits; grey: none, and rightly so; red: a person may do something."""
    sentence: str
    reasons: Sequence[str]
    """The steps that sum to the points, in words."""
    next_step: str = ""
    claimable: bool = False
    """It earns points and belongs to nobody: it may be given to a member."""
    reviewable: bool = False
    """A person has to say whether it earns."""
    buyer: Sequence[str] = ()
    """What was so of who bought, where the rules ask, in words."""


@dataclass(frozen=True, slots=True)
class Story:
    """One order, told."""

    order: Mapping[str, Any]
    verdict: Verdict
    steps: Sequence[Step]
    sale: Sale | None
    lines: Sequence[Line]
    twins: Sequence[Any]
    contributions: Sequence[Mapping[str, Any]]
    cut: bool
    """There are more messages than are told."""


def find(session: Session, program_id: int, public_id: str) -> Mapping[str, Any] | None:
    """The row of one order."""
    found = browse.find(session, program_id, "", "VND", browse.Wish(text=public_id)).orders
    return found[0] if found and found[0]["public_id"] == public_id.lower() else None


def tell(
    runtime: Runtime, session: Session, program: Program, order: Mapping[str, Any], own: Words
) -> Story:
    """The whole story of an order that `find` found."""
    contributions = _contributions(session, order["id"])
    deliveries = _deliveries(session, program.id, order)
    channel = channels.by_ids(session, [order["channel_id"]])[order["channel_id"]]
    traits = channels.traits(runtime.connector_class(channel.kind))
    whole = fold([c for c, _row in contributions], traits)
    rules = _rules(session, program, order)
    told = _messages(deliveries[:_SHOWN], contributions, traits, order, own)
    steps = [*told, *_asked(session, program.id, order, own)]
    steps += _posted(session, order, deliveries)
    steps += _claims(session, program.id, order)
    steps += [Step("shared", at, said) for at, said in coded.shared(session, program.id, order["id"])]
    steps += _pushed(session, program.id, order, own)
    return Story(
        order,
        replace(
            _verdict(program, order, whole, rules), buyer=buyer.in_words(session, order["id"], rules)
        ),
        sorted(steps, key=lambda step: step.place),
        whole.sale,
        _lines(whole.sale, rules, _facts(session, order["id"])),
        _twins(session, order["id"]),
        [row for _c, row in contributions],
        cut=len(deliveries) > _SHOWN,
    )


# --- the verdict ---------------------------------------------------------------------------------


def _verdict(program: Program, order: Mapping[str, Any], whole: Fold, rules: Rules | None) -> Verdict:
    reasons = [words.of_step(step) for step in order["explanation"]]
    points = words.points(order["points"])
    if order["waiting_for"]:
        waits_for = words.WAITING_WORDS[order["waiting_for"]]
        if order["waiting_for"] == "review":
            return Verdict("red", _(waits_for), reasons, reviewable=True)
        return Verdict("blue", _(waits_for), ())
    if order["points"] and order["member"]:
        name = order["member_name"] or order["member"]
        return Verdict("green", _("{points} for {name}.", points=points, name=name), reasons)
    if order["points"]:
        return Verdict("red", _unclaimed(program, whole, rules), reasons, _claim_it(points), True)
    why = words.of_reason(order["why"]) if order["why"] else _("No points.")
    waits = order["why"] == "sale_unpaid"
    after = _("They are given as soon as the shop says that it is paid.") if waits else ""
    return Verdict("blue" if waits else "grey", why, reasons, after)


def _claim_it(points: str) -> str:
    return _("Enter a phone to give the {points} to a member.", points=points)


def _unclaimed(program: Program, whole: Fold, rules: Rules | None) -> str:
    """Why an order that earns belongs to nobody."""
    who = whole.sale.customer if whole.sale else None
    keys = identities(who, channel_id=0, region=program.region) if who else []
    if not keys:
        return words.of_reason("guest")
    if rules is not None and rules.enrol == "existing":
        return _("No points: the buyer is no member, and orders make nobody one in this programme.")
    return _("No points: the buyer has no account in the shop, and only those become members.")


# --- the messages --------------------------------------------------------------------------------


def _contributions(session: Session, transaction_id: int) -> list[tuple[Contribution, dict[str, Any]]]:
    rows = run(
        session,
        """SELECT delivery_id, kind, ref, version, as_of, raw_hash, normaliser_version, body
           FROM contributions WHERE transaction_id = :id ORDER BY id""",
        {"id": transaction_id},
    )
    return [(_contribution(row), dict(row._mapping)) for row in rows]


def _contribution(row: Any) -> Contribution:
    body: Any = None
    if row.body is not None:
        body = sale_from_json(row.body) if row.kind == "snapshot" else refund_from_json(row.body)
    return Contribution(row.kind, row.ref, row.version, row.as_of, row.raw_hash, body)


def _deliveries(session: Session, program_id: int, order: Mapping[str, Any]) -> list[Any]:
    """Inbound messages about the order as they came; those that failed are known by its number alone."""
    return list(
        run(
            session,
            """SELECT d.id, d.topic, d.source, d.received_at, d.finished_at, d.state, d.outcome, d.reason, d.fault,
                      d.code, d.detail, d.duplicates, d.body_hash, c.name AS channel, c.kind,
                      coalesce((SELECT a.started_at + a.milliseconds * interval '1 millisecond' FROM attempts a
                                WHERE a.delivery_id = d.id AND a.code IS NULL ORDER BY a.id LIMIT 1),
                               d.finished_at) AS understood_at
               FROM deliveries d JOIN channels c ON c.id = d.channel_id
               WHERE d.program_id = :program AND d.channel_id = :channel AND d.direction = 'inbound'
                 AND ((d.subject = :subject AND d.subject <> '')
                      OR (d.number = :number AND d.number <> '' AND d.subject = '' AND d.code IS NOT NULL))
               ORDER BY d.id LIMIT :limit""",
            {
                "program": program_id,
                "subject": f"sale:{order['external_id']}",
                "number": order["number"],
                "channel": order["channel_id"],
                "limit": _SHOWN + 1,
            },
        )
    )


def _messages(
    deliveries: Iterable[Any],
    contributions: Sequence[tuple[Contribution, Mapping[str, Any]]],
    traits: Any,
    order: Mapping[str, Any],
    own: Words,
) -> list[Step]:
    """Two steps a message: that it came, and what it changed; the same bytes again are folded."""
    steps: list[Step] = []
    known: list[Contribution] = []
    before: Fold | None = None
    groups = _folded(deliveries)
    batches = _batches(row for group in groups for row in group)
    for group in groups:
        first = group[0]
        ids = {row.id for row in group}
        known += [c for c, row in contributions if row["delivery_id"] in ids]
        after = fold(known, traits) if known else None
        steps.append(_received(group, order, is_first=group is groups[0]))
        told = _understood(first, before, after, own)
        steps.append(replace(told, batch=batches.get(first.understood_at)))
        before = after
    return steps


def _folded(deliveries: Iterable[Any]) -> list[list[Any]]:
    """Messages with the same bytes are one, told where it came first."""
    groups: dict[bytes, list[Any]] = {}
    for row in deliveries:
        groups.setdefault(bytes(row.body_hash), []).append(row)
    return list(groups.values())


def _received(group: Sequence[Any], order: Mapping[str, Any], *, is_first: bool) -> Step:
    row = group[0]
    template = SOURCE_WORDS.get(row.source, "Received from {channel}")
    sentence = _(template, channel=row.channel)
    placed = order["placed_at"]
    if is_first and placed is not None and row.received_at - placed > _LATE:
        delay = format_timedelta(row.received_at - placed, granularity="minute", locale=language())
        sentence = _("{sentence}, {delay} after the order was placed", sentence=sentence, delay=delay)
    again = sum(one.duplicates for one in group) + len(group) - 1
    more = [_again(again)] if again else []
    return Step("received", row.received_at, f"{sentence}.", more, row.id)


def _again(times: int) -> str:
    return ngettext(
        "The same message came {n} more time; that changed nothing.",
        "The same message came {n} more times; that changed nothing.",
        times,
        n=words.number(times),
    )


def _understood(row: Any, before: Fold | None, after: Fold | None, own: Words) -> Step:
    state = {"state": row.state, "outcome": row.outcome, "code": row.code}
    at = row.understood_at or row.received_at
    told = words.of_delivery(row._mapping, own(row.kind))
    if row.state in ("failed", "parked") or row.code:
        return Step("failed", at, told, [row.detail] if row.detail else [], row.id, state)
    if row.state in ("due", "working"):
        return Step("understood", at, told, (), None, state)
    changes = _changes(before, after)
    if not changes:
        nothing = told if row.outcome == "superseded" else _("It says nothing new.")
        return Step("understood", at, nothing, (), None, state)
    sentence = "; ".join(changes)
    return Step("understood", at, f"{sentence[0].upper()}{sentence[1:]}.", (), None, state)


def _changes(before: Fold | None, after: Fold | None) -> list[str]:
    """What a message changed, in clauses: the order as it was folded before, and with it."""
    if after is None or after.sale is None:
        return [_("a refund of an order that is not here yet")] if after else []
    sale, old = after.sale, before.sale if before else None
    if old is None:
        return [_new(sale), *([_("the shop has deleted it")] if after.void else [])]
    was = amounts(old, void=bool(before and before.void))
    now = amounts(sale, void=after.void)
    found = []
    if sale.state is not old.state:
        found.append(_("now {state}", state=_(STATE_WORDS[sale.state.value])))
    if before and after.void != before.void:
        found.append(_("the shop has deleted it") if after.void else _("the shop has brought it back"))
    if now.refunded != was.refunded:
        back = words.money(now.refunded - was.refunded, sale.currency)
        found.append(_("{amount} given back to the buyer", amount=back))
    if now.goods_net != was.goods_net:
        found.append(
            _(
                "the goods came to {before}, now {after}",
                before=words.money(was.goods_net, sale.currency),
                after=words.money(now.goods_net, sale.currency),
            )
        )
    elif now.eligible != was.eligible and sale.state is old.state and not found:
        left = words.money(now.eligible, sale.currency)
        found.append(_("{amount} of the goods may earn now", amount=left))
    if sale.customer != old.customer and sale.customer is not None:
        found.append(
            _("it names its buyer now") if old.customer is None else _("it names its buyer anew")
        )
    new_codes = sorted({*sale.codes} - {*old.codes})
    if new_codes:
        found.append(_("it uses the code {codes}", codes=", ".join(new_codes)))
    return found


def _new(sale: Sale) -> str:
    lines = ngettext("{n} line", "{n} lines", len(sale.lines), n=words.number(len(sale.lines)))
    state = _(STATE_WORDS[sale.state.value])
    total = words.money(asked_to_pay(sale), sale.currency)
    return _("an order of {lines} for {total}, {state}", lines=lines, total=total, state=state)


# --- points, claims, pushes ----------------------------------------------------------------------


def _posted(session: Session, order: Mapping[str, Any], deliveries: Sequence[Any]) -> list[Step]:
    rows = run(
        session,
        """SELECT e.amount, e.counter, e.explanation, e.recorded_at, m.name, m.public_id
           FROM entries e JOIN accounts a ON a.id = e.account_id JOIN members m ON m.id = a.member_id
           WHERE e.transaction_id = :id ORDER BY e.recorded_at, e.id""",
        {"id": order["id"]},
    )
    ends = set(_batches(deliveries).values())
    return [
        Step(
            "posted",
            row.recorded_at,
            _(
                "{points} for {name}: {why}.",
                points=_signed(row.amount),
                name=row.name or row.public_id,
                why=words.of_entry(row.counter, row.amount, row.explanation),
            ),
            points=row.amount,
            batch=_batch_of(row.recorded_at, ends),
        )
        for row in rows
    ]


def _signed(amount: int) -> str:
    sign = "+" if amount > 0 else "\N{MINUS SIGN}"
    return f"{sign}{words.points(abs(amount))}"


def _batches(deliveries: Iterable[Any]) -> dict[datetime, datetime]:
    """The moment a message was understood -> the end of the batch it was processed in. Messages of
    one batch had all come before the first of them was understood."""
    rows = sorted(
        (row for row in deliveries if row.understood_at is not None), key=lambda row: row.understood_at
    )
    batches: list[list[datetime]] = []
    for row in rows:
        together = batches and row.received_at <= batches[-1][0]
        if together and row.understood_at - batches[-1][-1] <= _ONE_BATCH:
            batches[-1].append(row.understood_at)
        else:
            batches.append([row.understood_at])
    return {end: batch[-1] for batch in batches for end in batch}


def _batch_of(at: datetime, ends: Iterable[datetime]) -> datetime | None:
    """The batch that wrote an entry: it ends a moment after (a batch takes seconds at most)."""
    soon = [end for end in ends if timedelta(0) <= end - at < timedelta(seconds=30)]
    return min(soon, default=None)


def _claims(session: Session, program_id: int, order: Mapping[str, Any]) -> list[Step]:
    rows = run(
        session,
        """SELECT actor, action, detail, at FROM audit
           WHERE program_id = :program AND subject = :subject
             AND action = ANY(:actions) ORDER BY id""",
        {"program": program_id, "subject": order["public_id"], "actions": sorted(DEED_WORDS)},
    )
    names = actor_names(session, {row.actor for row in rows})
    return [Step("claimed", row.at, _(DEED_WORDS[row.action], who=names[row.actor])) for row in rows]


def _asked(session: Session, program_id: int, order: Mapping[str, Any], own: Words) -> list[Step]:
    """Look-ups of this sale."""
    keys = [f"fetch:sale:{order['external_id']}"]
    rows = _outbound(session, program_id, keys, [order["channel_id"]])
    return [
        Step(
            "asked",
            row.at,
            _("We asked {channel} for the order: {what}", channel=row.channel, what=_told(row, own)),
            (),
            row.id,
            _state(row),
        )
        for row in rows
    ]


def _pushed(session: Session, program_id: int, order: Mapping[str, Any], own: Words) -> list[Step]:
    """What the channels are told of because of it: the member's balance, and the codes it used."""
    keys = [
        f"balance:{row.member_id}"
        for row in run(
            session,
            """SELECT a.member_id FROM postings p JOIN accounts a ON a.id = p.account_id
               WHERE p.transaction_id = :id""",
            {"id": order["id"]},
        )
    ]
    keys += [
        f"code:{row.public_id}"
        for row in run(
            session,
            """SELECT v.public_id FROM voucher_uses u JOIN vouchers v ON v.id = u.voucher_id
               WHERE u.transaction_id = :id""",
            {"id": order["id"]},
        )
    ]
    ids = [c.id for c in channels.of_program(session, program_id)]
    return [
        Step(
            "pushed",
            row.at,
            "{what}: {told}".format(
                what=_(TOPIC_WORDS.get(row.topic, "Message to {channel}"), channel=row.channel),
                told=_told(row, own),
            ),
            (),
            row.id,
            _state(row),
        )
        for row in _outbound(session, program_id, keys, ids)
    ]


def _outbound(
    session: Session, program_id: int, keys: Sequence[str], channel_ids: Sequence[int]
) -> list[Any]:
    return list(
        run(
            session,
            """SELECT d.id, d.topic, coalesce(d.finished_at, d.due_at) AS at, d.state, d.outcome, d.reason, d.fault,
                      d.code, d.detail, c.name AS channel, c.kind
               FROM deliveries d JOIN channels c ON c.id = d.channel_id
               WHERE d.program_id = :program AND d.channel_id = ANY(:channels) AND d.direction = 'outbound'
                 AND d.key = ANY(:keys) ORDER BY d.id""",
            {"program": program_id, "channels": list(channel_ids), "keys": list(keys)},
        )
    )


def _told(row: Any, own: Words) -> str:
    return words.of_delivery(row._mapping, own(row.kind))


def _state(row: Any) -> Mapping[str, Any]:
    return {"state": row.state, "outcome": row.outcome, "code": row.code}


# --- the order as the shop shows it --------------------------------------------------------------


def _rules(session: Session, program: Program, order: Mapping[str, Any]) -> Rules | None:
    number = run(
        session, "SELECT program_version AS n FROM transactions WHERE id = :id", {"id": order["id"]}
    )[0].n
    return next((r for r in store.versions(session, program) if r.number == number), None)


def _facts(session: Session, transaction_id: int) -> Mapping[str, Any]:
    sql = "SELECT line_facts FROM transactions WHERE id = :id"
    found: Mapping[str, Any] = run(session, sql, {"id": transaction_id})[0].line_facts
    return found


def _lines(sale: Sale | None, rules: Rules | None, facts: Mapping[str, Any]) -> list[Line]:
    """Each line with what is left of it, and whether that earns. Points are counted once, for the
    whole bill: a line has none of its own."""
    if sale is None:
        return []
    left = remaining_by_line(sale)
    judged = basket(replace(sale, test=False), "paid", facts).lines
    shown = []
    for line, one in zip(sale.lines, judged, strict=True):
        why = line_exclusion(rules, one) if rules else None
        shown.append(
            Line(
                name=line.name or line.sku or line.key,
                sku=line.sku,
                quantity=line.quantity,
                gross=line.net + line.tax,
                left=left.get(line.key, line.net),
                earns=why is None,
                why_not=_excluded(why, one.left, sale.currency) if why else "",
                discounted=bool(line.discounted),
            )
        )
    return shown


def _excluded(why: str, amount: int, currency: str) -> str:
    step = {"code": "excluded", "what": why, "amount": amount, "currency": currency}
    return words.of_step(step)


def _twins(session: Session, transaction_id: int) -> list[Any]:
    """Orders in other channels that may be this very one (rules.md A8)."""
    return list(
        run(
            session,
            """SELECT o.public_id, o.number, c.name AS channel
               FROM suspected_twins s
               JOIN transactions o ON o.id = CASE WHEN s.transaction_id = :id THEN s.other_id ELSE s.transaction_id END
               JOIN channels c ON c.id = o.channel_id
               WHERE (s.transaction_id = :id OR s.other_id = :id) AND s.settled_at IS NULL ORDER BY o.id""",
            {"id": transaction_id},
        )
    )


def in_short(order: Mapping[str, Any]) -> str:
    """What became of an order of a list, in one sentence, from its row alone."""
    if order["waiting_for"]:
        waits_for = words.WAITING_WORDS[order["waiting_for"]]
        return _(waits_for)
    points = words.points(order["points"])
    if order["points"] and order["member"]:
        name = order["member_name"] or _("a member without a name")
        return _("{points} for {name}.", points=points, name=name)
    if order["points"]:
        return _("It belongs to nobody; {points} can be given to a member.", points=points)
    return words.of_reason(order["why"]) if order["why"] else _("No points.")
