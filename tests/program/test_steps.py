"""The steps that a judgement is explained by, word for word: what each of them says and in what order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hub.program.cashback import cashback
from hub.program.document import DocumentRefused
from hub.program.earn import evaluate, line_exclusion
from hub.program.paying import quote
from hub.program.pricing import Cart, CartLine, price
from hub.program.rules import NOBODY, Basket, BasketLine, Buyer, Judgement, PointsAsMoney
from tests.program.test_earn import NOON, basket, line, other, points, rules

Steps = list[dict[str, Any]]


def steps(judged: Judgement) -> Steps:
    return [dict(step) for step in judged.steps]


def told(document: Mapping[str, Any], sold: Basket, buyer: Buyer = NOBODY) -> Steps:
    return steps(evaluate(rules(**document), sold, buyer))


RATE = {"code": "rate", "each": "1", "per": 10_000, "currency": "VND"}
TENTHS = {"code": "rounding", "points": "0.5", "mode": "half_up"}


@pytest.mark.parametrize(
    ("earn", "expected"),
    [
        ({}, [{**RATE, "points": "5.5", "amount": 55_000}, TENTHS]),
        ({"tax": "in"}, [{**RATE, "points": "6.05", "amount": 60_500}, {**TENTHS, "points": "-0.05"}]),
        ({"shipping": "in"}, [{**RATE, "points": "7.5", "amount": 75_000}, TENTHS]),
        ({"shipping": "in", "tax": "in"},
         [{**RATE, "points": "8.25", "amount": 82_500}, {**TENTHS, "points": "-0.25"}]),
        ({"steps": "whole"}, [{**RATE, "code": "whole_steps", "points": "5", "amount": 55_000}]),
        ({"rounding": "up"}, [{**RATE, "points": "5.5", "amount": 55_000}, {**TENTHS, "mode": "up"}]),
        (other("percent", percent="10", worth={"VND": "1000"}),
         [{"code": "percent", "points": "5.5", "percent": "10", "per": 1000, "amount": 55_000, "currency": "VND",
           "each": "1"}, TENTHS]),
        (other("percent", percent="10", points=3, worth={"VND": "1000"}),
         [{"code": "percent_worth", "points": "16.5", "percent": "10", "per": 1000, "amount": 55_000,
           "currency": "VND", "each": "3"}, TENTHS]),
        (other("per_order", points=7), [{"code": "per_order", "points": "7", "rule": "earn-1"}]),
        (other("per_quantity", points=4), [{"code": "per_quantity", "points": "4", "each": "4", "pieces": "1"}]),
        ({"per": {}, "factors": {"VND": "0.0005"}},
         [{"code": "amount_factor", "points": "27.5", "amount": 55_000, "currency": "VND"}, TENTHS]),
        (other("brackets", brackets=[{"up_to": {"VND": "50000"}, "per": {"VND": "10000"}},
                                     {"over": {"VND": "50000"}, "points": 3, "per": {"VND": "10000"}}]),
         [{"code": "bracket", "points": "5", "each": "1", "per": 10_000, "over": 0, "amount": 50_000,
           "currency": "VND"},
          {"code": "bracket", "points": "1.5", "each": "3", "per": 10_000, "over": 50_000, "amount": 5000,
           "currency": "VND"}, TENTHS]),
    ],
)  # fmt: skip
def test_each_kind_of_rule_says_what_it_counted(earn: dict[str, Any], expected: Steps) -> None:
    sold = basket(55_000, shipping_left=20_000, shipping_tax_left=2000)
    assert told({"earn": earn}, sold) == expected


def test_what_does_not_earn_is_named_with_its_amount_and_what_was_not_asked_for_is_not() -> None:
    lines = (
        line(10_000), line(7000, "tip"), line(2000, "tip"), line(5000, "gift_card"), line(3000, sku="X"),
        line(1000, categories=("C",)), line(1500, tags=("T",)), line(0, "fee"),
    )  # fmt: skip
    excluding = {"exclude_skus": ["X"], "exclude_categories": ["C"], "exclude_tags": ["T"]}
    found = told({"earn": excluding}, basket(lines=lines))
    told_of = [(step["what"], step["amount"], step["currency"], step["points"]) for step in found[:-1]]
    assert told_of == [
        ("category", 1000, "VND", "0"), ("gift_card", 5000, "VND", "0"), ("sku", 3000, "VND", "0"),
        ("tag", 1500, "VND", "0"), ("tip", 9000, "VND", "0"),
    ]  # fmt: skip
    assert {step["code"] for step in found[:-1]} == {"excluded"}
    named = told({"earn": {"skus": ["X"]}}, basket(lines=lines))
    assert [step.get("what") for step in named if step["code"] == "excluded"] == ["gift_card", "tip"]


@pytest.mark.parametrize(
    ("document", "sold", "why"),
    [
        ({"earn": {"minimum": {"VND": "60000"}}}, basket(54_000), "bill_too_small"),
        ({"earn": {"minimum": {"USD": "1"}}}, basket(54_000), "bill_too_small"),
        ({"earn": {"channels": ["shopify"]}}, basket(54_000), "other_channel"),
        ({"earn": {"locations": ["A"]}}, basket(54_000, location="B"), "other_location"),
        ({"earn": {"discounted_bills": False}}, basket(54_000, discounted=True), "bill_discounted"),
        ({"earn": {"paid_with_points": False}}, basket(54_000, paid_with_points=True), "bill_paid_with_points"),
        ({"earn": {"windows": [{"from": "2027-01-01"}]}}, basket(54_000, placed_at=NOON), "other_time"),
        ({"earn": {"weekdays": ["tue"]}}, basket(54_000, placed_at=NOON), "other_time"),
        ({"earn": {"hours": "20:00-24:00"}}, basket(54_000, placed_at=NOON), "other_time"),
        ({"earn": {"hours": "20:00-24:00"}}, basket(54_000), "other_time"),
        ({"earn": {"birthday": "day"}}, basket(54_000), "no_birthday"),
        ({"earn": {"orders": [2]}}, basket(54_000), "other_order"),
        ({"earn": {"skus": ["Z"]}}, basket(54_000), "nothing_left_that_earns"),
        ({"earn": other("per_order", skus=["Z"])}, basket(54_000), "nothing_left_that_earns"),
        ({}, basket(54_000, standing="cancelled"), "sale_cancelled"),
        ({}, basket(4000), "less_than_one_point"),
    ],
)  # fmt: skip
def test_what_earns_nothing_says_why(document: dict[str, Any], sold: Basket, why: str) -> None:
    judged = evaluate(rules(**document), sold)
    assert (judged.points, judged.why) == (0, why)
    if why != "less_than_one_point":
        assert steps(judged) == [{"code": why, "points": "0"}]


def test_a_currency_that_earns_nothing_is_named() -> None:
    judged = evaluate(rules(), basket(100, currency="USD"))
    assert steps(judged) == [{"code": "currency_earns_nothing", "points": "0", "currency": "USD"}]


def test_a_bill_that_earns_says_no_reason() -> None:
    assert evaluate(rules(), basket(10_000)).why is None


# --- what was not paid in money ------------------------------------------------------------------

PARTLY: dict[str, int] = {"points": 20_000, "gift_card": 10_000, "store_credit": 5000}


@pytest.mark.parametrize(
    ("kinds", "out", "own"),
    [([], 0, 10), (["points"], 20_000, 8), (["gift_card"], 10_000, 9), (["points", "gift_card"], 30_000, 7),
     (["store_credit"], 5000, 10)],
)  # fmt: skip
def test_the_part_that_was_paid_with_what_earns_nothing_is_left_out(
    kinds: list[str], out: int, own: int
) -> None:
    sold = basket(lines=(line(100_000),), paid_with=PARTLY)
    judged = evaluate(rules(earn={"not_paid_with": kinds}), sold)
    assert judged.points == own
    cut = {"code": "excluded", "points": "0", "what": "paid_with", "amount": out, "currency": "VND"}
    assert [s for s in steps(judged) if s["code"] == "excluded"] == ([cut] if out else [])


def test_the_part_is_of_the_bill_with_tax_and_shipping_and_of_what_is_left_of_it() -> None:
    lines = (BasketLine("goods", 50_000, 5000, sold=100_000, sold_tax=10_000),)
    sold = basket(lines=lines, shipping=10_000, shipping_left=10_000, paid_with={"points": 60_000})
    judged = evaluate(rules(earn={"not_paid_with": ["points"]}), sold)
    assert [s["amount"] for s in steps(judged)[:2]] == [25_000, 25_000]
    everything = basket(lines=(line(10_000),), paid_with={"points": 99_000})
    assert evaluate(rules(earn={"not_paid_with": ["points"]}), everything).points == 0


def test_points_for_a_visit_do_not_ask_how_it_was_paid() -> None:
    with pytest.raises(DocumentRefused, match="not_paid_with"):
        rules(earn=other("per_order", points=5, not_paid_with=["points"]))


# --- multipliers ---------------------------------------------------------------------------------

TWICE: dict[str, Any] = {"id": "twice", "factor": "2"}


def test_a_multiplier_says_what_it_added_and_one_that_adds_nothing_is_silent() -> None:
    several = [{"id": "tue", "factor": "9", "weekdays": ["tue"]}, {"id": "once", "factor": "1"}, TWICE]
    found = told({"multipliers": several}, basket(50_000, placed_at=NOON))
    assert found[1:] == [{"code": "multiplier", "points": "5", "rule": "twice", "factor": "2"}]


@pytest.mark.parametrize(
    ("stacking", "adds"), [("multiply", ["5", "20"]), ("add", ["5", "10"]), ("best", ["5", "5"])]
)
def test_two_multipliers_are_put_together_as_the_programme_says(stacking: str, adds: list[str]) -> None:
    several = [TWICE, {"id": "thrice", "factor": "3"}]
    found = told({"multipliers": several, "points": {"stacking": stacking}}, basket(50_000))
    assert [step["points"] for step in found[1:]] == adds


def test_a_multiplier_of_some_lines_weighs_what_they_bring_and_shipping_is_no_line() -> None:
    lines = (line(30_000, sku="A"), line(10_000, sku="B"))
    document = {"multipliers": [{**TWICE, "skus": ["A"]}], "earn": {"shipping": "in"}}
    found = told(document, basket(lines=lines, shipping_left=20_000))
    assert [step["points"] for step in found] == ["6", "3"]


# --- budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "own", "cut"),
    [({}, 5, None), ({"b": 5}, 5, None), ({"b": 3}, 3, "-2"), ({"b": 0}, 0, "-5")],
)
def test_a_rule_gives_no_more_than_is_left_of_its_budget(
    left: dict[str, int], own: int, cut: str | None
) -> None:
    of = rules(earn={"id": "b", "budget": 100})
    judged = evaluate(of, basket(50_000), Buyer(allowed=left))
    assert (judged.points, judged.campaigns) == (own, {"b": own})
    cuts = [step for step in steps(judged) if step["code"] == "budget"]
    assert cuts == ([] if cut is None else [{"code": "budget", "points": cut, "rule": "b"}])


def test_a_multiplier_gives_no_more_than_is_left_over_all_rules_of_the_bill() -> None:
    earn = [{"id": "one"}, {"id": "two", "points": 2}]
    of = rules(earn=earn, multipliers=[{**TWICE, "budget": 100}])
    free = evaluate(of, basket(50_000), NOBODY)
    assert (free.points, free.campaigns) == (30, {"twice": 15})
    tight = evaluate(of, basket(50_000), Buyer(allowed={"twice": 8}))
    assert (tight.points, tight.campaigns) == (15 + 8, {"twice": 8})
    assert [s for s in steps(tight) if s["code"] == "budget"] == [
        {"code": "budget", "points": "-7", "rule": "twice"}
    ]
    spent = evaluate(of, basket(50_000), Buyer(allowed={"twice": 3}))
    assert (spent.points, spent.campaigns) == (15 + 3, {"twice": 3})
    best = evaluate(rules(earn=earn, multipliers=[{**TWICE, "budget": 100}], points={"combine": "best"}),
                    basket(50_000), Buyer(allowed={"twice": 8}))  # fmt: skip
    assert (best.points, best.campaigns) == (18, {"twice": 8})


# --- caps and shares -----------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "expected"), [(4, (4, "-1")), (5, (5, None)), (6, (5, None))])
def test_the_most_of_an_order_is_a_step_of_its_own(most: int, expected: tuple[int, str | None]) -> None:
    judged = evaluate(rules(points={"most_per_order": most}), basket(50_000))
    cuts = [step for step in steps(judged) if step["code"] == "most_per_order"]
    own, cut = expected
    assert judged.points == own
    assert cuts == ([] if cut is None else [{"code": "most_per_order", "points": cut, "most": most}])


@pytest.mark.parametrize("period", ["day", "week", "month", "year", "ever"])
@pytest.mark.parametrize(("earned", "own"), [(0, 5), (7, 3), (10, 0), (20, 0)])
def test_the_most_of_a_period_is_a_step_of_its_own(period: Any, earned: int, own: int) -> None:
    name = "most_per_member" if period == "ever" else f"most_per_{period}"
    judged = evaluate(rules(points={name: 10}), basket(50_000), Buyer(earned={period: earned}))
    assert (judged.points, judged.why) == (own, None if own else "earned_enough")
    cuts = [step for step in steps(judged) if step["code"] == name]
    assert cuts == ([] if own == 5 else [{"code": name, "points": str(own - 5), "most": 10}])


def refunded(sold: int, left: int, **document: Any) -> Judgement:
    lines = (BasketLine("goods", left, 0, sold=sold),)
    return evaluate(rules(points={"partial_refund": "share"}, **document), basket(lines=lines))


def test_a_share_that_is_kept_is_a_step_of_its_own() -> None:
    judged = refunded(100_000, 25_000)
    assert (judged.points, judged.why) == (3, None)
    assert steps(judged)[-1] == {
        "code": "refunded_share", "points": "-7", "left": 25_000, "amount": 100_000, "currency": "VND",
    }  # fmt: skip
    assert (refunded(100_000, 0).points, refunded(100_000, 0).why) == (0, "nothing_left_that_earns")
    assert refunded(100_000, 100_000).points == 10
    assert refunded(100_000, 25_000, earn={"id": "b", "budget": 99}).campaigns == {"b": 3}


def test_a_share_is_of_the_goods_and_not_of_tips_and_fees_that_nobody_gives_back() -> None:
    lines = (BasketLine("goods", 0, 0, sold=90_000), BasketLine("tip", 10_000, 0, sold=10_000))
    document: dict[str, Any] = {"points": {"partial_refund": "share"}}
    assert evaluate(rules(**document), basket(lines=lines)).points == 0


# --- which rules ---------------------------------------------------------------------------------


def test_a_rule_that_is_alone_gives_way_and_keeps_later_ones_out() -> None:
    five = {"id": "five", "points": 5}
    assert points(basket(10_000), earn=[{}, {"points": 3, "alone": True}, five]) == 6
    assert points(basket(10_000), earn=[{"points": 3, "alone": True}, five]) == 3
    assert points(basket(10_000), earn=[{"points": 3, "last": True}, five]) == 3


def test_a_line_that_no_rule_takes_says_why() -> None:
    of = rules(earn=[{"skus": ["A"]}, {"id": "b", "exclude_skus": ["B"]}])
    assert line_exclusion(of, line(1, sku="B")) == "not_named"
    assert line_exclusion(of, line(1, sku="A")) is None
    assert line_exclusion(rules(), line(1, "tip")) == "tip"


# --- store credit --------------------------------------------------------------------------------


def test_cashback_is_told_in_words_of_money() -> None:
    back = {"percent": "7", "skus": ["A"], "minimum": {"VND": "1"}}
    credit = {"cashback": [back], "most_per_order": {"VND": "2000"}}
    sold = basket(lines=(line(33_335, sku="A"), line(7000, "tip", sku="A")))
    judged = cashback(rules(credit=credit), sold)
    assert steps(judged) == [
        {"code": "excluded", "points": "0", "what": "tip", "amount": 7000, "currency": "VND"},
        {"code": "cashback", "points": "2333.45", "percent": "7", "amount": 33_335, "currency": "VND"},
        {"code": "cashback_rounded", "points": "-0.45", "currency": "VND"},
        {"code": "cashback_most", "points": "-333", "amount": 2000, "currency": "VND"},
    ]
    assert judged.points == 2000


@pytest.mark.parametrize(
    ("paid", "back"), [(0, 5000), (1, 5000), (25_000, 3750), (100_000, 0), (200_000, 0)]
)
def test_what_was_paid_with_credit_brings_none(paid: int, back: int) -> None:
    lines = (BasketLine("goods", 100_000, 0, sold=100_000),)
    of = rules(credit={"cashback": [{"percent": "5"}]})
    assert cashback(of, basket(lines=lines, paid_with_credit=paid)).points == back


def test_cashback_of_some_currencies_is_of_no_other() -> None:
    of = rules(credit={"cashback": [{"percent": "5", "currencies": ["USD"]}]})
    assert cashback(of, basket(100, currency="USD")).points == 5
    assert cashback(of, basket(100_000)).points == 0


# --- which order, and limits at their edges ------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        ({"orders": [1, 4]}, [1, 4]),
        ({"every_nth": 3}, [3, 6]),
        ({"orders": [1], "every_nth": 5}, [1, 5]),
    ],
)
def test_a_rule_of_some_orders_is_of_those_alone(which: dict[str, Any], numbers: list[int]) -> None:
    of = rules(earn=which)
    found = [n for n in range(1, 7) if evaluate(of, basket(10_000), Buyer(ordinal=n)).points]
    assert found == numbers
    assert evaluate(of, basket(10_000), Buyer(ordinal=None)).points == 0


def test_a_code_is_good_at_its_minimum_and_frees_the_shipping_alone() -> None:
    cart = Cart("USD", (CartLine(900), CartLine(100)), shipping=300)
    terms: dict[str, Any] = {"percent": 1000, "amounts": {}, "minimum": {"USD": 1000}}
    found = price(terms, cart)
    assert (found.off, found.lines, found.shipping_off, found.left, found.why) == (
        100,
        (90, 10),
        0,
        1200,
        None,
    )
    small = price({**terms, "minimum": {"USD": 1001}}, cart)
    assert (small.off, small.lines, small.shipping_off, small.left, small.why) == (
        0,
        (0, 0),
        0,
        1300,
        "below_minimum",
    )
    freed = price({"percent": None, "amounts": {}, "free_shipping": True}, cart)
    assert (freed.off, freed.lines, freed.shipping_off, freed.left) == (0, (0, 0), 300, 1000)
    other_most = price({**terms, "most": {"VND": 5}}, cart)
    assert other_most.why == "no_amount_in_this_currency"


def test_a_balance_and_a_number_of_points_at_the_least_are_enough() -> None:
    terms = PointsAsMoney(10, {"USD": 100}, least=50, least_balance=80)
    assert quote(terms, asked=50, balance=80, currency="USD").points == 50
    assert quote(terms, asked=49, balance=80, currency="USD").points == 0
    assert quote(terms, asked=50, balance=79, currency="USD").why == "balance_too_small"
    nothing = quote(terms, asked=50, balance=80, currency="EUR")
    assert (nothing.points, nothing.off, nothing.why) == (0, 0, "currency_has_no_worth")
