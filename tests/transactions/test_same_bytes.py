"""The same bytes seen again: the newer reading, and the last moment at which they were true."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hub.canonical import Sale, SaleState, Traits
from hub.transactions.merge import Contribution, fold
from hub.transactions.post import Arrival, Transaction, _add

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STORE = Traits(payload_built="delivery", lists_refunds="complete", refunds_deletable=True)


def seen(raw_hash: str, state: SaleState, seconds: int, normaliser: int = 1) -> Arrival:
    """An order of one second, seen some seconds later."""
    as_of = NOON + timedelta(seconds=seconds)
    sale = Sale("7", "7", state, "VND", (), NOON, version=1, as_of=as_of)
    return Arrival((1, "7"), seconds, Contribution("snapshot", "", 1, as_of, raw_hash, sale), normaliser)


PAID, TRASHED = seen("paid", SaleState.PAID, 0), seen("trash", SaleState.CANCELLED, 0)
RESTORED = seen("paid", SaleState.PAID, 1)


def test_an_order_trashed_and_restored_within_a_second_is_paid_in_any_order() -> None:
    for order in itertools.permutations([PAID, TRASHED, RESTORED, PAID]):
        transaction = Transaction((1, "7"))
        for arrival in order:
            _add(transaction, arrival)
        found = fold([c for c, _, _ in transaction.contributions.values()], STORE)
        assert found.sale is not None
        assert (found.sale.state, found.ambiguous) == (SaleState.PAID, False)


def test_the_newer_reading_counts_at_the_later_moment_in_any_order() -> None:
    again = seen("paid", SaleState.FULFILLED, 0, normaliser=2)
    for order in itertools.permutations([PAID, RESTORED, again]):
        transaction = Transaction((1, "7"))
        for arrival in order:
            _add(transaction, arrival)
        ((kept, normaliser, _),) = transaction.contributions.values()
        assert (kept.as_of, normaliser) == (NOON + timedelta(seconds=1), 2)
        assert isinstance(kept.body, Sale)
        assert kept.body.state is SaleState.FULFILLED


def test_seen_again_at_the_same_moment_nothing_is_written_anew() -> None:
    transaction = Transaction((1, "7"))
    _add(transaction, PAID)
    before = dict(transaction.contributions)
    _add(transaction, Arrival((1, "7"), 99, PAID.contribution, 1))
    assert transaction.contributions == before
