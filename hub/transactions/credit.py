"""Store credit of sales: what they bring and what was paid with it, posted as targets like points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ledger import commands
from hub.ledger.book import Target, post_targets
from hub.ledger.commands import Command
from hub.program.cashback import times
from hub.program.returning import Bill, share_kept
from hub.program.rules import Rules
from hub.transactions.judge import Verdict, paid_with_credit

if TYPE_CHECKING:
    from hub.transactions.post import Ground, Transaction

_VOID = frozenset({"cancelled", "deleted", "refunded", "draft", "unpaid", "test"})


def is_kept(versions: Iterable[Rules]) -> bool:
    """Whether any version of the programme has store credit."""
    return any(rules.credit is not None for rules in versions)


def post(session: Session, ground: Ground, transactions: Sequence[Transaction]) -> None:
    """Bring the store credit of these sales to what it should be; sets `credit_change`. Points accounts
    are locked before, accounts of credit here, currency by currency (rules.md C4)."""
    ready = [t for t in transactions if t.verdict is not None and t.waiting_for is None]
    for currency, its in sorted(_by_currency(session, ready).items()):
        changes = post_targets(
            session,
            ground.program_id,
            [_target(t, currency) for t in its],
            chain_key=ground.chain_key,
            actor=ground.actor,
            now=ground.now,
            currency=currency,
        )
        for transaction in its:
            transaction.credit_change += changes.get(transaction.id, 0)
    _pay(session, ground, ready)


def _by_currency(session: Session, ready: Sequence[Transaction]) -> dict[str, list[Transaction]]:
    """Each sale under its currency, and under any in which it had brought credit before it was changed."""
    found: dict[str, list[Transaction]] = defaultdict(list)
    by_id = {t.id: t for t in ready}
    rows = run(
        session,
        """SELECT DISTINCT p.transaction_id AS id, a.currency FROM postings p JOIN accounts a ON a.id = p.account_id
           WHERE p.transaction_id = ANY(:ids) AND a.currency IS NOT NULL""",
        {"ids": sorted(by_id)},
    )
    pairs = {(row.currency, row.id) for row in rows}
    pairs |= {(t.sale.currency, t.id) for t in ready if t.sale is not None and _worth(t) > 0}
    for currency, id_ in sorted(pairs):
        found[currency].append(by_id[id_])
    return found


def _worth(transaction: Transaction) -> int:
    verdict = transaction.verdict
    if verdict is None or verdict.credit is None or transaction.review == "declined":
        return 0
    return verdict.credit.points


def _target(transaction: Transaction, currency: str) -> Target:
    verdict, fold, sale = transaction.verdict, transaction.fold, transaction.sale
    assert verdict is not None
    assert fold is not None
    assert sale is not None
    available_at, expires_at = times(verdict.rules, verdict.earned_at)
    return Target(
        transaction_id=transaction.id,
        member_id=transaction.member_id,
        points=_worth(transaction) if sale.currency == currency else 0,
        placed_at=verdict.earned_at,
        available_at=available_at,
        expires_at=expires_at,
        context=f"program version {verdict.rules.number}",
        winners=fold.winners,
        explanation=verdict.credit.steps if verdict.credit else (),
        negative=verdict.rules.negative,
    )


# --- paying with it ------------------------------------------------------------------------------


def _pay(session: Session, ground: Ground, ready: Sequence[Transaction]) -> None:
    """What was paid with store credit in a channel where it is this one: taken from whoever bought, and
    given back as the order is refunded, a share for a share."""
    known = _spent(session, ground.program_id, [t.id for t in ready])
    for transaction in ready:
        if transaction.sale is None or transaction.verdict is None:
            continue
        wanted = _wanted(ground, transaction, transaction.verdict)
        for (member_id, currency), spent in known.get(transaction.id, {}).items():
            if (member_id, currency) != (transaction.member_id, transaction.sale.currency):
                _bring(session, ground, transaction, member_id, currency, -spent)
        if transaction.member_id is None:
            continue
        key = (transaction.member_id, transaction.sale.currency)
        _bring(session, ground, transaction, *key, wanted - known.get(transaction.id, {}).get(key, 0))


def _wanted(ground: Ground, transaction: Transaction, verdict: Verdict) -> int:
    credit, channel = verdict.rules.credit, ground.channels[transaction.key[0]]
    paid = paid_with_credit(transaction.sale) if transaction.sale is not None else 0
    if credit is None or not paid or not credit.spent_at & {channel.kind, channel.public_id}:
        return 0
    if verdict.standing in _VOID or verdict.ignored:
        return 0
    history = ground.situations[transaction.key[0]].history
    if history is not None and transaction.placed_at and history.covers(transaction.placed_at):
        return 0  # what the shop took for credit before it was connected was none of this programme's
    sums = transaction.amounts
    return share_kept(verdict.rules, paid, Bill(sums.goods_net, sums.eligible) if sums else Bill(0, 0))


def _spent(
    session: Session, program_id: int, ids: Sequence[int]
) -> dict[int, dict[tuple[int, str], int]]:
    """Sale -> (member, currency) -> what was paid with it so far; the member as attributed."""
    found: dict[int, dict[tuple[int, str], int]] = defaultdict(dict)
    rows: Iterable[Any] = run(
        session,
        """SELECT e.subject, e.member_id, a.currency, -sum(e.amount) AS spent
           FROM entries e JOIN accounts a ON a.id = e.account_id
           WHERE e.program_id = :program AND e.subject = ANY(:subjects) AND e.counter = 'redeemed'
           GROUP BY e.subject, e.member_id, a.currency""",
        {"program": program_id, "subjects": [f"pay:{id_}" for id_ in sorted(ids)]},
    )
    for row in rows:
        found[int(row.subject.removeprefix("pay:"))][row.member_id, row.currency] = int(row.spent)
    return found


def _bring(
    session: Session, ground: Ground, transaction: Transaction, member_id: int, currency: str, delta: int
) -> None:
    """Take so much more (delta > 0), or give so much back."""
    if not delta:
        return
    subject = f"pay:{transaction.id}"
    sql = "SELECT count(*) AS n FROM entries WHERE program_id = :program AND subject = :subject"
    number = run(session, sql, {"program": ground.program_id, "subject": subject})[0].n
    step = {"code": "paid_with_credit", "points": str(-delta)}
    order = Command(
        ground.program_id,
        member_id,
        reference=f"{subject}:{number + 1}",
        actor=ground.actor,
        chain_key=ground.chain_key,
        now=ground.now,
        explanation=(step,),
        currency=currency,
    )
    if delta > 0:
        commands.take_again(session, order, delta, subject)
    else:
        commands.give_back(session, order, -delta, subject, counter="redeemed")
    transaction.credit_change -= delta
