"""People and things that tests need: a program, a shop, Ann, a sale. Rows, made without ceremony."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from hub.ids import new_id, new_token

KEY = b"a chain key for tests"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Ground:
    """A program with one till and a member."""

    program: int
    channel: int
    ann: int


def add(session: Session, table: str, **columns: Any) -> int:
    """Insert one row, return its id."""
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    row: int = session.execute(
        text(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING id"), columns
    ).scalar_one()
    return row


def new_program(session: Session, slug: str = "corner", currency: str = "VND") -> int:
    return add(
        session,
        "programs",
        public_id=new_id("prg"),
        slug=slug,
        name=slug.title(),
        currency=currency,
        time_zone="Asia/Ho_Chi_Minh",
        region="VN",
        starts_at=START,
    )


def new_channel(session: Session, program: int, kind: str = "generic_pos", name: str = "Till") -> int:
    return add(
        session,
        "channels",
        public_id=new_id("chn"),
        program_id=program,
        kind=kind,
        name=name,
        token=new_token(),
        secrets=b"",
    )


def new_member(session: Session, program: int, name: str = "Ann") -> int:
    return add(session, "members", public_id=new_id("mem"), program_id=program, name=name)


def new_sale(session: Session, ground: Ground, external_id: str) -> int:
    sale = add(
        session,
        "transactions",
        public_id=new_id("txn"),
        program_id=ground.program,
        channel_id=ground.channel,
        external_id=external_id,
    )
    add(
        session,
        "contributions",
        transaction_id=sale,
        kind="snapshot",
        version=1,
        as_of=START,
        raw_hash=external_id,
        normaliser_version=1,
    )
    return sale


def new_ground(session: Session) -> Ground:
    program = new_program(session)
    ground = Ground(program, new_channel(session, program), new_member(session, program))
    session.commit()
    return ground
