"""The connector against a shop that behaves as Shopify does, over HTTP."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from graphql import build_schema, parse, validate

from connectors.shopify import operations, sandbox
from hub.canonical import Customer, Deleted, Ignored, LineKind, Product, Refund, Sale, SaleState, Thin
from hub.connector import CreateCode, CustomerKey, Lookup, RevokeCode, SetBalance, Verdict
from hub.errors import BadPayload, ChannelDown, Misconfigured, Rejected
from hub.transactions.merge import amounts
from tests.connectors.channel import message
from tests.connectors.shopify.conftest import Shop
from tests.connectors.wrecking import wrecks

SCHEMA = Path(sandbox.__file__).with_name("admin_2026-10.graphql")
NOW = datetime.now(UTC)
TEA: dict[str, Any] = {
    "sku": "TEA",
    "name": "Tea",
    "quantity": 3,
    "price": "12.40",
    "category": "Drinks",
}
CUP: dict[str, Any] = {"sku": "CUP", "name": "Cup", "quantity": 1, "price": "9.99"}
ANN = {"name": "Ann Lee", "phone": "+84901234567", "email": "ann@example.com"}


def ten_off(customer: str, code: str = "LOY-7QXM2K", **fields: Any) -> CreateCode:
    known = {"amount": 1000, "currency": "USD", "percent": None, **fields}
    key = CustomerKey("mem_1", external_id=customer)
    starts_at = NOW - timedelta(hours=1)
    return CreateCode(code, f"vch_{code}", "Ten off", key, starts_at, None, **known)


BULK = (operations.bulk_orders("2026-01-01T00:00:00+00:00"), operations.bulk_customers(""))


@pytest.mark.parametrize("document", [*operations.DOCUMENTS, *BULK])
def test_every_document_validates_against_the_real_schema(document: str) -> None:
    schema = build_schema(SCHEMA.read_text(encoding="utf-8"))
    assert validate(schema, parse(document)) == []


def test_every_document_is_in_the_list_that_is_validated() -> None:
    written = {v for n, v in vars(operations).items() if n.isupper() and isinstance(v, str)}
    whole = {text for text in written if re.search(r"^\s*(query|mutation) ", text)}
    assert whole == set(operations.DOCUMENTS)


# --- sales and webhooks ------------------------------------------------------------------------


def test_what_the_shop_sends_verifies_and_tells_the_sale(shop: Shop) -> None:
    shop.sell(customer=ANN, lines=[TEA, CUP], shipping="5.00", tax_rate="0.08")
    told = shop.told()
    assert [i.topic for i in told] == [
        "customers/create",
        "orders/create",
        "orders/paid",
        "orders/updated",
    ]
    assert {shop.connector.verify(inbound) for inbound in told} == {Verdict.VERIFIED}
    assert len({shop.connector.delivery_key(inbound) for inbound in told}) == 4
    sale = shop.sale_of(told[2])
    assert (sale.state, amounts(sale).goods_net, sale.shipping) == (SaleState.PAID, 4719, 500)


def assert_same_numbers(fetched: Sale, told: Sale) -> None:
    assert fetched.lines == told.lines
    assert amounts(fetched) == amounts(told)
    assert (fetched.version, fetched.state, fetched.total) == (told.version, told.state, told.total)
    assert (fetched.shipping, fetched.shipping_tax) == (told.shipping, told.shipping_tax)
    assert (fetched.codes, fetched.customer) == (told.codes, told.customer)
    assert (fetched.external_id, fetched.number, fetched.placed_at) == (
        told.external_id,
        told.number,
        told.placed_at,
    )
    assert len(fetched.refunds) == len(told.refunds)
    for one, other in zip(fetched.refunds, told.refunds, strict=True):
        assert (one.external_id, one.lines, one.money) == (other.external_id, other.lines, other.money)
        assert (one.goods_money, one.version) == (other.goods_money, other.version)


@pytest.mark.parametrize("taxes_included", [False, True])
@pytest.mark.parametrize(
    "verbs",
    [
        [],
        [("fulfil", {})],
        [("refund", {"lines": [{"sku": "TEA", "quantity": 2}]})],
        [("refund", {"amount": "4.00"})],
        [("refund", {"lines": [{"sku": "CUP", "quantity": 1}], "amount": "12.50", "pending": True})],
        [("refund", {"pending": True})],
        [("refund", {"shipping": True, "lines": []})],
        [("edit", {"lines": [{"sku": "TEA", "quantity": 1}]})],
        [("refund", {"lines": [{"sku": "TEA", "quantity": 1}]}), ("cancel", {})],
    ],
)
def test_a_fetched_sale_is_the_same_as_the_one_that_was_told(
    shop: Shop, verbs: list[tuple[str, dict[str, Any]]], taxes_included: bool
) -> None:
    tip, card = {"name": "Tip", "kind": "tip", "price": "3.00"}, {**CUP, "sku": "G", "kind": "gift_card"}
    sold = shop.sell(
        customer=ANN,
        lines=[TEA, CUP, tip, card],
        shipping="5.00",
        tax_rate="0.08",
        taxes_included=taxes_included,
    )
    for verb, wish in verbs:
        shop.ask(f"sales/{sold}/{verb}", **wish)
    (answer,) = shop.connector.fetch(Lookup("sale", sold))
    assert answer.topic == "fetch.sale"
    fetched, told = shop.sale_of(answer), shop.sale_of(shop.told("orders/updated")[-1])
    assert_same_numbers(fetched, told)
    assert fetched.as_of.microsecond == 0  # the Date header
    assert {line.kind for line in fetched.lines} == {LineKind.GOODS, LineKind.TIP, LineKind.GIFT_CARD}


def test_what_remains_is_what_the_shop_says_remains(shop: Shop) -> None:
    sold = shop.sell(customer=ANN, lines=[TEA, CUP], shipping="5.00", tax_rate="0.08")
    for quantity in (1, 2):
        shop.ask(f"sales/{sold}/refund", lines=[{"sku": "TEA", "quantity": quantity}])
        present = shop.sandbox.shop.orders[int(sold)]["current_subtotal_price"]
        sale = shop.sale_of(shop.told("orders/updated")[-1])
        assert f"{amounts(sale).eligible / 100:.2f}" == present


def test_a_fetch_brings_all_lines_and_all_refunds(shop: Shop) -> None:
    lines = [{"sku": f"S{n}", "price": "1.00", "quantity": 2} for n in range(60)]
    sold = shop.sell(customer=ANN, lines=lines)
    back = [{"sku": f"S{n}", "quantity": 1} for n in range(55)]
    shop.ask(f"sales/{sold}/refund", lines=back)
    shop.ask(f"sales/{sold}/refund", lines=back[:3])
    (answer,) = shop.connector.fetch(Lookup("refunds", sold))
    sale = shop.sale_of(answer)
    assert (len(sale.lines), [len(r.lines) for r in sale.refunds]) == (60, [55, 3])
    assert amounts(sale).eligible == 12000 - 5800
    assert_same_numbers(sale, shop.sale_of(shop.told("orders/updated")[-1]))


def test_a_long_order_is_read_to_its_end_although_the_bucket_runs_dry(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = shop.sell(lines=[{"sku": f"S{n}", "price": "1.00"} for n in range(80)])
    shop.connector.health()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        shop.sandbox._points = 2000.0

    monkeypatch.setattr("connectors.shopify.fetch.time.sleep", wait)
    shop.sandbox._points, shop.sandbox.refill = 500.0, 50.0
    (answer,) = shop.connector.fetch(Lookup("sale", sold))
    assert len(shop.sale_of(answer).lines) == 80
    assert waits
    assert all(0 < seconds < 20 for seconds in waits)


def test_no_document_asks_for_more_than_shopify_allows(shop: Shop) -> None:
    schema = build_schema(SCHEMA.read_text(encoding="utf-8"))
    costs = [sandbox._cost_of(schema, parse(document), {}) for document in operations.DOCUMENTS]
    assert max(costs) < 500


def test_an_order_that_is_not_shown_is_not_called_deleted(shop: Shop) -> None:
    (answer,) = shop.connector.fetch(Lookup("sale", "12345"))
    (found,) = shop.connector.normalise(answer)
    assert isinstance(found, Ignored)
    assert found.reason == "not_visible"
    assert "12345" in found.detail


def test_a_product_that_is_gone_has_no_categories_and_its_sales_do_not_wait_for_ever(
    shop: Shop,
) -> None:
    (answer,) = shop.connector.fetch(Lookup("product", "12345"))
    assert shop.connector.normalise(answer) == [Product("12345", None, ())]


def test_customers_products_and_codes_can_be_looked_up(shop: Shop) -> None:
    sold = shop.sell(customer=ANN, lines=[TEA])
    line = shop.sandbox.shop.orders[int(sold)]["line_items"][0]
    (answer,) = shop.connector.fetch(Lookup("product", str(line["product_id"])))
    assert shop.connector.normalise(answer) == [Product(str(line["product_id"]), "TEA", ("Drinks",))]
    customer = str(next(iter(shop.sandbox.shop.customers)))
    (answer,) = shop.connector.fetch(Lookup("customer", customer))
    (found,) = shop.connector.normalise(answer)
    assert isinstance(found, Customer)
    assert found.customer.emails == ("ann@example.com",)
    shop.connector.push(ten_off(customer))
    (answer,) = shop.connector.fetch(Lookup("code", "LOY-7QXM2K"))
    (code,) = shop.connector.normalise(answer)
    assert getattr(code, "active", None) is True


def test_each_verb_is_told_as_shopify_tells_it(shop: Shop) -> None:
    sold = shop.sell(customer=ANN, lines=[TEA, CUP], state="pending")
    shop.ask(f"sales/{sold}/pay")
    shop.ask(f"sales/{sold}/edit", lines=[{"sku": "CUP", "quantity": 0}])
    refund = shop.ask(f"sales/{sold}/refund", amount="1.00", pending=True)["refund"]
    shop.ask(f"sales/{sold}/settle_refund", refund=refund)
    shop.ask(f"sales/{sold}/cancel")
    shop.ask(f"sales/{sold}/delete")
    told = [(i.topic, shop.connector.normalise(i)[0]) for i in shop.told()]
    assert [topic for topic, _ in told] == [
        "customers/create",
        "orders/create",
        "orders/updated",
        "orders/paid",
        "orders/updated",
        "orders/edited",
        "orders/updated",
        "refunds/create",
        "orders/updated",
        "orders/updated",
        "refunds/create",
        "orders/cancelled",
        "orders/updated",
        "orders/delete",
    ]
    kinds = [type(found) for _, found in told]
    assert {Customer, Sale, Thin, Refund, Deleted} == set(kinds)
    states = [found.state for _, found in told if isinstance(found, Sale)]
    assert states[:2] == [SaleState.PENDING, SaleState.PENDING]
    assert states[-1] is SaleState.CANCELLED


def test_a_sale_without_a_customer_can_be_claimed(shop: Shop) -> None:
    sold = shop.sell(lines=[CUP])
    assert shop.sale_of(shop.told("orders/create")[-1]).customer is None
    shop.ask(f"sales/{sold}/claim", customer=ANN)
    claimed = shop.sale_of(shop.told("orders/updated")[-1]).customer
    assert claimed is not None
    assert claimed.emails == ("ann@example.com",)


def test_a_customer_may_be_asked_for_by_id(shop: Shop) -> None:
    for _ in range(2):
        shop.sell(customer={"external_id": "77", "email": "dee@example.com"}, lines=[CUP])
    assert list(shop.sandbox.shop.customers) == [77]
    assert len(shop.told("customers/create")) == 1


def test_a_resent_webhook_is_byte_for_byte_the_same_delivery(shop: Shop) -> None:
    shop.sell(customer=ANN, lines=[CUP])
    before = shop.told()[-1]
    shop.ask("resend", n="last", times=2)
    assert shop.told()[-1] == before
    shop.ask("faults", fault="duplicate_webhooks")
    shop.sell(customer=ANN, lines=[CUP])
    first, second = shop.told()[-4:-2]
    assert shop.connector.delivery_key(first) == shop.connector.delivery_key(second)


@pytest.mark.parametrize("what", ["sale", "customer", "product", "code"])
def test_a_spoilt_answer_of_a_look_up_ends_as_a_result_or_bad_payload(shop: Shop, what: str) -> None:
    sold = shop.sell(customer=ANN, lines=[TEA], shipping="5.00", tax_rate="0.08")
    shop.ask(f"sales/{sold}/refund", lines=[{"sku": "TEA", "quantity": 1}], shipping=True)
    order = shop.sandbox.shop.orders[int(sold)]
    customer, line = str(order["customer"]["id"]), order["line_items"][0]
    shop.connector.push(ten_off(customer))
    ids = {"sale": sold, "customer": customer, "product": str(line["product_id"]), "code": "LOY-7QXM2K"}
    (answer,) = shop.connector.fetch(Lookup(what, ids[what]))  # type: ignore[arg-type]
    body = json.loads(answer.body)
    body.pop("extensions", None)
    answered, refused = 0, set()
    for _, spoilt in wrecks(json.dumps(body).encode()):
        try:
            answered += len(shop.connector.normalise(message(answer.topic, spoilt, answer.headers)))
        except BadPayload as error:
            refused.add(error.path)
    assert answered
    assert refused
    assert all(path.startswith("$") for path in refused)


# --- codes -------------------------------------------------------------------------------------


def test_a_code_made_twice_is_there_once(shop: Shop) -> None:
    command = ten_off(shop.customer(**ANN))
    first, second = shop.connector.push(command), shop.connector.push(command)
    assert (first.changed, second.changed) == (True, False)
    assert first.external_id == second.external_id
    assert len(shop.sandbox.codes()) == 1


def test_a_code_whose_answer_was_lost_is_there_once(shop: Shop) -> None:
    command = ten_off(shop.customer(**ANN))
    shop.ask("faults", fault="drop_after_write")
    assert shop.connector.push(command).external_id == shop.sandbox.codes()[0]["external_id"]
    assert shop.connector.push(command).changed is False
    assert len(shop.sandbox.codes()) == 1


def test_the_code_works_once_for_its_customer_alone(shop: Shop) -> None:
    shop.connector.push(ten_off(shop.customer(**ANN)))

    def buy(customer: Any) -> requests.Response:
        wish = {"customer": customer, "lines": [TEA, CUP], "codes": ["loy-7qxm2k"]}
        return requests.post(f"{shop.url}/_sandbox/sales", json=wish, timeout=10)

    assert buy({"email": "bo@example.com"}).status_code == 422
    assert buy(None).status_code == 422
    sold = buy(ANN)
    assert sold.json()["total"] == "37.19"
    again = buy(ANN)
    assert again.status_code == 422
    assert "usage limit" in again.json()["error"]
    sale = shop.sale_of(shop.told("orders/paid")[-1])
    assert (sale.codes, amounts(sale).goods_net) == (("LOY-7QXM2K",), 3719)
    shop.ask(f"sales/{sold.json()['external_id']}/cancel")
    assert buy(ANN).status_code == 422  # a cancelled order keeps its use of the code


def test_a_percentage_is_taken_off_goods_and_never_off_gift_cards(shop: Shop) -> None:
    command = ten_off(shop.customer(**ANN), amount=None, currency=None, percent=1250)
    shop.connector.push(command)
    card = {"sku": "G", "kind": "gift_card", "price": "25.00"}
    shop.sell(customer=ANN, lines=[TEA, CUP, card], codes=["LOY-7QXM2K"])
    sale = shop.sale_of(shop.told("orders/paid")[-1])
    assert amounts(sale).goods_net == 4719 - 590
    assert sale.lines[2].net == 2500


def test_a_revoked_code_no_longer_works_until_it_is_made_anew(shop: Shop) -> None:
    """Shopify keeps the ended code and calls it taken; the hub opens a code again when the order that
    used it is cancelled."""
    customer = shop.customer(**ANN)
    made = shop.connector.push(ten_off(customer))
    revoke = RevokeCode("LOY-7QXM2K", "vch_LOY-7QXM2K", made.external_id)
    assert shop.connector.push(revoke).changed is True
    assert shop.connector.push(revoke).changed is False
    assert [c["active"] for c in shop.sandbox.codes()] == [False]
    wish = {"customer": ANN, "lines": [TEA], "codes": ["LOY-7QXM2K"]}
    assert requests.post(f"{shop.url}/_sandbox/sales", json=wish, timeout=10).status_code == 422
    anew = shop.connector.push(ten_off(customer))
    assert (anew.changed, anew.external_id != made.external_id) == (True, True)
    assert [c["active"] for c in shop.sandbox.codes()] == [True]
    assert shop.connector.push(ten_off(customer)).changed is False


def test_a_code_of_the_merchants_own_is_neither_taken_over_nor_ended(shop: Shop) -> None:
    customer = shop.customer(**ANN)
    shop.connector.push(ten_off(customer))
    stolen = CreateCode(
        "loy-7qxm2k", "vch_other", "Five off", CustomerKey("mem_2", customer), NOW, None, percent=500
    )
    with pytest.raises(Rejected) as refused:
        shop.connector.push(stolen)
    assert refused.value.code == "code_taken"
    assert shop.connector.push(RevokeCode("LOY-7QXM2K", "vch_other")).changed is False
    assert [c["active"] for c in shop.sandbox.codes()] == [True]


def test_search_lags_where_the_look_up_by_code_does_not(shop: Shop) -> None:
    customer = shop.customer(**ANN)
    shop.connector.push(ten_off(customer))
    token = next(iter(shop.sandbox._tokens))
    query = (
        '{ discountNodes(first: 5) { nodes { id } } codeDiscountNodeByCode(code: "LOY-7QXM2K") { id } }'
    )
    answer = requests.post(
        f"{shop.url}/admin/api/2026-10/graphql.json",
        json={"query": query},
        headers={"X-Shopify-Access-Token": token},
        timeout=10,
    ).json()
    assert answer["data"]["discountNodes"]["nodes"] == []
    assert answer["data"]["codeDiscountNodeByCode"]["id"]


# --- balances and faults -----------------------------------------------------------------------


def test_the_latest_balance_stands(shop: Shop) -> None:
    customer = shop.customer(**ANN)
    for points in (120, 80):
        balance = SetBalance(CustomerKey("mem_1", external_id=customer), points, points, 0, NOW)
        shop.connector.push(balance)
    assert shop.sandbox.balances() == {customer: 80, "+84901234567": 80, "ann@example.com": 80}


def test_an_expired_token_is_replaced_without_a_word(shop: Shop) -> None:
    command = ten_off(shop.customer(**ANN))
    shop.connector.push(command)
    shop.ask("faults", fault="token_expired")
    assert shop.connector.push(command).changed is False
    assert len(shop.sandbox._tokens) == 1


@pytest.mark.parametrize("form", ["graphql", "429", "503"])
def test_each_form_of_throttling_says_when_to_come_back_and_leaves_nothing(
    shop: Shop, form: str
) -> None:
    command = ten_off(shop.customer(**ANN))
    shop.connector.push(command)
    again = ten_off(shop.customer(**ANN), "LOY-2")
    shop.ask("faults", fault="throttle", form=form)
    with pytest.raises(ChannelDown) as down:
        shop.connector.push(again)
    assert down.value.retry_at is not None
    assert len(shop.sandbox.codes()) == 1
    assert shop.connector.push(again).changed is True


def test_an_empty_bucket_throttles_and_refills(shop: Shop) -> None:
    customer = shop.customer(**ANN)
    shop.connector.push(ten_off(customer))
    shop.sandbox._points, shop.sandbox.refill = 0.0, 0.001
    with pytest.raises(ChannelDown) as down:
        shop.connector.push(ten_off(customer, "LOY-2"))
    assert down.value.code == "throttled"
    shop.sandbox.refill = 1e9
    assert shop.connector.push(ten_off(customer, "LOY-2")).changed is True


@pytest.mark.parametrize(
    ("fault", "raised", "code"),
    [
        ("server_error", ChannelDown, "http_500"),
        ("not_json", ChannelDown, "not_json"),
        ("frozen", Misconfigured, "shop_frozen"),
        ("locked", ChannelDown, "shop_locked"),
        ("access_denied", Misconfigured, "access_denied"),
        ("refuse_code", Rejected, "invalid"),
    ],
)
def test_each_fault_has_its_owner_and_a_replay_mends_it(
    shop: Shop, fault: str, raised: type[Exception], code: str
) -> None:
    command = ten_off(shop.customer(**ANN), amount=None, currency=None, percent=1000)
    shop.ask("faults", fault=fault)
    with pytest.raises(raised) as failed:
        shop.connector.push(command)
    assert getattr(failed.value, "code", None) == code
    assert shop.sandbox.codes() == []
    assert shop.connector.push(command).changed is True


def test_a_wrong_client_secret_is_the_merchants_move(shop: Shop) -> None:
    shop.channel.settings = {**shop.channel.settings, "client_secret": "wrong"}
    assert shop.connector.health().code == "client_refused"


def test_a_healthy_sandbox_is_healthy(shop: Shop) -> None:
    health = shop.connector.health()
    assert (health.ok, health.detail) == (True, "connected to Sandbox Shop, which sells in USD")


def test_orders_keep_shopifys_identity(shop: Shop) -> None:
    shop.connector.push(ten_off(shop.customer(**ANN)))
    sold = shop.sell(customer=ANN, lines=[TEA, CUP], codes=["LOY-7QXM2K"], shipping="5", tax_rate="0.1")
    order = shop.ask_order(sold)
    gross = sum(float(line["price"]) * line["quantity"] for line in order["line_items"])
    off = sum(float(a["amount"]) for line in order["line_items"] for a in line["discount_allocations"])
    assert round(gross - off, 2) == float(order["subtotal_price"])
    tax = float(order["total_tax"])
    assert round(float(order["subtotal_price"]) + 5 + tax, 2) == float(order["total_price"])


def test_a_currency_is_chosen_before_the_first_sale(shop: Shop) -> None:
    shop.sell(lines=[{"sku": "X", "price": "50000"}], currency="VND")
    assert shop.sale_of(shop.told("orders/create")[-1]).lines[0].net == 50000
    wish = {"lines": [CUP], "currency": "USD"}
    assert requests.post(f"{shop.url}/_sandbox/sales", json=wish, timeout=10).status_code == 422
