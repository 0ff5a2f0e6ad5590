"""Which orders used a voucher's code, and what follows: state, points, where the code must go.

Uses are a function of the transactions that carry the code, never of the order in which they were
seen (rules.md E2); what a use costs is a target, like what a sale earns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.ledger import commands
from hub.ledger.commands import Command
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Push
from hub.program.rules import in_force
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


@dataclass(slots=True)
class Voucher:
    """One locked voucher."""

    id: int
    public_id: str
    redemption_id: int
    member_id: int
    code_key: str
    state: str
    uses: int
    points: int
    redemption_state: str
    taken: list[tuple[int, int]] = field(default_factory=list)
    """(member, points) that further uses have cost so far, the owner first."""
    present: set[int] = field(default_factory=set)
    """The sales that used it before this batch."""
    entries: int = 0
    """How many entries its uses have caused: their references go on from there."""

    @property
    def subject(self) -> str:
        """What its uses are called in the ledger."""
        return f"use:{self.id}"


@dataclass(slots=True)
class Locked:
    """The vouchers whose codes a batch's sales carry, or carried before."""

    session: Session
    program_id: int
    chain_key: bytes
    vouchers: list[Voucher]
    transactions: Sequence[Transaction] = field(default_factory=list)

    @property
    def owners(self) -> set[int]:
        """The members who hold them, or paid for uses of them."""
        return {v.member_id for v in self.vouchers} | {m for v in self.vouchers for m, _ in v.taken}

    def settle(self, situations: Mapping[int, Situation], channels: Iterable[Channel]) -> set[int]:
        """Bring state, points and pushes of these vouchers in line with their uses. Returns the
        members whose points changed."""
        if not self.vouchers:
            return set()
        self._store_uses()
        found = self._uses()
        everywhere = list(channels)
        versions = next(iter(situations.values())).versions
        members: set[int] = set()
        for voucher in self.vouchers:
            present = found.get(voucher.id, [])
            # by the rules of the use that wins: neither arrival nor a later version changes that
            rules = in_force(versions, present[0].placed_at) if present else versions[0]
            members |= self._points(voucher, len(present), rules.double_use)
            self._state(voucher, present, everywhere)
        return members

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
        """Present uses per voucher, the winner first: the least (placed_at, channel, external id)."""
        found: dict[int, list[Any]] = {}
        for row in run(
            self.session,
            """SELECT u.voucher_id, u.transaction_id, t.channel_id, t.placed_at
               FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id
               WHERE u.voucher_id = ANY(:ids) AND u.present
               ORDER BY t.placed_at, t.channel_id, t.external_id""",
            {"ids": [v.id for v in self.vouchers]},
        ):
            found.setdefault(row.voucher_id, []).append(row)
        return found

    def _points(self, voucher: Voucher, uses: int, double_use: str) -> set[int]:
        """Take-again: cost x max(1, uses); the first use is the redemption itself (E2). Returns the
        members whose points changed."""
        if voucher.redemption_state != "committed":
            return set()
        again = max(0, uses - 1) if double_use == "take_again" else 0
        delta = again * voucher.points - sum(taken for _, taken in voucher.taken)
        if delta > 0:
            commands.take_again(
                self.session,
                self._command(voucher, voucher.member_id, -delta, uses),
                delta,
                voucher.subject,
            )
            return {voucher.member_id}
        return set(self._give_back(voucher, -delta, uses))

    def _give_back(self, voucher: Voucher, points: int, uses: int) -> Iterator[int]:
        """To whoever paid: of members merged and taken apart again, spends stay with the survivor (D8)."""
        for member_id, taken in voucher.taken:
            back = min(points, taken)
            if back <= 0:
                continue
            command = self._command(voucher, member_id, back, uses)
            commands.give_back(self.session, command, back, voucher.subject, counter="redeemed")
            points -= back
            yield member_id

    def _command(self, voucher: Voucher, member_id: int, points: int, uses: int) -> Command:
        voucher.entries += 1
        return Command(
            self.program_id,
            member_id,
            reference=f"{voucher.subject}:{voucher.entries}",
            actor="hub:vouchers",
            chain_key=self.chain_key,
            explanation=({"code": "code_used_again", "points": str(points), "uses": uses},),
        )

    def _state(self, voucher: Voucher, present: Sequence[Any], channels: Sequence[Channel]) -> None:
        """Used revokes the code elsewhere at once; unused again re-opens it everywhere (E3)."""
        state = voucher.state
        if present and state in {"planned", "live"}:
            state = "used"
        elif not present and state == "used":
            state = "live"
        run(
            self.session,
            "UPDATE vouchers SET state = :state, uses = :uses WHERE id = :id",
            {"state": state, "uses": len(present), "id": voucher.id},
        )
        run(
            self.session,
            "UPDATE voucher_uses SET wins = (transaction_id IS NOT DISTINCT FROM :winner) WHERE voucher_id = :id",
            {"winner": present[0].transaction_id if present else None, "id": voucher.id},
        )
        used_in = {row.channel_id for row in present}
        if state == voucher.state and {row.transaction_id for row in present} == voucher.present:
            return
        if state == "live":
            self._plan_anew(voucher)
        topic = "revoke_code" if state == "used" else "create_code"
        elsewhere = [c for c in channels if c.id not in used_in]
        deliveries.enqueue(
            self.session, code_pushes(self.program_id, voucher.public_id, topic, elsewhere)
        )
        self._mark_used(voucher, used_in)

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


def lock(
    session: Session, program_id: int, chain_key: bytes, transactions: Sequence[Transaction]
) -> Locked:
    """Lock the vouchers of all codes these sales carry or carried, by id."""
    keys = {
        code_key(code)
        for t in transactions
        for code in (*(t.sale.codes if t.sale else ()), *(t.before[0] if t.before else ()))
    }
    if not keys:
        return Locked(session, program_id, chain_key, [])
    rows = run(
        session,
        """SELECT v.id, v.public_id, v.redemption_id, v.member_id, v.code_key, v.state, v.uses,
                  r.points, r.state AS redemption_state
           FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
           WHERE v.program_id = :program AND v.code_key = ANY(:keys) ORDER BY v.id FOR NO KEY UPDATE OF v""",
        {"program": program_id, "keys": sorted(keys)},
    )
    vouchers = [Voucher(**row._mapping) for row in rows]
    _load_present(session, vouchers)
    _load_taken(session, program_id, vouchers)
    return Locked(session, program_id, chain_key, vouchers, transactions)


def _load_present(session: Session, vouchers: Sequence[Voucher]) -> None:
    by_id = {v.id: v for v in vouchers}
    if not by_id:
        return
    for row in run(
        session,
        "SELECT voucher_id, transaction_id FROM voucher_uses WHERE voucher_id = ANY(:ids) AND present",
        {"ids": sorted(by_id)},
    ):
        by_id[row.voucher_id].present.add(row.transaction_id)


def _load_taken(session: Session, program_id: int, vouchers: Sequence[Voucher]) -> None:
    by_subject = {v.subject: v for v in vouchers}
    if not by_subject:
        return
    for row in run(
        session,
        """SELECT e.subject, a.member_id, -sum(e.amount) AS taken,
                  count(*) FILTER (WHERE e.counter <> 'member') AS n
           FROM entries e JOIN accounts a ON a.id = e.account_id
           WHERE e.program_id = :program AND e.subject = ANY(:subjects) AND e.counter <> 'issued'
           GROUP BY e.subject, a.member_id ORDER BY a.member_id""",
        {"program": program_id, "subjects": sorted(by_subject)},
    ):
        voucher = by_subject[row.subject]
        voucher.entries += row.n
        if row.taken:
            voucher.taken.append((row.member_id, int(row.taken)))
    for voucher in vouchers:
        voucher.taken.sort(key=lambda paid: paid[0] != voucher.member_id)


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


def code_pushes(program_id: int, voucher: str, topic: str, channels: Iterable[Channel]) -> list[Push]:
    """One row a voucher and channel: what is pushed follows from the voucher's state by then."""
    return [
        Push(
            program_id,
            channel.id,
            topic=topic,
            key=f"code:{voucher}",
            subject=f"voucher:{voucher}",
            priority=deliveries.URGENT if topic == "revoke_code" else deliveries.NORMAL,
            body={"action": topic, "voucher": voucher},
        )
        for channel in channels
        if channel.status != "disconnected"
    ]
