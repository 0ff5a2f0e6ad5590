"""What a channel sold before it was connected: a function of when it was placed, whatever happens to it later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from hub.canonical import Line, LineKind, Sale, SaleState
from hub.program import document
from hub.transactions.judge import HISTORY, History, Situation, judge
from hub.transactions.merge import Fold

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
STARTS, CONNECTED = NOON - timedelta(days=100), NOON - timedelta(days=10)
RULES = document.rules(
    {"earn": {"points": 1, "per": {"VND": "1000"}}},
    number=1,
    effective_from=STARTS,
    time_zone="Asia/Ho_Chi_Minh",
)
PLAIN = Situation((RULES,), STARTS, (), "shop")


def sold(placed_at: datetime, amount: int, state: SaleState) -> tuple[Sale, Fold]:
    line = Line("1", LineKind.GOODS, Decimal(1), amount, 0, categories=())
    sale = Sale("1", "1", state, "VND", (line,), placed_at, version=1, as_of=placed_at)
    return sale, Fold(sale, void=False, winners=("one",), ambiguous=False, placed_at=placed_at)


@given(
    days=st.integers(0, 400),
    amount=st.integers(0, 10_000_000),
    state=st.sampled_from(SaleState),
    since=st.integers(11, 400),
    counts=st.sampled_from(("points", "tiers")),
)
def test_it_is_what_a_plain_model_says(
    days: int, amount: int, state: SaleState, since: int, counts: str
) -> None:
    """Tiers only: from the day that was named until it was connected nothing is given in any state of the sale, and
    tiers count what it would have earned; any other is a sale like all. Before both the start and that day: none."""
    placed_at = NOON - timedelta(days=days)
    begins = NOON - timedelta(days=since)
    history = History(begins, CONNECTED, "tiers" if counts == "tiers" else "points")
    sale, fold = sold(placed_at, amount, state)
    found = judge(sale, fold, {}, replace(PLAIN, history=history))
    paid = state in (SaleState.PAID, SaleState.FULFILLED)
    worth = (amount + 500) // 1000 if paid else 0  # half up
    if state is SaleState.DRAFT or placed_at < min(STARTS, begins):
        assert (found.judgement.points, found.tier_points) == (0, None)
        assert found.ignored is not None
    elif counts == "tiers" and begins <= placed_at < CONNECTED:
        assert found.judgement.points == 0
        assert (found.tier_points or 0) == worth
        assert (found.judgement.why == HISTORY) == (worth > 0)
    else:
        assert (found.judgement.points, found.tier_points) == (worth, None)


def test_store_credit_is_not_given_either() -> None:
    credit = {"credit": {"cashback": [{"percent": "5"}], "spent_at": ["model_event"]}}
    rules = document.rules(
        {"earn": {"points": 1, "per": {"VND": "1000"}}, **credit},
        number=1, effective_from=STARTS, time_zone="Asia/Ho_Chi_Minh",
    )  # fmt: skip
    situation = Situation((rules,), STARTS, (), "shop")
    sale, fold = sold(CONNECTED - timedelta(days=1), 100_000, SaleState.PAID)
    before = judge(sale, fold, {}, situation)
    assert before.credit is not None
    assert before.credit.points == 5000
    after = judge(sale, fold, {}, replace(situation, history=History(STARTS, CONNECTED, "tiers")))
    assert after.credit is not None
    assert (after.credit.points, after.judgement.points, after.tier_points) == (0, 0, 100)
