"""Points as money: never more than was asked, than there is, than the bill, than they are worth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.program.paying import quote
from hub.program.rules import PointsAsMoney

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def terms(**paying: Any) -> PointsAsMoney:
    document = {"earn": {"per": {"USD": "1"}}, "paying": {"worth": {"USD": "0.01"}, **paying}}
    found = documents.rules(document, number=1, effective_from=NOON, time_zone="UTC").paying
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("paying", "asked", "balance", "bill", "points", "off", "why"),
    [
        ({}, 1000, 5000, 100_00, 1000, 10_00, None),
        ({"min_points": 500, "max_percent": "50"}, 1000, 700, 100_00, 700, 7_00, "balance_too_small"),
        ({"max_percent": "50"}, 10_000, 10_000, 100_00, 5000, 50_00, "bill_too_small"),
        ({"points": 100, "worth": {"USD": "5"}, "step": 100}, 1050, 5000, 1000_00, 1000, 50_00, "whole_steps_only"),
        ({"min_points": 500}, 400, 5000, None, 0, 0, "below_minimum"),
        ({"points": 10, "worth": {"USD": "1"}, "min_off": {"USD": "5"}}, 49, 99, None, 0, 0, "below_minimum"),
        ({"points": 10, "worth": {"USD": "1"}, "min_off": {"USD": "5"}}, 50, 99, None, 50, 5_00, None),
        ({"max_off": {"USD": "10"}}, 2000, 2000, 100_00, 1000, 10_00, "bill_too_small"),
        ({"max_points": 50}, 80, 80, None, 50, 50, "above_maximum"),
        ({"min_balance": 100}, 10, 99, None, 0, 0, "balance_too_small"),
        ({"points": 3, "worth": {"USD": "0.01"}}, 2, 9, None, 0, 0, "below_minimum"),
    ],
)  # fmt: skip
def test_limits(
    paying: dict[str, Any],
    asked: int,
    balance: int,
    bill: int | None,
    points: int,
    off: int,
    why: str | None,
) -> None:
    found = quote(terms(**paying), asked=asked, balance=balance, currency="USD", bill=bill)
    assert (found.points, found.off, found.why) == (points, off, why)


def test_a_currency_without_a_worth_has_none() -> None:
    assert quote(terms(), asked=1, balance=1, currency="VND").why == "currency_has_no_worth"


LIMITS = st.fixed_dictionaries(
    {"points": st.integers(1, 500), "worth": st.sampled_from([{"USD": "0.01"}, {"USD": "1.25"}])},
    optional={
        "step": st.integers(1, 200),
        "min_points": st.integers(1, 500),
        "max_points": st.integers(1, 5000),
        "max_percent": st.sampled_from(["10", "33.3", "100"]),
        "max_off": st.just({"USD": "7.77"}),
    },
)


@settings(deadline=None)
@given(LIMITS, st.integers(-5, 10**6), st.integers(0, 10**6), st.integers(0, 10**7))
def test_nobody_gets_more_than_there_is(
    paying: dict[str, Any], asked: int, balance: int, bill: int
) -> None:
    rules = terms(**paying)
    found = quote(rules, asked=asked, balance=balance, currency="USD", bill=bill)
    assert 0 <= found.points <= max(0, min(asked, balance))
    assert found.off <= bill
    assert found.off * rules.points <= found.points * rules.worth["USD"]
    assert found.points % rules.step == 0
    again = quote(rules, asked=found.points, balance=balance, currency="USD", bill=bill)
    assert not found.points or (again.points, again.off, again.why) == (found.points, found.off, None)


def test_points_are_worth_as_much_elsewhere_by_the_rate_rounded_down() -> None:
    rules = terms(points=100, worth={"USD": "1"}, rates={"JPY": "113.2", "KWD": "0.3075"})
    offs = {c: quote(rules, asked=500, balance=500, currency=c).off for c in ("USD", "JPY", "KWD")}
    assert offs == {"USD": 500, "JPY": 566, "KWD": 1537}  # 1.5375 dinars
    assert quote(rules, asked=50, balance=50, currency="JPY").off == 56
    assert quote(rules, asked=50, balance=50, currency="EUR").why == "currency_has_no_worth"
    paid = quote(rules, asked=500, balance=500, currency="JPY", bill=300)
    assert (paid.points, paid.off, paid.why) == (265, 299, "bill_too_small")


@pytest.mark.parametrize(
    ("worth", "rates", "said"),
    [
        ({"USD": "1", "EUR": "1"}, {"JPY": "113.2"}, "rates are counted from one currency"),
        ({"USD": "1"}, {"USD": "1"}, "the currency of worth needs no rate"),
        ({"USD": "1"}, {"JPY": "0"}, "must be more than 0"),
    ],
)
def test_a_rate_leads_from_one_currency_to_another(
    worth: dict[str, str], rates: dict[str, str], said: str
) -> None:
    with pytest.raises(DocumentRefused, match=said):
        terms(points=100, worth=worth, rates=rates)
