"""A street of shops for tests of pages: channels in every state, with the rows that make them so."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from hub.ids import new_id, new_token
from tests.people import add


def shop(session: Session, program: int, name: str, kind: str = "woocommerce", **more: Any) -> int:
    """A channel; `secrets` are empty, so it is looked at and not spoken to."""
    return add(
        session, "channels", public_id=new_id("chn"), program_id=program, kind=kind, name=name,
        token=new_token(), secrets=b"", **more,
    )  # fmt: skip


def order(session: Session, program: int, channel: int, at: datetime, **more: Any) -> int:
    """A paid order placed then, and the message that brought it."""
    public_id = new_id("txn")
    values = {"state": "paid", "currency": "VND", "points": 30, "external_id": public_id, **more}
    return add(
        session, "transactions", public_id=public_id, program_id=program, channel_id=channel,
        placed_at=at, created_at=at, **values,
    )  # fmt: skip


def delivery(session: Session, program: int, channel: int, **more: Any) -> int:
    """One message; what is not given is that of an order that was posted."""
    key = new_id("key")
    values = {
        "direction": "inbound", "topic": "order.updated", "key": key, "body": b"{}",
        "body_hash": hashlib.sha256(key.encode()).digest(), "state": "done", "outcome": "posted",
    } | more  # fmt: skip
    if values["state"] in ("failed", "parked"):
        values["outcome"] = None
    return add(session, "deliveries", program_id=program, channel_id=channel, **values)


def daily_orders(
    session: Session,
    program: int,
    channel: int,
    now: datetime,
    *,
    every: timedelta,
    days: int,
    until: datetime,
) -> None:
    """An order each `every`, from so many days ago until then."""
    session.execute(
        text("""INSERT INTO transactions (public_id, program_id, channel_id, external_id, state, currency, points,
                                          placed_at, created_at)
                SELECT 'txn_' || md5(:channel || ':' || at), :program, :channel, md5(:channel || ':' || at), 'paid',
                       'VND', 30, at, at
                FROM generate_series(CAST(:start AS timestamptz), CAST(:until AS timestamptz), :every) AS at"""),
        {
            "channel": channel,
            "program": program,
            "start": now - timedelta(days=days),
            "until": until,
            "every": every,
        },
    )
