"""A programme with two shops whose messages are sales in the hub's own words: told, worked, looked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import text

from hub.canonical import (
    CustomerRef,
    Line,
    LineKind,
    Place,
    Refund,
    RefundLine,
    RefundMoney,
    Sale,
    SaleState,
)
from hub.connect import add_channel
from hub.ledger.verify import verify
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.store import Program
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import process
from hub.sync.receive import Message, insert
from hub.transactions.codec import sale_to_json
from tests.model_shop import CONNECTORS
from tests.people import START

ANN, BOB, EVE = "+84912345678", "+84912345679", "+84912345670"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
PLACES = count(1)


@dataclass(frozen=True)
class Told:
    """One state of one sale, as a shop tells it."""

    name: str
    amount: int
    phone: str = ANN
    at: datetime = NOON
    state: SaleState = SaleState.PAID
    version: int = 1
    shop: int = 0
    returned: int = 0
    """Money given back for a part of the goods, in one refund."""
    codes: tuple[str, ...] = ()
    cashier: str | None = None

    def refund(self) -> Refund:
        """The refund as its sale lists it."""
        return Refund(
            f"{self.name}-r",
            self.name,
            self.version,
            self.at + timedelta(minutes=self.version),
            lines=(RefundLine("1", Decimal(0), self.returned, 0),),
            money=(RefundMoney("success", self.returned, "VND"),),
        )


@dataclass
class Market:
    """One programme; `tell` what shops say, `work`, and ask what came of it."""

    runtime: Runtime
    program: Program
    shops: list[Channel]
    waiting: list[Message] = field(default_factory=list)

    def tell(self, *told: Told) -> None:
        """Put messages into the inbox, in this order; a message told twice comes once."""
        with self.runtime.sessions.begin() as session:
            insert(session, [self._message(one) for one in told])

    def work(self) -> None:
        """Process everything that is due."""
        process.drain(self.runtime, seconds=60)

    def sell(self, *told: Told) -> None:
        """Tell and work, one message after the other."""
        for one in told:
            self.tell(one)
            self.work()

    def _message(self, told: Told) -> Message:
        line = Line("1", LineKind.GOODS, Decimal(1), told.amount, 0, categories=())
        sale = Sale(
            told.name, told.name, told.state, "VND", (line,), told.at, version=told.version,
            as_of=told.at + timedelta(minutes=told.version), total=told.amount,
            customer=CustomerRef(phones=(told.phone,)),
            refunds=(told.refund(),) if told.returned else (), codes=told.codes,
            place=Place(staff=told.cashier),
        )  # fmt: skip
        body = json.dumps({"type": "sale", "sale": sale_to_json(sale)}).encode()
        digest = hashlib.sha256(body).digest()
        key = f"{told.name}-{told.version}"
        headers = json.dumps({"key": key})
        return Message(self.shops[told.shop], "model", key, headers, body, digest, datetime.now(UTC))

    def rows(self, statement: str, **parameters: Any) -> list[Any]:
        with self.runtime.sessions() as session:
            found = session.execute(text(statement), {"program": self.program.id, **parameters})
            return list(found.all())

    def balance(self, phone: str = ANN) -> int:
        rows = self.rows(
            """SELECT a.balance FROM identities i JOIN members m ON m.id = i.member_id
               JOIN accounts a ON a.member_id = coalesce(m.alias_of, m.id)
               WHERE i.program_id = :program AND i.value = :phone""",
            phone=phone,
        )
        return int(rows[0].balance) if rows else 0

    def member(self, phone: str = ANN) -> int:
        """The member with this phone."""
        sql = "SELECT member_id FROM identities WHERE program_id = :program AND value = :phone"
        return int(self.rows(sql, phone=phone)[0].member_id)

    def points(self) -> dict[str, int]:
        """Sale -> its points as the ledger has them."""
        rows = self.rows(
            """SELECT t.external_id, coalesce(sum(p.posted) FILTER (WHERE a.currency IS NULL), 0)::bigint AS points
               FROM transactions t LEFT JOIN postings p ON p.transaction_id = t.id
               LEFT JOIN accounts a ON a.id = p.account_id WHERE t.program_id = :program GROUP BY 1""",
        )
        return {row.external_id: row.points for row in rows}

    def entries(self) -> int:
        return int(self.rows("SELECT count(*) AS n FROM entries WHERE program_id = :program")[0].n)

    def assert_clean(self) -> None:
        """Nothing failed, the book verifies, and what is shown of a sale is what was posted."""
        failed = self.rows("SELECT id, state, code, detail FROM deliveries WHERE state IN ('failed', 'parked', 'due')"
                           " AND program_id = :program AND direction = 'inbound'")  # fmt: skip
        assert failed == []
        shown = "SELECT external_id, points FROM transactions WHERE program_id = :program AND member_id IS NOT NULL"
        assert {row.external_id: row.points for row in self.rows(shown)} == self.points()
        with self.runtime.sessions() as session:
            report = verify(session, self.runtime.chain_key)
        assert report.clean, report.findings


@contextmanager
def market(
    database_url: str, redis_url: str, data: Path, document: Mapping[str, Any], *, zone: str = "UTC"
) -> Iterator[Market]:
    """A programme with that document on this database."""
    settings = Settings(data=data, database_url=database_url, redis_url=redis_url, connectors=CONNECTORS)
    runtime = Runtime.start(settings)
    yield open_market(runtime, document, zone=zone)
    runtime.engine.dispose()


def open_market(runtime: Runtime, document: Mapping[str, Any], *, zone: str = "UTC") -> Market:
    """A further programme with shops of its own."""
    with runtime.sessions.begin() as session:
        program = store.create(
            session, slug=f"market-{next(PLACES)}", name="Market", currency="VND", time_zone=zone,
            region="VN", starts_at=START, document=document, actor="test",
        )  # fmt: skip
        shops = [
            add_channel(session, runtime, program_id=program.id, kind="model_event", name=name,
                        settings={}, actor="test")
            for name in ("North", "South")
        ]  # fmt: skip
    return Market(runtime, program, shops)
