"""The merge fold, rule by rule: each counterexample of rules.md A is a test of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.canonical import (
    CustomerRef,
    Line,
    LineKind,
    Refund,
    RefundLine,
    RefundMoney,
    Sale,
    SaleState,
    Traits,
)
from hub.transactions.merge import (
    Contribution,
    Fold,
    amounts,
    fold,
    goods_lines,
    remaining_by_line,
    shipping_left,
)

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
EVENT = Traits()
DELIVERY = Traits(payload_built="delivery", refunds_deletable=True)
TILL = Traits(lists_refunds="absent")


def later(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def line(key: str = "1", net: int = 10_000, quantity: int = 1, **change: Any) -> Line:
    return Line(
        key, change.pop("kind", LineKind.GOODS), Decimal(quantity), net, change.pop("tax", 0), **change
    )


def sale(version: int = 1, **change: Any) -> Sale:
    fields: dict[str, Any] = {
        "number": "1",
        "state": SaleState.PAID,
        "currency": "USD",
        "lines": (line(),),
        "placed_at": NOON,
        "as_of": later(version),
    }
    return Sale("1", version=version, **(fields | change))


def snapshot(told: Sale, raw: str = "") -> Contribution:
    return Contribution("snapshot", "", told.version, told.as_of, raw or f"{told.version:064d}", told)


def refund(
    number: str,
    amount: int,
    *,
    status: Any = "success",
    lines: tuple[RefundLine, ...] = (),
    **change: Any,
) -> Refund:
    fields: dict[str, Any] = {"version": 1, "as_of": later(1)}
    money = (RefundMoney(status, amount, change.pop("currency", "USD")),) if amount else ()
    return Refund(number, "1", lines=lines, money=money, **(fields | change))


def document(told: Refund, raw: str = "") -> Contribution:
    return Contribution(
        "refund", told.external_id, told.version, told.as_of, raw or told.external_id, told
    )


def folded(contributions: Iterable[Contribution], traits: Traits = EVENT) -> Fold:
    """The fold, which must be the same for every order and repetition of its contributions."""
    known = list(contributions)
    results = [fold([*order, *order], traits) for order in itertools.permutations(known)]
    assert all(result == results[0] for result in results)
    return results[0]


def eligible(contributions: Iterable[Contribution], traits: Traits = EVENT) -> int:
    state = folded(contributions, traits)
    return amounts(state.sale, void=state.void).eligible if state.sale else 0


def test_a1_the_state_is_a_function_of_the_set_of_messages() -> None:
    told = [snapshot(sale(n, lines=(line(net=n * 100),))) for n in (1, 2, 3)]
    assert eligible([*told, document(refund("r", 50, as_of=later(9)))]) == 250


def test_a2_a_version_fixed_at_the_event_beats_a_later_delivery_of_an_older_one() -> None:
    stale = replace(sale(1, lines=(line(net=100),)), as_of=later(60))
    assert eligible([snapshot(stale), snapshot(sale(2))]) == 10_000


def test_a2_a_payload_built_at_delivery_is_as_young_as_its_moment() -> None:
    refetched = replace(sale(1, lines=(line(net=100),)), as_of=later(60))
    assert eligible([snapshot(refetched), snapshot(sale(2))], DELIVERY) == 100


def test_a2_of_two_equal_moments_the_further_state_wins_and_a_look_up_is_asked_for() -> None:
    unpaid = sale(1, state=SaleState.PENDING)
    state = folded([snapshot(unpaid, "bb"), snapshot(sale(1), "aa")])
    assert (state.sale.state if state.sale else None, state.ambiguous) == (SaleState.PAID, True)


def test_a3_a_message_that_names_nobody_does_not_take_the_sale_away() -> None:
    ann = CustomerRef(external_id="7")
    state = folded([snapshot(sale(1, customer=ann)), snapshot(sale(2))])
    assert state.sale is not None
    assert state.sale.customer == ann


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        (CustomerRef(staff_claim="C1"), CustomerRef(external_id="7")),
        (CustomerRef(external_id="7"), CustomerRef(phones=("0912345678",))),
        (CustomerRef(emails=("a@example.com",)), CustomerRef()),
    ],
)
def test_a3_a_staff_claim_beats_a_customer_id_beats_other_keys(
    stronger: CustomerRef, weaker: CustomerRef
) -> None:
    state = folded([snapshot(sale(1, customer=stronger)), snapshot(sale(2, customer=weaker))])
    assert state.sale is not None
    assert state.sale.customer == stronger


def test_a4_a_pending_refund_that_failed_gives_the_goods_back() -> None:
    pending = document(refund("r", 4000, status="pending"))
    failed = document(refund("r", 4000, status="failed", version=2, as_of=later(5)), "x")
    assert eligible([snapshot(sale()), pending]) == 6000
    assert eligible([snapshot(sale()), pending, failed]) == 10_000


def test_a4_a_refund_deleted_without_a_trace_is_gone_with_the_next_snapshot() -> None:
    with_it = sale(1, refunds=(refund("r", 4000),))
    assert eligible([snapshot(with_it)], DELIVERY) == 6000
    assert eligible([snapshot(with_it), snapshot(sale(2))], DELIVERY) == 10_000


def test_a4_a_refund_the_winner_could_not_know_counts() -> None:
    newer = document(refund("r", 4000, as_of=later(99)))
    assert eligible([snapshot(sale(2)), newer], DELIVERY) == 6000


def test_a4_where_refunds_are_never_deleted_an_unlisted_one_counts_whatever_its_age() -> None:
    older = document(refund("r", 4000, as_of=later(-99)))
    assert eligible([snapshot(sale(2)), older], TILL) == 6000


def test_a4_of_a_net_sale_only_newer_refunds_are_taken_off() -> None:
    net = Traits(sale_is="net", lists_refunds="absent")
    old, new = document(refund("a", 1000, as_of=later(-5))), document(refund("b", 500, as_of=later(50)))
    assert eligible([snapshot(sale(1)), old, new], net) == 9500


def test_a5_money_without_lines_then_lines_without_money_is_one_refund() -> None:
    """Sapo's and Shopify's ghost refunds: the maximum of sums, never the sum of maxima."""
    money = refund("a", 10_000)
    goods = refund("b", 0, lines=(RefundLine("1", Decimal(1), 10_000, 0),))
    two = sale(lines=(line(), line("2")), refunds=(money, goods))
    assert eligible([snapshot(two)]) == 10_000


def test_a5_money_in_another_currency_is_shown_and_not_counted() -> None:
    assert eligible([snapshot(sale(refunds=(refund("a", 4000, currency="EUR"),)))]) == 10_000


def test_a5_a_current_quantity_is_believed_without_a_refund() -> None:
    edited = sale(lines=(line(quantity=4, current_quantity=Decimal(1)),))
    assert eligible([snapshot(edited)]) == 2500


def test_a5_more_money_back_than_the_goods_cost_leaves_nothing_and_owes_nothing() -> None:
    assert eligible([snapshot(sale(refunds=(refund("a", 99_999),)))]) == 0


def test_a5_the_tax_inside_the_money_is_not_goods() -> None:
    taxed = sale(lines=(line(tax=1000),), refunds=(refund("a", 5500),))
    assert eligible([snapshot(taxed)]) == 5000


def test_a6_gone_is_void_and_a_younger_snapshot_restores() -> None:
    gone = Contribution("gone", "", 0, later(5), "g")
    assert folded([snapshot(sale(1)), gone], DELIVERY).void
    back = replace(sale(1), as_of=later(9))
    assert not folded([snapshot(sale(1)), gone, snapshot(back, "z")], DELIVERY).void


def test_a6_a_final_deletion_is_final() -> None:
    tombstone = Contribution("tombstone", "", 0, later(-99), "t")
    assert eligible([snapshot(sale(9)), tombstone]) == 0


def test_a7_a_state_may_return_to_an_earlier_form() -> None:
    paid, off, again = sale(1), sale(2, state=SaleState.CANCELLED), sale(3)
    assert [eligible(map(snapshot, told)) for told in ((paid,), (paid, off), (paid, off, again))] == [
        10_000,
        0,
        10_000,
    ]


def test_a9_the_earliest_placing_and_payment_ever_told_stay() -> None:
    first = sale(1, placed_at=later(-60), paid_at=later(-30))
    state = folded([snapshot(first), snapshot(sale(2))])
    assert state.placed_at == later(-60)
    assert state.sale is not None
    assert state.sale.paid_at == later(-30)


@pytest.mark.parametrize(
    "change",
    [
        {"test": True},
        {"state": SaleState.PENDING},
        {"state": SaleState.REFUNDED},
        {"state": SaleState.DRAFT},
    ],
)
def test_what_is_not_a_paid_sale_earns_on_nothing(change: dict[str, Any]) -> None:
    assert eligible([snapshot(sale(**change))]) == 0


def test_gift_cards_tips_and_fees_are_no_goods() -> None:
    lines = tuple(line(str(n), kind=kind) for n, kind in enumerate(LineKind))
    assert {entry.kind for entry in goods_lines(sale(lines=lines))} == {LineKind.GOODS, LineKind.SERVICE}


def test_what_is_left_is_spread_over_the_lines_to_the_last_cent() -> None:
    three = sale(lines=tuple(line(str(n), net=3333) for n in range(3)), refunds=(refund("a", 1000),))
    left = remaining_by_line(three)
    assert sum(left.values()) == amounts(three).eligible == 8999
    assert max(left.values()) - min(left.values()) <= 1


def test_many_partial_refunds_in_any_order_are_one_full_refund() -> None:
    lines = tuple(RefundLine("1", Decimal(1), 0, 0) for _ in range(3))
    parts = [
        document(refund(f"r{n}", 0, lines=(part,), as_of=later(50 + n))) for n, part in enumerate(lines)
    ]
    assert eligible([snapshot(sale(lines=(line(quantity=3, net=10_001),))), *parts]) == 0


def test_money_beyond_the_goods_was_for_shipping() -> None:
    shipped = sale(shipping=500, shipping_tax=0, refunds=(refund("a", 10_200),))
    assert shipping_left(shipped) == 300
