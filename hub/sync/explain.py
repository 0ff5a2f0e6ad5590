"""What one delivery said and did, in words: its happenings, and the entries it led to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub import words
from hub.bulk import arrays, run, unnest
from hub.canonical import (
    Code,
    Customer,
    CustomerMerged,
    CustomerRef,
    Deleted,
    Happening,
    Ignored,
    Product,
    Refund,
    Sale,
    Thin,
)
from hub.connector import Inbound
from hub.errors import Fault
from hub.i18n import gettext as _
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.transactions.merge import amounts

SALE_STATE_WORDS: Mapping[str, str] = {
    "draft": "Cart or unfinished checkout",
    "pending": "Not paid yet",
    "paid": "Paid",
    "fulfilled": "Paid and handed over",
    "cancelled": "Cancelled",
    "refunded": "Refunded",
    "deleted": "Deleted in the shop",
    "unknown": "Not known yet",
}
SUBJECT_WORDS: Mapping[str, str] = {
    "sale": "Order",
    "refund": "Refund",
    "refunds": "Refunds",
    "customer": "Customer",
    "code": "Discount code",
    "product": "Product",
    "shop": "Shop",
    "voucher": "Voucher",
    "member": "Member",
}
CHANGE_WORDS: Mapping[str, str] = {
    "created": "Made in the shop",
    "updated": "Changed in the shop",
    "deleted": "Deleted in the shop",
}
NEXT_WORDS: Mapping[str, str] = {
    "due": "Nothing to press: it is processed in a moment.",
    "working": "Nothing to press: it is being processed.",
    "done": "Nothing to press. Replaying it changes nothing that is right.",
    "settled": "Nothing to press: a person has settled it.",
    "retried": "Nothing is lost: it is tried again by itself. Replay it to try now.",
    "sale": "Nothing to press: it is applied by itself when its order comes.",
    "lookup": "Nothing to press: it goes on by itself when the shop has answered.",
    "fetch": "Nothing to press: it goes on by itself when the shop has answered.",
    "history": "Nothing to press here: the channel's page of older orders says what they would come to, "
    "and brings them in.",
    "review": "Approve or decline its order; it goes on by itself then.",
    "merchant": "Correct the channel's settings, then replay it.",
    "channel": "We have stopped trying. When the channel works again, replay it.",
    "payload": "The shop has to send it anew, and in order; replay it after an update of the hub.",
    "hub": "Replay it after an update of the hub, or report it.",
    "refused": "The shop refused it. Put right what it names there, then replay it.",
    "conflict": "Compare the two messages. Replay this one when its text is the right one.",
    "paused": "The channel is paused: it goes out when the channel is resumed.",
}
"""What happens by itself, and what to press."""


@dataclass(frozen=True, slots=True)
class Said:
    """One happening: what it is about, and what is said of it as (name, value)."""

    title: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a message says as its connector understands it now."""

    said: Sequence[Said] = ()
    sales: Sequence[str] = ()
    """The channel's ids of the sales it is about."""
    code: str | None = None
    fault: str | None = None
    detail: str | None = None
    """Set when it cannot be understood."""


@dataclass(frozen=True, slots=True)
class Effect:
    """An entry of a sale that a delivery is about."""

    amount: int
    counter: str
    explanation: Sequence[Mapping[str, Any]]
    recorded_at: datetime
    balance_after: int
    actor: str
    transaction: str
    number: str
    member: str
    member_name: str
    mine: bool
    """Written while this delivery was processed; after a restore nobody can tell."""
    together_with: Sequence[int]
    """Other deliveries about the same sale that were processed in the same moment: any of them may
    be the cause."""


def next_step(row: Mapping[str, Any]) -> str:
    """What happens by itself with a delivery, and what to press."""
    return _(NEXT_WORDS[_step(row)])


def _step(row: Mapping[str, Any]) -> str:
    state = row["state"]
    if state in ("failed", "parked"):
        return _failed_step(row)
    if state == "waiting":
        return row["reason"] if row["reason"] in NEXT_WORDS else "sale"
    if row["direction"] == "outbound" and state == "due" and row["channel_status"] == "paused":
        return "paused"
    return "retried" if state == "due" and row["code"] else str(state)


def _failed_step(row: Mapping[str, Any]) -> str:
    """A request that a shop refused is nobody's defect: there is something to put right there."""
    if row["code"] == "conflict":
        return "conflict"
    ours = row["code"] in ("unexpected", "kills_its_worker", "restored")
    if row["fault"] == "hub" and row["direction"] == "outbound" and not ours:
        return "refused"
    return row["fault"] or "hub"


def person(session: Session, row: Row[Any]) -> Row[Any] | None:
    """The member an outbound delivery is for: `public_id` and `name`."""
    kind, _colon, name = row.subject.partition(":")
    if kind == "voucher":
        which = (
            "m.id = (SELECT member_id FROM vouchers WHERE program_id = :program AND public_id = :name)"
        )
    elif kind == "member" and name.isascii() and name.isdigit():
        which = "m.id = CAST(:name AS bigint)"
    else:
        return None
    found = run(
        session,
        f"""SELECT root.public_id, root.name FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)
            WHERE m.program_id = :program AND {which}""",
        {"program": row.program_id, "name": name[:40]},
    )
    return found[0] if found else None


def understand(runtime: Runtime, channel: Channel, message: Inbound) -> Understanding:
    """Translate a message again and put it in words; changes nothing."""
    try:
        connector = channels.connector_of(runtime, channel)
        happenings = connector.normalise(message)
    except Fault as fault:
        return Understanding(code=fault.code, fault=fault.fault, detail=fault.detail)
    except UnknownConnector as error:
        return Understanding(code="no_connector", fault="merchant", detail=str(error))
    said = [_said(happening, channel, connector.words) for happening in happenings]
    return Understanding(said, sorted(set(_sales(happenings))))


def _sales(happenings: Iterable[Happening]) -> Iterable[str]:
    for happening in happenings:
        match happening:
            case Sale():
                yield happening.external_id
            case Refund():
                yield happening.sale_external_id
            case Deleted(what="sale") | Thin(what="sale"):
                yield happening.external_id
            case Deleted(what="refund"):
                yield happening.external_id.partition("/")[0]


def _said(happening: Happening, channel: Channel, own: Mapping[str, str]) -> Said:
    match happening:
        case Sale():
            return _sale(happening, channel.time_zone)
        case Refund():
            return _refund(happening, channel.time_zone)
        case Customer():
            return Said(_("Customer"), _person(happening.customer))
        case Code():
            return Said(_("Discount code"), _code(happening))
        case Ignored():
            return Said(_("Nothing to do"), [(_("Why"), words.of_reason(happening.reason, own))])
    return _hinted(happening)


def _hinted(happening: CustomerMerged | Product | Deleted | Thin) -> Said:
    match happening:
        case CustomerMerged():
            pair = (happening.gone_external_id, happening.kept_external_id)
            return Said(_("Two customers became one"), [(_("Merged"), " → ".join(pair))])
        case Product():
            listed = ", ".join(happening.categories)
            facts = [(_("Id"), happening.external_id), (_("Categories"), listed)]
            return Said(_("Product"), _present(facts))
        case Deleted():
            title = _("Deleted in the shop")
        case Thin():
            title = _("Only a hint; the shop is asked for the rest")
    return Said(title, [(_(SUBJECT_WORDS[happening.what]), happening.external_id)])


def _sale(sale: Sale, zone: str) -> Said:
    sums = amounts(sale)
    money = [
        (_("Goods after discounts"), sums.goods_net),
        (_("Tax on them"), sums.goods_tax),
        (_("Shipping"), sums.shipping),
        (_("Refunded"), sums.refunded),
        (_("Left of the goods"), sums.eligible),
    ]
    facts = [
        (_("State"), _(SALE_STATE_WORDS.get(sale.state.value, sale.state.value))),
        (_("Bought"), words.exact(sale.placed_at, zone)),
        (_("As of"), words.exact(sale.as_of, zone)),
        *((name, words.money(amount, sale.currency)) for name, amount in money if amount),
        (_("Discount codes"), ", ".join(sale.codes)),
        (_("Products"), _lines(sale)),
        *_person(sale.customer),
        (_("Test order"), _("yes") if sale.test else ""),
    ]
    return Said(_("Order {number}", number=sale.number or sale.external_id), _present(facts))


def _lines(sale: Sale) -> str:
    """The first products by name, with how many there are."""
    shown = [
        f"{words.number(line.quantity)} × {line.name or line.sku or line.key}" for line in sale.lines[:5]
    ]
    more = len(sale.lines) - len(shown)
    return "; ".join([*shown, _("{n} more", n=words.number(more))] if more else shown)


def _refund(refund: Refund, zone: str) -> Said:
    money = [
        f"{words.money(m.amount, m.currency)} ({_(REFUND_STATE_WORDS[m.status])})" for m in refund.money
    ]
    facts = [
        (_("Order"), refund.sale_external_id),
        (_("Money"), "; ".join(money)),
        (_("Lines that came back"), words.number(len(refund.lines)) if refund.lines else ""),
        (_("As of"), words.exact(refund.as_of, zone)),
        (_("Why"), refund.reason),
    ]
    return Said(_("Refund {number}", number=refund.external_id), _present(facts))


REFUND_STATE_WORDS: Mapping[str, str] = {
    "success": "paid back",
    "pending": "on its way back",
    "failed": "failed; it does not count",
}


def _person(ref: CustomerRef | None) -> list[tuple[str, str]]:
    if ref is None:
        return [(_("Customer"), _("a guest"))]
    facts = [
        (_("Customer"), ref.name),
        (_("Phone"), ", ".join(ref.phones)),
        (_("E-mail"), ", ".join(ref.emails)),
        (_("Card"), ", ".join(ref.cards)),
        (_("Customer id in the shop"), ref.external_id or ""),
    ]
    return _present(facts)


def _code(code: Code) -> list[tuple[str, str]]:
    active = "" if code.active is None else _("yes") if code.active else _("no")
    facts = [
        (_("Code"), code.code or code.external_id),
        (_("What happened"), _(CHANGE_WORDS[code.change])),
        (_("Can be used"), active),
    ]
    return _present(facts)


def _present(facts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in facts if value]


# --- its orders ---


def orders(session: Session, row: Row[Any], sales: Sequence[str]) -> Sequence[Row[Any]]:
    """The orders a delivery is about, as far as the hub knows them: `public_id` and `number`."""
    if not sales:
        return []
    columns = {"channel_id": "bigint", "external_id": "text"}
    rows = [{"channel_id": row.channel_id, "external_id": sale} for sale in sales[:_ORDERS]]
    return run(
        session,
        f"""SELECT t.public_id, coalesce(nullif(t.number, ''), t.external_id) AS number FROM transactions t
            JOIN {unnest(columns)} ON t.channel_id = r.channel_id AND t.external_id = r.external_id
            WHERE t.program_id = :program ORDER BY t.id""",
        {**arrays(columns, rows), "program": row.program_id},
    )


_ORDERS = 20

# --- effect in the ledger ------------------------------------------------------------------------

_EFFECTS = """
SELECT e.amount, e.counter, e.explanation, e.recorded_at, e.balance_after, e.actor, t.public_id AS transaction,
       t.number, coalesce(root.public_id, m.public_id) AS member, coalesce(root.name, m.name) AS member_name,
       EXISTS (SELECT 1 FROM attempts y WHERE y.delivery_id = :id AND y.xmin = e.xmin) AS mine,
       ARRAY(SELECT o.id FROM deliveries o WHERE o.program_id = :program AND o.channel_id = :channel
               AND o.subject = 'sale:' || t.external_id AND o.subject <> '' AND o.id <> :id
               AND EXISTS (SELECT 1 FROM attempts y WHERE y.delivery_id = o.id AND y.xmin = e.xmin)
             ORDER BY o.id LIMIT 20) AS together_with
FROM {sales} JOIN transactions t ON t.channel_id = r.channel_id AND t.external_id = r.external_id
JOIN entries e ON e.transaction_id = t.id JOIN accounts a ON a.id = e.account_id JOIN members m ON m.id = a.member_id
LEFT JOIN members root ON root.id = m.alias_of
WHERE t.program_id = :program ORDER BY e.id LIMIT 200
"""


def effects(session: Session, row: Row[Any], sales: Sequence[str]) -> list[Effect]:
    """The entries of the sales a delivery is about, oldest first. An entry and an attempt that one
    database transaction wrote belong together: that, and nothing else, says whose doing it was."""
    if not sales:
        return []
    columns = {"channel_id": "bigint", "external_id": "text"}
    rows = [{"channel_id": row.channel_id, "external_id": sale} for sale in sales]
    found = run(
        session,
        _EFFECTS.format(sales=unnest(columns)),
        {
            **arrays(columns, rows),
            "id": row.id,
            "program": row.program_id,
            "channel": row.channel_id,
        },
    )
    return [Effect(**r._mapping) for r in found]
