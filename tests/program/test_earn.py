"""What a sale is worth: exact shares, one rounding, every step accounted for."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.earn import evaluate
from hub.program.rules import NOBODY, Basket, BasketLine, Buyer, Rules, Standing, in_force, needs

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")
BASE: dict[str, Any] = {"points": 1, "per": {"VND": "10000"}}


def rules(number: int = 1, effective_from: datetime = NOON, **document: Any) -> Rules:
    """Rules out of a document; `earn` is added to the base rule, or is a list of whole rules."""
    earn = document.pop("earn", {})
    document["earn"] = [BASE | one for one in earn] if isinstance(earn, list) else BASE | earn
    return documents.rules(
        document, number=number, effective_from=effective_from, time_zone="Asia/Ho_Chi_Minh"
    )


def line(amount: int, kind: str = "goods", tax: int = 0, **more: Any) -> BasketLine:
    """A line of which all is left."""
    return BasketLine(kind, amount, tax, sold=amount, sold_tax=tax, **more)


def basket(*amounts: int, standing: Standing = "paid", currency: str = "VND", **change: Any) -> Basket:
    lines = tuple(line(amount, tax=amount // 10) for amount in amounts)
    return Basket(standing, currency, change.pop("lines", lines), **change)


def points(basket: Basket, **document: Any) -> int:
    """What it earns; the steps sum to it, always."""
    judged = evaluate(rules(**document), basket)
    assert sum(Fraction(step["points"]) for step in judged.steps) == judged.points
    return judged.points


def other(kind: str, **rule: Any) -> dict[str, Any]:
    """A rule of another type than the base."""
    return {"type": kind, "per": {}, **rule}


@pytest.mark.parametrize(("mode", "points"), [("half_up", 6), ("down", 5), ("up", 6)])
def test_55000_at_10000_a_point_is_rounded_as_the_programme_says(mode: Any, points: int) -> None:
    assert evaluate(rules(points={"rounding": mode}), basket(55_000)).points == points


def test_the_bill_is_rounded_once_and_not_line_by_line() -> None:
    assert evaluate(rules(), basket(4_000, 4_000, 4_000)).points == 1


@pytest.mark.parametrize(
    ("change", "points"),
    [
        ({}, 10),
        ({"tax": "in"}, 11),
        ({"shipping": "in"}, 13),
        ({"tax": "in", "shipping": "in"}, 14),
    ],
)
def test_tax_and_shipping_count_where_the_rule_says_so(change: dict[str, Any], points: int) -> None:
    whole = basket(100_000, shipping_left=30_000, shipping_tax_left=3_000)
    assert evaluate(rules(earn=change), whole).points == points


def test_gift_cards_tips_and_fees_are_left_out_and_said_so() -> None:
    lines = (
        BasketLine("goods", 50_000, 0),
        BasketLine("gift_card", 90_000, 0),
        BasketLine("tip", 5_000, 0),
    )
    judged = evaluate(rules(), basket(lines=lines))
    assert judged.points == 5
    assert [s["what"] for s in judged.steps if s["code"] == "excluded"] == ["gift_card", "tip"]


def test_categories_and_skus_can_be_left_out_and_categories_are_then_needed() -> None:
    rule = rules(earn={"exclude_categories": ["Sale"], "exclude_skus": ["X"]})
    lines = (
        BasketLine("goods", 50_000, 0, sku="A", categories=("Tea",)),
        BasketLine("goods", 50_000, 0, sku="B", categories=("Sale", "Tea")),
        BasketLine("goods", 50_000, 0, sku="X", categories=()),
    )
    assert evaluate(rule, basket(lines=lines)).points == 5
    assert (needs(rule), needs(rules())) == (frozenset({"categories"}), frozenset())


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        ("unpaid", "sale_unpaid"),
        ("cancelled", "sale_cancelled"),
        ("refunded", "sale_refunded"),
        ("test", "sale_test"),
    ],
)
def test_no_points_have_a_reason(standing: Standing, why: str) -> None:
    assert (evaluate(rules(), basket(90_000, standing=standing)).why) == why


def test_a_currency_without_a_rate_earns_nothing() -> None:
    assert evaluate(rules(), basket(900, currency="USD")).why == "currency_earns_nothing"


def test_a_sale_is_judged_by_the_version_in_force_when_it_was_placed() -> None:
    old, new = rules(1, datetime(2026, 1, 1, tzinfo=UTC)), rules(2, NOON)
    assert in_force([old, new], NOON) == new
    assert in_force([old, new], datetime(2026, 11, 2, 11, 59, tzinfo=UTC)) == old
    assert in_force([old, new], datetime(2025, 1, 1, tzinfo=UTC)) == old


# --- kinds of rules ------------------------------------------------------------------------------


def test_whole_steps_count_only_full_ones() -> None:
    """10 points for every full 20.000: 70.000 give 30, not 35."""
    rate = {"points": 10, "per": {"VND": "20000"}}
    assert points(basket(70_000), earn=rate) == 35
    assert points(basket(70_000), earn=rate | {"steps": "whole"}) == 30


def test_a_percentage_comes_back_as_points_of_a_worth() -> None:
    """10 % of 55.000 in points worth 1.000: 5,5, rounded to 6 unless the programme rounds down."""
    rule = other("percent", percent="10", worth={"VND": "1000"})
    assert points(basket(55_000), earn=rule) == 6
    assert points(basket(55_000), earn=rule, points={"rounding": "down"}) == 5


def test_points_for_the_order_and_for_each_piece() -> None:
    lines = (line(90_000, sku="CUP", quantity=Fraction(2)), line(10_000, sku="CAKE"))
    assert points(basket(lines=lines), earn=other("per_order", points=10)) == 10
    assert points(basket(lines=lines), earn=other("per_quantity", skus=["CUP"])) == 2
    only = other("per_order", points=10, categories=["Shirts"])
    assert evaluate(rules(earn=only), basket(lines=lines)).why == "nothing_left_that_earns"


def test_a_rate_may_have_decimals_and_points_never_do() -> None:
    assert points(basket(43, currency="JPY"), earn={"points": "2.3", "per": {"JPY": "1"}}) == 99


def test_rules_are_added_up_or_the_best_one_counts() -> None:
    earn = [{}, other("per_order", points=4)]
    assert points(basket(50_000), earn=earn) == 9
    assert points(basket(50_000), earn=earn, points={"combine": "best"}) == 5
    assert points(basket(30_000), earn=earn, points={"combine": "best"}) == 4


def test_a_rule_that_stands_alone_or_comes_last_keeps_the_others_out() -> None:
    fixed = other("per_order", points=100)
    assert points(basket(50_000), earn=[fixed | {"alone": True}, {}]) == 100
    assert points(basket(50_000), earn=[{}, fixed | {"alone": True}]) == 5
    assert points(basket(50_000), earn=[{}, fixed | {"last": True}, fixed]) == 105


def test_no_order_earns_more_than_the_most() -> None:
    assert points(basket(900_000), points={"most_per_order": 50}) == 50
    assert points(basket(90_000), points={"most_per_order": 50}) == 9


# --- which lines ---------------------------------------------------------------------------------


def test_rules_may_name_the_goods_that_earn() -> None:
    lines = (
        line(50_000, sku="A", categories=("Tea",), tags=("new",)),
        line(70_000, sku="B", categories=("Cake",), product="9"),
    )
    for names, expected in (
        ({"skus": ["A"]}, 5),
        ({"categories": ["Cake"]}, 7),
        ({"products": ["9"]}, 7),
        ({"tags": ["new"]}, 5),
        ({"exclude_tags": ["new"]}, 7),
        ({"skus": ["A"], "categories": ["Cake"]}, 12),
    ):
        assert points(basket(lines=lines), earn=names) == expected, names


def test_discounted_lines_are_in_out_or_have_a_rate_of_their_own() -> None:
    lines = (line(50_000), line(40_000, discounted=True))
    assert points(basket(lines=lines)) == 9
    assert points(basket(lines=lines), earn={"discounted_lines": "out"}) == 5
    half = {"per": {"VND": "20000"}, "discounted_lines": "only"}
    assert points(basket(lines=lines), earn=[{"discounted_lines": "out"}, half]) == 7


# --- which bills ---------------------------------------------------------------------------------


def test_the_least_bill_is_inclusive_and_counts_tax_and_shipping() -> None:
    asked = {"minimum": {"VND": "50000"}}
    assert evaluate(rules(earn=asked), basket(lines=(line(49_999),))).why == "bill_too_small"
    assert points(basket(lines=(line(50_000),)), earn=asked) == 5
    assert points(basket(lines=(line(45_000, tax=4_000),), shipping_left=1_000), earn=asked) == 5


def test_after_a_refund_the_least_bill_is_asked_again_or_not() -> None:
    asked = {"minimum": {"VND": "50000"}}
    left = (BasketLine("goods", 30_000, 0, sold=60_000),)
    assert points(basket(lines=left), earn=asked) == 0
    at_sale = {"minimum_after_refund": "as_at_sale"}
    assert points(basket(lines=left), earn=asked, points=at_sale) == 3
    double = [{"factor": 2, **asked}]
    assert points(basket(lines=left), multipliers=double) == 3
    assert points(basket(lines=left), multipliers=double, points=at_sale) == 6


@pytest.mark.parametrize(
    ("condition", "bill", "why"),
    [
        ({"channels": ["woocommerce"]}, {"channels": frozenset({"shopify"})}, "other_channel"),
        ({"locations": ["Huế"]}, {"location": "Hà Nội"}, "other_location"),
        ({"discounted_bills": False}, {"discounted": True}, "bill_discounted"),
        ({"paid_with_points": False}, {"paid_with_points": True}, "bill_paid_with_points"),
        ({"weekdays": ["sat", "sun"]}, {"placed_at": NOON}, "other_time"),
    ],
)
def test_a_rule_that_does_not_apply_says_why(
    condition: dict[str, Any], bill: dict[str, Any], why: str
) -> None:
    assert evaluate(rules(earn=condition), basket(90_000, **bill)).why == why
    assert points(basket(90_000, **bill)) == 9


def test_a_window_of_days_counts_to_the_end_of_its_last_day_in_the_programmes_zone() -> None:
    window = [{"from": "2026-11-20", "until": "2026-11-20"}]
    moments = (
        "2026-11-19T16:59:59",
        "2026-11-19T17:00:00",
        "2026-11-20T16:59:59",
        "2026-11-20T17:00:00",
    )
    found = [
        points(
            basket(50_000, placed_at=datetime.fromisoformat(f"{moment}+00:00").astimezone(SAIGON)),
            multipliers=[{"factor": 2, "windows": window}],
        )
        for moment in moments
    ]
    assert found == [5, 10, 10, 5]


@pytest.mark.parametrize(
    ("hours", "expected"), [("18:00-19:00", 0), ("19:00-20:00", 5), ("22:00-19:01", 5)]
)
def test_hours_are_half_open_and_may_go_over_midnight(hours: str, expected: int) -> None:
    seven = basket(50_000, placed_at=NOON.astimezone(SAIGON))
    assert points(seven, earn={"hours": hours}) == expected


# --- multipliers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("stacking", "expected"), [("multiply", 60), ("add", 40), ("best", 30)])
def test_two_multipliers_multiply_add_or_the_best_counts(stacking: str, expected: int) -> None:
    both = [{"factor": 2}, {"factor": 3}]
    assert points(basket(100_000), multipliers=both, points={"stacking": stacking}) == expected


def test_a_multiplier_may_be_about_some_lines_only() -> None:
    lines = (line(120_000, sku="A"), line(1_400_000, sku="B"))
    triple = [{"factor": 3, "skus": ["A"]}]
    assert points(basket(lines=lines), multipliers=triple, earn={"points": 4}) == 704


@pytest.mark.parametrize(("rounding", "expected"), [("down", 28), ("half_up", 29), ("up", 29)])
def test_a_rule_rounds_before_it_is_multiplied_and_the_bill_after(rounding: str, expected: int) -> None:
    """19.99 at a point a dollar, in full steps 19, times 1.5 is 28.5."""
    document = {
        "earn": {"points": 1, "per": {"USD": "1"}, "steps": "whole"},
        "multipliers": [{"factor": "1.5"}],
        "points": {"rounding": rounding},
    }
    assert points(basket(lines=(line(1999),), currency="USD"), **document) == expected


# --- refunds -------------------------------------------------------------------------------------


def test_partial_refunds_recompute_what_is_left_or_take_a_share() -> None:
    """23.35 at a point for full 10: 2. After 5 came back, 18.35 are 1, and the share kept is 2."""
    document = {"earn": {"per": {"USD": "10"}, "steps": "whole"}}
    left = basket(lines=(BasketLine("goods", 1835, 0, sold=2335),), currency="USD")
    assert points(left, **document) == 1
    assert points(left, **document, points={"partial_refund": "share"}) == 2


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.sampled_from(["recompute", "share"]))
def test_many_partial_refunds_come_to_one_full_one(parts: list[int], policy: str) -> None:
    """What is left after some of them does not depend on how many there were, and of nothing nothing
    is kept; points never rise by a refund."""
    sold = sum(parts)
    kept = [
        points(
            basket(lines=(BasketLine("goods", sold - gone, 0, sold=sold),)),
            points={"partial_refund": policy},
        )
        for gone in (sum(parts[:n]) for n in range(len(parts) + 1))
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == 0


# --- always --------------------------------------------------------------------------------------

CHOICES = {
    "points": st.fixed_dictionaries(
        {
            "rounding": st.sampled_from(["half_up", "down", "up"]),
            "combine": st.sampled_from(["sum", "best"]),
            "stacking": st.sampled_from(["multiply", "add", "best"]),
            "partial_refund": st.sampled_from(["recompute", "share"]),
            "most_per_order": st.none() | st.integers(1, 1000),
        }
    ),
    "multipliers": st.lists(
        st.fixed_dictionaries(
            {"factor": st.sampled_from(["0.5", "1.5", "2", "3"])}, optional={"skus": st.just(["A"])}
        ),
        max_size=3,
    ),
    "earn": st.lists(
        st.sampled_from(
            [
                {},
                {"steps": "whole", "points": 7},
                {"rounding": "up", "tax": "in", "shipping": "in", "alone": True},
                other("percent", percent="3", worth={"VND": "1500"}),
                other("per_order", points=5, last=True),
                other("per_quantity", points="1.5", skus=["A"]),
                {"minimum": {"VND": "90000"}, "discounted_lines": "out"},
            ]
        ),
        min_size=1,
        max_size=4,
    ),
}
LINES = st.lists(
    st.builds(
        lambda sold, left, sku, discounted, pieces: BasketLine(
            "goods", sold * left // 4, 0, sku=sku, discounted=discounted, sold=sold,
            quantity=Fraction(pieces), sold_quantity=Fraction(pieces),
        ),
        st.integers(-(10**6), 10**9), st.integers(0, 4), st.sampled_from(["A", "B", None]), st.booleans(),
        st.integers(0, 5),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=settings().max_examples // 2)
@given(st.fixed_dictionaries(CHOICES), LINES)
def test_the_steps_sum_to_the_points(document: dict[str, Any], lines: list[BasketLine]) -> None:
    assert points(basket(lines=tuple(lines), shipping=500, shipping_left=500), **document) >= 0


@settings(max_examples=settings().max_examples // 2)
@given(st.fixed_dictionaries(CHOICES), st.lists(st.integers(1, 10**7), min_size=1, max_size=4))
def test_no_rule_lets_a_sale_refunded_in_full_keep_points(
    document: dict[str, Any], amounts: list[int]
) -> None:
    gone = tuple(
        BasketLine("goods", 0, 0, sku="A", sold=n, quantity=Fraction(0), sold_quantity=Fraction(1))
        for n in amounts
    )
    assert points(basket(lines=gone), **document) == 0


@settings(max_examples=settings().max_examples // 2)
@given(st.fixed_dictionaries(CHOICES), st.lists(st.integers(1, 10**5), min_size=1, max_size=4))
def test_ten_times_the_prices_at_ten_times_the_rate_are_the_same_points(
    document: dict[str, Any], amounts: list[int]
) -> None:
    """The same prices in a currency with one digit less: nothing depends on minor units."""
    tenfold = {
        **document,
        "earn": [BASE | rule | _tenfold(BASE | rule) for rule in document["earn"]],
    }
    small = tuple(line(n * 10, sku="A") for n in amounts)
    large = tuple(line(n * 100, sku="A") for n in amounts)
    assert points(basket(lines=small), **document) == points(basket(lines=large), **tenfold)


def _tenfold(rule: dict[str, Any]) -> dict[str, Any]:
    money = ("per", "worth", "minimum")
    return {name: {c: f"{a}0" for c, a in rule[name].items()} for name in money if rule.get(name)}


GROUPS: dict[str, Any] = {
    "tiers": {
        "by": "orders",
        "levels": [{"id": "silver", "name": "Silver"}, {"id": "gold", "name": "Gold"}],
    },
    "segments": [{"id": "staff", "tags": ["staff"]}],
}


@pytest.mark.parametrize(
    ("asked", "them", "why"),
    [
        ({"tiers": ["gold"]}, Buyer(tier="gold"), None),
        ({"tiers": ["gold", "silver"]}, Buyer(tier="silver"), None),
        ({"tiers": ["gold"]}, Buyer(tier="silver"), "other_tier"),
        ({"tiers": ["gold"]}, NOBODY, "other_tier"),
        ({"segments": ["staff"]}, Buyer(segments=frozenset({"staff", "vip"})), None),
        ({"segments": ["staff"]}, Buyer(segments=frozenset({"vip"})), "other_segment"),
        ({"birthday": "month"}, Buyer(birthday=frozenset({"month"})), None),
        ({"birthday": "day"}, Buyer(birthday=frozenset({"month"})), "no_birthday"),
    ],
)
def test_a_rule_may_be_for_some_buyers_only(asked: dict[str, Any], them: Buyer, why: str | None) -> None:
    rule = rules(earn=asked, **GROUPS)
    judged = evaluate(rule, basket(50_000), them)
    assert (judged.why, judged.points) == (why, 0 if why else 5)
    assert "member" in needs(rule)


def test_a_multiplier_for_some_buyers_leaves_the_others_as_they_are() -> None:
    double: dict[str, Any] = {"multipliers": [{"factor": "2", "tiers": ["gold"]}], **GROUPS}
    assert evaluate(rules(**double), basket(50_000), Buyer(tier="gold")).points == 10
    assert evaluate(rules(**double), basket(50_000)).points == 5


def test_a_share_that_is_left_is_of_what_the_same_buyer_had() -> None:
    rule = rules(
        multipliers=[{"factor": "2", "tiers": ["gold"]}], points={"partial_refund": "share"}, **GROUPS
    )
    half = basket(lines=(BasketLine("goods", 25_000, 0, sold=50_000),))
    assert evaluate(rule, half, Buyer(tier="gold")).points == 5
