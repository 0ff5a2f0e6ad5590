"""Rates that change with the size of the bill, a factor for each currency, a percentage in points."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.brackets import Bracket, slices
from hub.program.document import DocumentRefused
from hub.program.earn import evaluate
from hub.program.rules import Basket, BasketLine, Rules
from tests.program.test_earn import NOON

DOLLARS: dict[str, Any] = {
    "type": "brackets",
    "steps": "whole",
    "brackets": [
        {"over": {"USD": "50"}, "up_to": {"USD": "100"}, "per": {"USD": "1"}},
        {"over": {"USD": "100"}, "points": 2, "per": {"USD": "1"}},
    ],
}


def rules(**earn: Any) -> Rules:
    return documents.rules({"earn": earn}, number=1, effective_from=NOON, time_zone="UTC")


def points(of: Rules, amount: int, currency: str = "USD") -> int:
    line = BasketLine("goods", amount, 0, sold=amount)
    judged = evaluate(of, Basket("paid", currency, (line,)))
    assert sum((Fraction(step["points"]) for step in judged.steps), Fraction(0)) == judged.points
    return judged.points


@pytest.mark.parametrize(
    ("amount", "expected"), [(4000, 0), (5000, 0), (5099, 0), (5100, 1), (10000, 50), (12099, 90)]
)
def test_each_part_of_a_bill_earns_at_its_own_rate(amount: int, expected: int) -> None:
    assert points(rules(**DOLLARS), amount) == expected


@pytest.mark.parametrize(("amount", "expected"), [(5000, 0), (10000, 100), (10001, 200), (12000, 240)])
def test_the_whole_bill_earns_at_the_rate_of_its_bracket_where_that_is_said(
    amount: int, expected: int
) -> None:
    assert points(rules(**DOLLARS, reach="bill"), amount) == expected


@given(st.integers(0, 10**7))
def test_brackets_that_share_one_rate_are_that_rate(amount: int) -> None:
    per = {"USD": 7}
    cut = [Bracket(per, up_to={"USD": 999}), Bracket(per, over={"USD": 999})]
    found = slices(cut, amount, "USD", reach="part", whole_steps=False)
    assert found is not None
    assert sum((one.points for one in found), Fraction(0)) == Fraction(amount, 7)
    assert sum(one.amount for one in found) == amount


def test_a_currency_earns_by_its_factor_and_one_without_earns_nothing() -> None:
    of = rules(factors={"EUR": "10", "SEK": "1", "USD": 0}, rounding="down")
    assert points(of, 10_050, "EUR") == 1005
    assert points(of, 10_050, "SEK") == 100
    assert points(of, 10_050, "USD") == 0
    assert points(of, 10_050, "NOK") == 0


def test_a_share_of_the_bill_comes_back_in_points_of_which_a_thousand_are_a_dollar() -> None:
    assert points(rules(type="percent", percent="20", points=1000, worth={"USD": "1"}), 2000) == 4000


@pytest.mark.parametrize(
    ("earn", "message"),
    [
        ({"type": "brackets"}, "earn.brackets: say which: brackets = [...]"),
        ({"per": {"USD": "1"}, "factors": {"USD": "1"}}, "earn.factors: say either per or factors"),
        ({"per": {"USD": "1"}, "reach": "bill"}, 'earn.reach: belongs to type = "brackets"'),
        ({"factors": {"USD": "1"}, "steps": "whole"}, 'earn.steps: belongs to type = "per_amount"'),
        (
            {
                "type": "brackets",
                "brackets": [{"over": {"USD": "9"}, "up_to": {"USD": "9"}, "per": {"USD": "1"}}],
            },
            "earn.brackets[0].up_to: must be more than `over`",
        ),
    ],
)
def test_errors_of_brackets_and_factors_name_the_fix(earn: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentRefused) as refused:
        documents.check({"earn": earn})
    assert str(refused.value).startswith(message)
