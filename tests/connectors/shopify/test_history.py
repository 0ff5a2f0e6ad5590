"""A shop's history by bulk operations: whole, in parts, killed anywhere, failing, slow, refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.shopify import bulk, history, operations
from hub.canonical import Customer, Happening, Refund, Sale
from hub.connector import HistoryPage, Inbound, Lookup
from hub.errors import ChannelDown, Misconfigured, Rejected
from tests.connectors.shopify.conftest import Shop

TEA: dict[str, Any] = {"sku": "TEA", "name": "Tea", "quantity": 2, "price": "12.40"}
CUP: dict[str, Any] = {"sku": "CUP", "name": "Cup", "quantity": 1, "price": "9.99"}
ANN = {"name": "Ann Lee", "phone": "+84901234567", "email": "ann@example.com"}
BOB = {"name": "Bob Ray", "phone": "+84907654321", "email": "bob@example.com"}
SINCE = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "POLL_SECONDS", 0.0)


@pytest.fixture
def orders(shop: Shop) -> list[str]:
    """Seven orders: of a guest, with shipping and tax, one with a refund; and a customer who never bought."""
    made = [shop.sell(customer=ANN, lines=[TEA, CUP], shipping="5.00", tax_rate="0.08")]
    made += [shop.sell(customer=who, lines=[TEA, CUP]) for who in (BOB, None, ANN, BOB, ANN)]
    made.append(shop.sell(customer=BOB, lines=[TEA]))
    shop.ask(f"sales/{made[2]}/refund", lines=[{"sku": "TEA", "quantity": 1}])
    with shop.sandbox.lock:
        shop.sandbox._customer({"name": "Cy Dee", "email": "cy@example.com"}, shop.sandbox.clock())
    return made


def read(shop: Shop, bookmark: str = "") -> list[HistoryPage]:
    return list(shop.connector.history(SINCE, bookmark))


def messages(pages: Sequence[HistoryPage]) -> list[Inbound]:
    return [message for page in pages for message in page.messages]


def told(shop: Shop, inbound: Sequence[Inbound]) -> list[Happening]:
    return [happening for message in inbound for happening in shop.connector.normalise(message)]


def sales(happenings: Sequence[Happening]) -> list[str]:
    return [one.external_id for one in happenings if isinstance(one, Sale)]


def test_all_customers_come_and_then_all_orders(shop: Shop, orders: list[str]) -> None:
    pages = read(shop)
    found = told(shop, messages(pages))
    people = [one.customer.emails for one in found if isinstance(one, Customer)]
    assert people == [("ann@example.com",), ("bob@example.com",), ("cy@example.com",)]
    assert sorted(sales(found)) == sorted(orders)
    assert all(isinstance(one, Customer) for one in found[:3])
    assert pages[-1].expected == len(found) == 10


def test_an_order_means_the_same_as_when_it_is_looked_up(shop: Shop, orders: list[str]) -> None:
    by_id = {one.external_id: one for one in told(shop, messages(read(shop))) if isinstance(one, Sale)}
    for order in orders:
        (answer,) = shop.connector.fetch(Lookup("sale", order))
        looked_up, gathered = shop.sale_of(answer), by_id[order]
        assert (gathered.version, gathered.state, gathered.lines) == (
            looked_up.version, looked_up.state, looked_up.lines,
        )  # fmt: skip
        assert (whenever(gathered.refunds), gathered.customer, gathered.payments) == (
            whenever(looked_up.refunds), looked_up.customer, looked_up.payments,
        )  # fmt: skip


def whenever(refunds: Sequence[Refund]) -> list[Refund]:
    """The refunds, whenever they were asked for."""
    return [replace(refund, as_of=SINCE) for refund in refunds]


def test_killed_after_any_page_it_goes_on_from_the_bookmark(
    shop: Shop, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts so small that they end within a line, a page an order; each page is read by another process."""
    whole = messages(read(shop))
    monkeypatch.setattr(bulk, "PART", 700)
    monkeypatch.setattr(history, "PAGE", 1)
    found: list[Inbound] = []
    bookmark = ""
    while page := next(iter(shop.connector.history(SINCE, bookmark)), None):
        found += page.messages
        bookmark = page.bookmark
    assert [(m.topic, m.body) for m in found] == [(m.topic, m.body) for m in whole]
    assert len(shop.sandbox.bulks.all) == 2 + 2  # none was begun twice


def go_on(shop: Shop) -> Iterator[HistoryPage]:
    """As the hub does: whatever ends it, it begins again at the last bookmark."""
    bookmark = ""
    for _ in range(20):
        try:
            for page in shop.connector.history(SINCE, bookmark):
                bookmark = page.bookmark
                yield page
        except ChannelDown:
            continue
        return
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize("after", [2, 4, 9, 14])
def test_what_failed_half_way_is_kept_and_the_rest_asked_for(
    shop: Shop, orders: list[str], after: int
) -> None:
    customers = 3
    shop.ask("faults", fault="bulk_slow", times=1, seconds=0)
    pages = iter(go_on(shop))
    got: list[Inbound] = []
    while len(got) < customers:
        got += next(pages).messages
    shop.ask("faults", fault="bulk_fails", times=1, after=after)
    got += messages(list(pages))
    assert set(sales(told(shop, got))) == set(orders)


@pytest.mark.parametrize(("fault", "more"), [("bulk_fails", {"after": 0}), ("bulk_refused", {})])
def test_where_customers_cannot_be_gathered_those_who_never_bought_are_left_out_and_that_is_said(
    shop: Shop, orders: list[str], fault: str, more: dict[str, int]
) -> None:
    shop.ask("faults", fault=fault, times=None, **more)
    pages = read(shop)
    found = told(shop, messages(pages))
    assert sorted(sales(found)) == sorted(orders)
    assert not [one for one in found if isinstance(one, Customer)]
    assert [page.note for page in pages if page.note] == ["no_list_of_customers"]


@pytest.mark.parametrize(("fault", "more"), [("bulk_fails", {"after": 0}), ("bulk_refused", {})])
def test_where_only_orders_cannot_be_gathered_they_are_read_one_by_one(
    shop: Shop, orders: list[str], fault: str, more: dict[str, int]
) -> None:
    pages = shop.connector.history(SINCE, "")
    first = next(page for page in pages if page.messages)
    shop.ask("faults", fault=fault, times=None, **more)
    rest = list(pages)
    found = told(shop, messages([first, *rest]))
    assert sorted(sales(found)) == sorted(orders)
    assert len([one for one in found if isinstance(one, Customer)]) == 3
    assert [page.note for page in rest if page.note] == ["one_by_one"]


def test_a_missing_scope_is_said(shop: Shop, orders: list[str]) -> None:
    shop.ask("faults", fault="bulk_fails", times=None, after=0, code="ACCESS_DENIED")
    with pytest.raises(Misconfigured, match="access_denied"):
        read(shop)


def test_a_file_whose_address_has_expired_is_asked_for_anew(shop: Shop, orders: list[str]) -> None:
    shop.ask("faults", fault="bulk_url_gone", times=1)
    found = told(shop, messages(read(shop)))
    assert (len(found), len(shop.sandbox.bulks.all)) == (10, 3)


def test_a_slow_one_is_waited_for_in_empty_pages(shop: Shop, orders: list[str]) -> None:
    shop.ask("faults", fault="bulk_slow", times=1, seconds=0.3)
    pages = read(shop)
    assert len([page for page in pages if not page.messages]) > 3
    assert len(messages(pages)) == 10


def test_a_shop_that_runs_five_already_is_asked_later(shop: Shop, orders: list[str]) -> None:
    shop.ask("faults", fault="bulk_slow", times=None, seconds=3600)
    for _ in range(5):
        bulk.begin(shop.channel, operations.bulk_customers(""))
    with pytest.raises(ChannelDown, match="bulk_busy") as refused:
        read(shop)
    assert refused.value.retry_at is not None


def test_a_shop_without_anything_has_no_file(shop: Shop) -> None:
    assert messages(read(shop)) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ shop { id } }", "at least one connection"),
        (
            "{ orders { edges { node { id refunds { id refundLineItems { nodes { quantity } } } } } } }",
            "list",
        ),
        ("query Q($a: String) { orders(query: $a) { edges { node { id } } } }", "variables"),
        ("{ orders { edges { node { id nonsense } } } }", "nonsense"),
    ],
)
def test_the_sandbox_refuses_what_shopify_refuses(shop: Shop, query: str, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        bulk.begin(shop.channel, query)


def test_lines_that_do_not_stand_under_their_parent_are_refused_and_not_mixed_up(
    shop: Shop, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ungrouped = operations.BULK_RUN.replace("groupObjects: true", "groupObjects: false")
    monkeypatch.setattr(operations, "BULK_RUN", ungrouped)
    with pytest.raises(ChannelDown, match="bad_answer"):
        read(shop)
