"""Codes that were used more than once, or too late: what was done about each, and deciding otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.desk.place import Desk
from hub.outbox import channels
from hub.program import store
from hub.program.rules import in_force
from hub.program.store import Program
from hub.redemption import voucher as voucher_rows
from hub.redemption.uses import Locked, code_key

Decision = Literal["take_again", "absorb"]
DECISIONS: tuple[Decision, ...] = ("take_again", "absorb")


class NotTwice(Exception):
    """The code was not used more than once, nor too late: there is nothing to decide."""


@dataclass(frozen=True, slots=True)
class DoubleUse:
    """One code and the orders that carry it, the one that counts first."""

    id: int
    code: str
    late: bool
    member: str
    name: str
    points: int
    """What a use costs."""
    charged: int
    """What the member has paid for uses beyond the first."""
    absorbed: int
    """What the shop bears of them."""
    currency: str | None
    """Of store credit that bought the code, minor units; None: points did."""
    voucher: str
    """Its public id."""
    state: str
    redemption: str
    done: str
    """`take_again`, `absorb`, or `flag`: a person has to decide."""
    decided: bool
    """Whether a person did."""
    orders: tuple[dict[str, Any], ...]


def listed(
    session: Session, program: Program, *, before: int | None = None, limit: int = 50
) -> list[DoubleUse]:
    """The newest codes first; `before` is the id to go on from."""
    rows = run(
        session,
        """SELECT v.id, v.code, v.state = 'used_late' AS late, v.decided, m.public_id AS member,
                  coalesce(m.name, '') AS name, r.points, r.currency, v.public_id AS voucher, v.state,
                  r.public_id AS redemption,
                  (SELECT coalesce(sum(CAST(e.detail->>'points' AS bigint)), 0)::bigint FROM redemption_events e
                   WHERE e.redemption_id = v.redemption_id AND e.event = 'absorbed') AS absorbed,
                  (SELECT -coalesce(sum(e.amount), 0)::bigint FROM entries e
                   WHERE e.program_id = v.program_id AND e.subject = 'use:' || v.id
                     AND e.counter <> 'issued') AS charged
           FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
           JOIN members owner ON owner.id = v.member_id
           JOIN members m ON m.id = coalesce(owner.alias_of, owner.id)
           WHERE v.program_id = :program AND (v.uses > 1 OR v.state = 'used_late')
             AND v.id < coalesce(CAST(:before AS bigint), 9223372036854775807)
           ORDER BY v.id DESC LIMIT :limit""",
        {"program": program.id, "before": before, "limit": limit},
    )
    orders = _orders(session, [row.id for row in rows])
    versions = store.versions(session, program)
    found = []
    for row in rows:
        its = orders[row.id]
        done = row.decided or in_force(versions, its[0]["placed_at"]).double_use
        values = {k: v for k, v in row._mapping.items() if k != "decided"}
        found.append(DoubleUse(**values, done=done, decided=row.decided is not None, orders=tuple(its)))
    return found


def decide(desk: Desk, code: str, decision: Decision) -> None:
    """What becomes of the further uses of a code, whatever the programme says; points follow at once, and
    deciding again changes it. Raises `LookupError` and `NotTwice`."""
    session, program = desk.session, desk.program
    found = voucher_rows.lock(session, program.id, "v.code_key = :key", key=code_key(code))
    if not found:
        raise LookupError(code)
    voucher = found[0]
    if voucher.uses < 2 and voucher.state != "used_late":
        raise NotTwice(code)
    sql = "UPDATE vouchers SET decided = :decision WHERE id = :id AND decided IS DISTINCT FROM :decision RETURNING id"
    if not run(session, sql, {"decision": decision, "id": voucher.id}):
        return
    voucher.decided = decision
    locked = Locked(session, program.id, desk.runtime.chain_key, [voucher])
    members = locked.settle_by(
        store.versions(session, program), channels.of_program(session, program.id)
    )
    desk.note("code.decided", voucher.public_id, decision=decision)
    desk.tell_balances(members)


def _orders(session: Session, vouchers: list[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {id_: [] for id_ in vouchers}
    for row in run(
        session,
        """SELECT u.voucher_id, t.public_id AS id, coalesce(nullif(t.number, ''), t.public_id) AS number,
                  t.placed_at, c.name AS channel, u.wins
           FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id
           JOIN channels c ON c.id = t.channel_id
           WHERE u.voucher_id = ANY(:ids) AND u.present
           ORDER BY t.placed_at, t.channel_id, t.external_id COLLATE "C\"""",
        {"ids": vouchers},
    ):
        found[row.voucher_id].append({k: v for k, v in row._mapping.items() if k != "voucher_id"})
    return found
