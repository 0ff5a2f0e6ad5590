"""Random lives of sales: what happened in the shop, the messages it sent, and what must come out.

The oracle is the shop's own final state, counted here without the hub's merge code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hub.canonical import (
    CustomerRef,
    Line,
    LineKind,
    Refund,
    RefundLine,
    RefundMoney,
    Sale,
    SaleState,
)
from hub.transactions.codec import refund_to_json, sale_to_json

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
STEP = 10_000
"""Minor units a point; prices are multiples, so that no rounding hides a difference."""


@dataclass
class Message:
    """One webhook: the key tells repetitions apart from other messages."""

    key: str
    body: bytes


@dataclass
class SaleLife:
    """One sale in its shop, from creation to its last event."""

    chance: Random
    external_id: str
    deletes_refunds: bool
    built: str
    now: datetime = BEGIN
    version: int = 0
    state: SaleState = SaleState.PENDING
    customer: str = "c0"
    trashed: bool = False
    lines: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Key -> (quantity, unit price)."""
    refunds: dict[str, Refund] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    def live(self, steps: int) -> None:
        """Create the sale and let `steps` random things happen to it."""
        for n in range(self.chance.randint(1, 3)):
            self.lines[f"l{n}"] = (self.chance.randint(1, 4), self.chance.randint(1, 9) * STEP)
        self._tick()
        self._snapshot()
        for _ in range(steps):
            act = self.chance.choice(self._possible())
            self._tick()
            act()
        if self.deletes_refunds:
            # what leaves no trace is found by the slow re-read of recent orders (A6)
            self._tick()
            self._snapshot(fetched=True)

    def points(self) -> int:
        """What the sale must have earned in the end."""
        if self.trashed or self.state not in {SaleState.PAID, SaleState.FULFILLED}:
            return 0
        return (self._goods() - self._gone()) // STEP

    def shown(self) -> dict[str, Any]:
        """The sale as a fetch would answer now."""
        sale = replace(self._sale(), as_of=self.now + timedelta(hours=1))
        if self.trashed:
            sale = replace(sale, state=SaleState.CANCELLED)
        return {"type": "sale", "sale": sale_to_json(sale)}

    # --- what can happen ---

    def _possible(self) -> list[Any]:
        acts: list[Any] = [self._change_customer, self._snapshot]
        if self.state is SaleState.PENDING:
            acts += [self._pay, self._pay, self._cancel]
        elif self.state is SaleState.PAID:
            acts += [
                self._refund,
                self._refund,
                self._refund_money,
                self._edit,
                self._cancel,
                self._fulfil,
            ]
        elif self.state is SaleState.FULFILLED:
            acts += [self._refund, self._refund_money, self._cancel]
        elif self.state is SaleState.CANCELLED:
            acts += [self._pay]
        if any(r.money and r.money[0].status == "pending" for r in self.refunds.values()):
            acts += [self._settle_refund, self._settle_refund]
        if self.deletes_refunds:
            acts += [self._trash_or_restore]
            if self.refunds:
                acts += [self._delete_refund]
        return acts

    def _pay(self) -> None:
        self.state = SaleState.PAID
        self._snapshot()

    def _fulfil(self) -> None:
        self.state = SaleState.FULFILLED
        self._snapshot()

    def _cancel(self) -> None:
        self.state = SaleState.CANCELLED
        self._snapshot()

    def _edit(self) -> None:
        key = self.chance.choice(sorted(self.lines))
        quantity, price = self.lines[key]
        self.lines[key] = (max(self._refunded(key), quantity + self.chance.choice([-1, 1, 2]), 1), price)
        self._snapshot()

    def _change_customer(self) -> None:
        self.customer = f"c{self.chance.randint(0, 2)}"
        self._snapshot()

    def _refund(self) -> None:
        """Goods come back: the money may be pending, and is the lines' value."""
        key = self.chance.choice(sorted(self.lines))
        quantity, price = self.lines[key]
        left = quantity - self._refunded(key)
        if left <= 0:
            return
        back = self.chance.randint(1, left)
        lines = (RefundLine(key, Decimal(back), back * price, 0),)
        self._add_refund(lines, back * price, self.chance.choice(["success", "success", "pending"]))

    def _refund_money(self) -> None:
        """Money without goods: goodwill, or a price put right."""
        left = self._goods() - self._gone()
        if left < STEP:
            return
        self._add_refund((), self.chance.randint(1, left // STEP) * STEP, "success")

    def _add_refund(self, lines: tuple[RefundLine, ...], amount: int, status: Any) -> None:
        number = f"r{len(self.refunds)}-{self.version}"
        self.refunds[number] = Refund(
            number,
            self.external_id,
            version=self.version,
            as_of=self.now,
            lines=lines,
            money=(RefundMoney(status, amount, "VND"),),
        )
        self._tell_refund(number)

    def _settle_refund(self) -> None:
        pending = [n for n, r in self.refunds.items() if r.money[0].status == "pending"]
        if not pending:
            return
        number = self.chance.choice(sorted(pending))
        refund = self.refunds[number]
        status: Any = self.chance.choice(["success", "failed"])
        money = (replace(refund.money[0], status=status),)
        lines = refund.lines if status == "success" else ()
        self.refunds[number] = replace(
            refund, money=money, lines=lines, version=self.version, as_of=self.now
        )
        self._tell_refund(number)

    def _delete_refund(self) -> None:
        """Leaves no trace and sends nothing."""
        del self.refunds[self.chance.choice(sorted(self.refunds))]

    def _trash_or_restore(self) -> None:
        self.trashed = not self.trashed
        self._send({"type": "thin", "id": self.external_id})

    # --- messages ---

    def _tick(self) -> None:
        self.now += timedelta(minutes=self.chance.randint(1, 500))
        self.version += 1

    def _tell_refund(self, number: str) -> None:
        """As a document of its own, as part of the sale, or both."""
        how = self.chance.choice(["document", "both", "snapshot"])
        if self.deletes_refunds:
            how = "snapshot"
        if how != "snapshot":
            self._send({"type": "refund", "refund": refund_to_json(self.refunds[number])})
        if how != "document":
            self._snapshot()

    def _snapshot(self, *, fetched: bool = False) -> None:
        if self.trashed and not fetched:
            return  # a trashed sale is told by its id alone
        message = self.shown() if fetched else {"type": "sale", "sale": sale_to_json(self._sale())}
        self._send(message)

    def _send(self, message: dict[str, Any]) -> None:
        key = f"{self.external_id}-{len(self.messages)}"
        self.messages.append(Message(key, json.dumps(message).encode()))

    def _sale(self) -> Sale:
        refunds = tuple(
            replace(r, version=self.version, as_of=self.now) for _, r in sorted(self.refunds.items())
        )
        return Sale(
            external_id=self.external_id,
            number=self.external_id,
            state=self.state,
            currency="VND",
            lines=tuple(
                Line(key, LineKind.GOODS, Decimal(quantity), quantity * price, 0)
                for key, (quantity, price) in sorted(self.lines.items())
            ),
            placed_at=BEGIN,
            version=self.version,
            as_of=self.now,
            customer=CustomerRef(external_id=self.customer),
            refunds=refunds,
        )

    # --- the oracle ---

    def _goods(self) -> int:
        return sum(quantity * price for quantity, price in self.lines.values())

    def _refunded(self, key: str) -> int:
        return sum(
            int(r.quantity)
            for refund in self.refunds.values()
            for r in refund.lines
            if r.line_key == key
        )

    def _gone(self) -> int:
        by_lines = sum(
            min(quantity, self._refunded(key)) * price for key, (quantity, price) in self.lines.items()
        )
        by_money = sum(r.money[0].amount for r in self.refunds.values() if r.money[0].status != "failed")
        return min(self._goods(), max(by_lines, by_money))
