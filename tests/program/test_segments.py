"""Who belongs to a segment: every condition at its edge, all of them together."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.program.history import Purchase
from hub.program.segments import Member, Segment, belongs

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
NOW = datetime(2026, 11, 2, 12, tzinfo=ZONE)


def segment(**said: Any) -> Segment:
    document = {
        "earn": {"per": {"VND": "1000"}},
        "tiers": {"by": "orders", "levels": [{"id": "gold", "name": "Gold", "from": 5}]},
        "segments": [{"id": "some", **said}],
    }
    (one,) = documents.rules(
        document, number=1, effective_from=NOW, time_zone="Asia/Ho_Chi_Minh"
    ).segments
    return one


def bought(day: str, goods: int = 100, currency: str = "VND", channel: str = "shopify") -> Purchase:
    at = datetime.fromisoformat(day).replace(tzinfo=ZONE)
    return Purchase(1, at, 1, day, frozenset({channel, "chn_1"}), currency, goods, goods, 0)


@pytest.mark.parametrize(
    ("said", "member", "expected"),
    [
        ({}, {}, True),
        ({"tags": ["staff", "press"]}, {"tags": frozenset({"press"})}, True),
        ({"tags": ["staff"]}, {"tags": frozenset({"press"})}, False),
        ({"tiers": ["gold"]}, {"tier": "gold"}, True),
        ({"tiers": ["gold"]}, {}, False),
        ({"birthday_months": [11, 12]}, {"birthday": date(1990, 12, 1)}, True),
        ({"birthday_months": [11]}, {"birthday": date(1990, 12, 1)}, False),
        ({"birthday_months": [11]}, {}, False),
        ({"least_spend": {"VND": "200"}}, {"purchases": [bought("2026-01-01"), bought("2026-01-02")]}, True),
        ({"least_spend": {"VND": "201"}}, {"purchases": [bought("2026-01-01"), bought("2026-01-02")]}, False),
        ({"least_spend": {"VND": "201", "USD": "1"}}, {"purchases": [bought("2026-01-01", 100, "USD")]}, True),
        ({"most_spend": {"VND": "100"}}, {"purchases": [bought("2026-01-01", 100)]}, True),
        ({"most_spend": {"VND": "99"}}, {"purchases": [bought("2026-01-01", 100)]}, False),
        ({"least_orders": 2}, {"purchases": [bought("2026-01-01")]}, False),
        ({"least_orders": 1}, {"purchases": [bought("2026-01-01")]}, True),
        ({"most_orders": 0}, {}, True),
        ({"most_orders": 0}, {"purchases": [bought("2026-01-01")]}, False),
        ({"channels": ["shopify"]}, {"purchases": [bought("2026-01-01")]}, True),
        ({"channels": ["chn_1"]}, {"purchases": [bought("2026-01-01")]}, True),
        ({"channels": ["woocommerce"]}, {"purchases": [bought("2026-01-01")]}, False),
        ({"least_orders": 1, "within_days": 30}, {"purchases": [bought("2026-10-03")]}, True),
        ({"least_orders": 1, "within_days": 30}, {"purchases": [bought("2026-10-02")]}, False),
        ({"bought_within_days": 30}, {"purchases": [bought("2026-10-03")]}, True),
        ({"bought_within_days": 30}, {"purchases": [bought("2026-10-02")]}, False),
        ({"bought_within_days": 30}, {}, False),
        ({"not_bought_for_days": 31}, {"purchases": [bought("2026-10-02")]}, True),
        ({"not_bought_for_days": 31}, {"purchases": [bought("2026-10-03")]}, False),
        ({"not_bought_for_days": 31}, {}, True),
        ({"tags": ["staff"], "least_orders": 1}, {"tags": frozenset({"staff"})}, False),
    ],
)  # fmt: skip
def test_conditions(said: dict[str, Any], member: dict[str, Any], expected: bool) -> None:
    assert belongs(segment(**said), Member(NOW, **member), ZONE) is expected


A: dict[str, Any] = {"id": "a", "name": "A"}
B: dict[str, Any] = {"id": "b", "name": "B"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"earn": {"per": {"VND": "1"}, "segments": ["nobody"]}}, "earn[0].segments: there is no segment 'nobody'"),
        ({"multipliers": [{"factor": 2, "tiers": ["gold"]}]}, "multipliers[0].tiers: there is no tier 'gold'"),
        ({"tiers": {"levels": [{"id": "a", "name": "A", "from": 1}]}}, "tiers.currency: say of which currency"),
        (
            {"tiers": {"by": "orders", "levels": [A | {"from": 5}, B | {"from": 5}]}},
            "tiers.levels: each tier begins above the one before it",
        ),
        (
            {"tiers": {"by": "orders", "reset": True, "leave": "at_once", "levels": [{"id": "a", "name": "A"}]}},
            "tiers.reset: a count that begins anew",
        ),
        (
            {"tiers": {"by": "orders", "levels": [{"id": "a", "name": "A", "from": "1.5"}]}},
            "tiers.levels[0].from: must be a whole number",
        ),
        (
            {"tiers": {"by": "orders", "levels": [A], "memberships": [{"tier": "b", "skus": ["X"], "days": 1}]}},
            "tiers.memberships: there is no tier 'b'",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_with_its_path(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DocumentRefused) as refused:
        documents.check({"earn": {"per": {"VND": "1000"}}, **change})
    assert str(refused.value).startswith(message)
