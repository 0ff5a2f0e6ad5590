"""Which orders used a voucher's code, and what follows: state, points, where the code must go.

Uses are a function of the transactions that carry the code, never of the order in which they were
seen (rules.md E2); what a use costs is a target, like what a sale earns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program.returning import Bill
from hub.program.rules import Rules, in_force
from hub.redemption import leaving, states
from hub.redemption import voucher as voucher_rows
from hub.redemption.costs import ACTOR, Costs, policy_of
from hub.redemption.states import LEAVING, Event, Leaving
from hub.redemption.telling import code_pushes
from hub.redemption.voucher import Voucher
from hub.transactions.judge import Situation
from hub.transactions.post import Transaction

ABSENT_STATES = frozenset({"unknown", "draft", "cancelled", "deleted"})
"""A sale in one of these does not use its code; an unpaid one does (E2)."""


def _counts(transaction: Transaction) -> bool:
    """Whether a sale uses the codes it carries: a copy of a sale made elsewhere does not, that one did
    (rules.md A8)."""
    copied = transaction.verdict is not None and transaction.verdict.ignored == "copy_of_another_channel"
    return transaction.state not in ABSENT_STATES and not copied


def code_key(code: str) -> str:
    """Codes are compared without case: some platforms lower-case them."""
    return code.strip().upper()


def redemption_of(session: Session, program_id: int, code: str) -> str | None:
    """The public id of the redemption that a code was made for, in any case of letters."""
    rows = run(
        session,
        """SELECT r.public_id FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
           WHERE v.program_id = :program AND v.code_key = :key""",
        {"program": program_id, "key": code_key(code)},
    )
    return rows[0].public_id if rows else None


@dataclass(slots=True)
class Locked:
    """The vouchers whose codes a batch's sales carry, or carried before."""

    session: Session
    program_id: int
    chain_key: bytes
    vouchers: list[Voucher]
    transactions: Sequence[Transaction] = field(default_factory=list)
    now: datetime | None = None

    @property
    def owners(self) -> set[int]:
        """The members who hold them, or paid for uses of them."""
        return {member for voucher in self.vouchers for member in voucher.payers}

    def settle(self, situations: Mapping[int, Situation], channels: Iterable[Channel]) -> set[int]:
        """Bring state, points and pushes of these vouchers in line with their uses. Returns the
        members whose points changed."""
        if not self.vouchers:
            return set()
        return self.settle_by(next(iter(situations.values())).versions, channels)

    def settle_by(self, versions: Sequence[Rules], channels: Iterable[Channel]) -> set[int]:
        """The same, by these versions of the programme."""
        self._store_uses()
        found, everywhere, members = self._uses(), list(channels), set[int]()
        for voucher in self.vouchers:
            uses = found.get(voucher.id, [])
            # by the rules of the use that wins: neither arrival nor a later version changes that
            deciding = [use for use in uses if use.present] or uses
            rules = in_force(versions, deciding[0].placed_at) if deciding else versions[0]
            members |= self._settle_one(voucher, uses, rules, everywhere)
        return members

    def _settle_one(
        self, voucher: Voucher, uses: Sequence[Any], rules: Rules, channels: Sequence[Channel]
    ) -> set[int]:
        present = [use for use in uses if use.present]
        cancelled = not present and bool(uses) and rules.when_cancelled == "points_back"
        self._state(voucher, present, channels, cancelled=cancelled)
        if voucher.state in LEAVING:
            leaving.close(self.session, self.program_id, voucher, rules, self.now)
        if present:
            charged = not voucher.is_late or policy_of(voucher, rules) == "take_again"
            leaving.take_up(self.session, self.program_id, voucher, charged=charged)
        costs = Costs(self.session, self.program_id, self.chain_key, self.now)
        return costs.settle(voucher, [_bill(use) for use in present], rules)

    def _store_uses(self) -> None:
        """Which of the batch's sales carry which code, and whether they count."""
        by_key = {v.code_key: v.id for v in self.vouchers}
        columns = {"voucher_id": "bigint", "transaction_id": "bigint", "present": "boolean"}
        rows = []
        for transaction in self.transactions:
            carried = {code_key(c) for c in (transaction.sale.codes if transaction.sale else ())}
            known = {code_key(c) for c in (transaction.before[0] if transaction.before else ())}
            for key in sorted((carried | known) & by_key.keys()):
                present = key in carried and _counts(transaction)
                values = (by_key[key], transaction.id, present)
                rows.append(dict(zip(columns, values, strict=True)))
        run(
            self.session,
            f"""INSERT INTO voucher_uses (voucher_id, transaction_id, present)
                SELECT r.voucher_id, r.transaction_id, r.present FROM {unnest(columns)}
                ON CONFLICT (voucher_id, transaction_id) DO UPDATE SET present = excluded.present""",
            arrays(columns, rows),
        )

    def _uses(self) -> dict[int, list[Any]]:
        """Uses per voucher, present ones and those of orders that were cancelled since; the winner first:
        the least (placed_at, channel, external id)."""
        found: dict[int, list[Any]] = {}
        for row in run(
            self.session,
            """SELECT u.voucher_id, u.transaction_id, u.present, t.channel_id, t.placed_at, t.state, t.test,
                      t.goods_net, t.eligible
               FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id
               JOIN vouchers v ON v.id = u.voucher_id
               WHERE u.voucher_id = ANY(:ids) AND (u.present OR t.state IN ('cancelled', 'deleted')
                     AND EXISTS (SELECT 1 FROM unnest(t.codes) c WHERE upper(btrim(c)) = v.code_key))
               ORDER BY t.placed_at, t.channel_id, t.external_id COLLATE "C\"""",
            {"ids": [v.id for v in self.vouchers]},
        ):
            found.setdefault(row.voucher_id, []).append(row)
        return found

    def _state(
        self, voucher: Voucher, present: Sequence[Any], channels: Sequence[Channel], *, cancelled: bool
    ) -> None:
        """Used revokes the code elsewhere at once. Unused again re-opens it everywhere or, where its
        points are to come back, revokes it everywhere, where it was used too: never both (E3)."""
        moved = self._move(voucher, used=bool(present), cancelled=cancelled)
        self._note_uses(voucher, present)
        if not moved and {row.transaction_id for row in present} == voucher.present:
            return
        if voucher.state == "live":
            self._plan_anew(voucher)
        topic = "create_code" if voucher.state == "live" else "revoke_code"
        used_in = {row.channel_id for row in present}
        elsewhere = [c for c in channels if c.id not in used_in]
        deliveries.enqueue(
            self.session, code_pushes(self.program_id, voucher.public_id, topic, elsewhere)
        )
        self._mark_used(voucher, used_in)

    def _move(self, voucher: Voucher, *, used: bool, cancelled: bool) -> bool:
        event: Event = "use_seen" if used else "use_cancelled" if cancelled else "use_gone"
        why: Leaving | None = "cancelled" if event == "use_cancelled" else None
        after = states.move(self.session, voucher.id, event, ACTOR, why)
        if after is None:
            return False
        voucher.state, voucher.leaving = after, why or voucher.leaving
        return True

    def _note_uses(self, voucher: Voucher, present: Sequence[Any]) -> None:
        """How many there are, and which of them wins."""
        run(
            self.session,
            "UPDATE vouchers SET uses = :uses WHERE id = :id AND uses <> :uses",
            {"uses": len(present), "id": voucher.id},
        )
        run(
            self.session,
            """UPDATE voucher_uses SET wins = (transaction_id IS NOT DISTINCT FROM :winner)
               WHERE voucher_id = :id AND wins <> (transaction_id IS NOT DISTINCT FROM :winner)""",
            {"winner": present[0].transaction_id if present else None, "id": voucher.id},
        )

    def _plan_anew(self, voucher: Voucher) -> None:
        """Open again: until a channel says that it has the code, nobody may take it for gone there (an
        answer may be lost, and the code be there all the same)."""
        run(
            self.session,
            """UPDATE voucher_channels SET state = 'planned', updated_at = clock_timestamp()
               WHERE voucher_id = :id AND state IN ('revoked', 'used', 'failed')""",
            {"id": voucher.id},
        )

    def _mark_used(self, voucher: Voucher, used_in: set[int]) -> None:
        run(
            self.session,
            """UPDATE voucher_channels SET state = 'used', updated_at = clock_timestamp()
               WHERE voucher_id = :id AND channel_id = ANY(:channels)""",
            {"id": voucher.id, "channels": sorted(used_in)},
        )


def _bill(use: Any) -> Bill:
    """What is left of an order that used a code; one that is not paid yet, or a test, is whole."""
    refunded = use.state == "refunded"
    counted = use.state in {"paid", "fulfilled"} and not use.test
    return Bill(use.goods_net, use.eligible if counted else use.goods_net, refunded)


def lock(
    session: Session,
    program_id: int,
    chain_key: bytes,
    transactions: Sequence[Transaction],
    *,
    now: datetime | None = None,
) -> Locked:
    """Lock the vouchers of all codes these sales carry or carried, by id."""
    keys = {
        code_key(code)
        for t in transactions
        for code in (*(t.sale.codes if t.sale else ()), *(t.before[0] if t.before else ()))
    }
    if not keys:
        return Locked(session, program_id, chain_key, [])
    vouchers = voucher_rows.lock(session, program_id, _CARRIED, keys=sorted(keys))
    return Locked(session, program_id, chain_key, vouchers, transactions, now)


_CARRIED = """v.code_key = ANY(:keys)
    AND coalesce(r.reward_terms->'gift_card', CAST('{}' AS jsonb)) = CAST('{}' AS jsonb)"""
"""A gift card is collected and never used in an order: cancelling one would bring back its points."""


def plan_where_known(
    session: Session, program_id: int, members: Iterable[int], channels: Iterable[Channel]
) -> None:
    """Members who appear in a channel, or are merged with somebody known there, get the codes there
    that are live elsewhere; also in a channel that was connected after the code was made."""
    wanted = sorted(members)
    by_id = {c.id: c for c in channels if c.status != "disconnected"}
    if not wanted or not by_id:
        return
    lacking = run(
        session,
        """SELECT v.id, v.public_id, c.id AS channel_id
           FROM vouchers v JOIN members m ON m.id = v.member_id
           CROSS JOIN unnest(CAST(:channels AS bigint[])) AS c(id)
           LEFT JOIN voucher_channels vc ON vc.voucher_id = v.id AND vc.channel_id = c.id
           WHERE v.program_id = :program AND v.state IN ('planned', 'live')
             AND (vc.state IS NULL OR vc.state = 'planned')
             AND coalesce(m.alias_of, m.id) IN
                 (SELECT coalesce(alias_of, id) FROM members WHERE id = ANY(:members))
           ORDER BY v.id, c.id""",
        {"program": program_id, "members": wanted, "channels": sorted(by_id)},
    )
    columns = {"voucher_id": "bigint", "channel_id": "bigint"}
    rows = [{"voucher_id": row.id, "channel_id": row.channel_id} for row in lacking]
    if rows:
        run(
            session,
            f"""INSERT INTO voucher_channels (voucher_id, channel_id, state)
                SELECT r.voucher_id, r.channel_id, 'planned' FROM {unnest(columns)} ON CONFLICT DO NOTHING""",
            arrays(columns, rows),
        )
    deliveries.enqueue(
        session,
        [
            push
            for row in lacking
            for push in code_pushes(program_id, row.public_id, "create_code", [by_id[row.channel_id]])
        ],
    )
