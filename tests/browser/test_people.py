"""Members and orders in a browser: searched, told, settled, in both languages at both widths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import House, Window
from tests.browser.shops import BINH, DOCUMENT, Shop
from tests.browser.sight import Sight

MONDAY = "2026-11-16"
SPELLED = "+84 (0)90 123.45-67"


@pytest.fixture
def document() -> Mapping[str, Any]:
    return DOCUMENT


def test_bought_on_monday_and_got_no_points(house: House, shop: Shop, staff: Sight) -> None:
    """The customer is on the phone: found by a phone spelled oddly; her Monday order is not there. It
    is found by about how much it was and the day, its page says why, and two clicks settle it."""
    shop.sell(1001, BINH, 420_000, placed_at="2026-11-10T03:04:05Z")
    guest = shop.sell(1042, "", 1_250_000, placed_at="2026-11-16T04:10:00Z")
    page = staff.page
    staff.go("/p/corner/members")
    page.fill("[name=q]", SPELLED)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/members/{shop.member().public_id}$"))
    expect(page.locator(".hub-balance strong")).to_have_text("42")
    staff.check("story-1-member")

    staff.go("/p/corner/orders")
    page.fill("[name=q]", "1.200.000 đ")
    page.fill("[name=from]", MONDAY)
    page.fill("[name=to]", MONDAY)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="1042").click()
    verdict = page.locator(".hub-verdict")
    expect(verdict).to_contain_text(
        {"en": "a guest order without a usable phone", "vi": "khách lẻ"}[staff.language]
    )
    staff.check("story-2-order")

    page.fill("#f-claim", SPELLED)
    verdict.get_by_role("button").click()  # the first click
    offer = page.locator(".hub-offers .card")
    expect(offer).to_have_count(1)
    expect(offer.locator(".hub-change")).to_contain_text("42")
    expect(offer.locator(".hub-change")).to_contain_text("167")
    staff.check("story-3-claim")
    offer.get_by_role("button").click()  # the second
    expect(page.locator(".alert-success")).to_contain_text("167")
    expect(page.locator(".hub-verdict.hub-green")).to_contain_text("Nguyễn Thị Bình")
    staff.check("story-4-settled")
    assert house.hub.balance(phone="+84901234567") == 167
    assert house.hub.rows("SELECT 1 FROM audit WHERE action = 'order.claimed' AND actor LIKE 'user:%'")
    assert page.url.endswith(f"/orders/{guest}")
    house.hub.assert_clean()


def test_a_claim_is_taken_back_after_a_look_at_what_it_costs(
    house: House, shop: Shop, staff: Sight
) -> None:
    guest = shop.sell(1042, "", 1_250_000)
    page = staff.page
    staff.go(f"/p/corner/orders/{guest}/claim?q=0912+345+678")
    page.fill("[name=name]", "Trần Văn Hải")
    page.locator(".hub-offers form button").click()
    expect(page.locator(".hub-verdict.hub-green")).to_contain_text("Trần Văn Hải")
    page.locator(".hub-actions a").click()
    expect(page.locator(".hub-big")).to_contain_text("125")
    staff.check("release")
    page.locator("form.hub-actions button").click()
    expect(page.locator(".hub-verdict.hub-red")).to_be_visible()
    assert house.hub.balance(phone="+84912345678") == 0


def test_a_member_and_all_their_tabs(shop: Shop, staff: Sight) -> None:
    shop.week()
    member = shop.member().public_id
    staff.go("/p/corner/members")
    staff.check("members")
    staff.go("/p/corner/members?q=nguyen+binh")
    expect(staff.page.locator("tbody tr")).to_have_count(2)
    staff.check("members-search")
    staff.go(f"/p/corner/members/{member}")
    expect(staff.page.locator("tbody tr")).to_have_count(5)
    staff.check("member-history")
    for tab in ("lots", "orders", "vouchers", "identities"):
        staff.page.locator(f".hub-tabs a[href*='{tab}']").click()
        expect(staff.page.locator("tbody tr").first).to_be_visible()
        staff.check(f"member-{tab}")


def test_points_are_given_after_a_look_and_once(house: House, shop: Shop, staff: Sight) -> None:
    shop.sell(1001, BINH, 420_000)
    member, page = shop.member().public_id, staff.page
    staff.go(f"/p/corner/members/{member}/adjust")
    page.fill("[name=points]", "50")
    page.fill("[name=reason]", "Giao hàng trễ")
    staff.check("adjust-form")
    page.locator("form.card-body button").click()
    expect(page.locator(".hub-big")).to_contain_text("92")
    staff.check("adjust-preview")
    preview = page.url
    page.locator("form.hub-actions button").click()
    expect(page.locator(".alert-success")).to_contain_text("92")
    page.go_back()
    assert page.url == preview
    page.locator("form.hub-actions button").click()
    page.wait_for_url("**/members/mem_*")
    assert house.hub.balance(phone="+84901234567") == 92, "the form that was sent again did nothing"


def test_taking_more_than_there_is_says_what_there_is(shop: Shop, staff: Sight) -> None:
    shop.sell(1001, BINH, 420_000)
    page = staff.page
    staff.go(f"/p/corner/members/{shop.member().public_id}/adjust")
    page.locator("[name=way][value=take]").check()
    page.fill("[name=points]", "43")
    page.fill("[name=reason]", "x")
    page.locator("form.card-body button").click()
    expect(page.locator("#f-points-more")).to_contain_text("42")
    staff.check("adjust-too-many")
    assert page.locator("[name=way][value=take]").is_checked()


def test_a_cashier_finds_redeems_and_reads_the_code_out(
    house: House, shop: Shop, window: Window, screen: tuple[str, int]
) -> None:
    shop.sell(1001, BINH, 420_000)
    cashier = window(*screen, role="cashier")
    page = cashier.page
    cashier.go("/")
    page.wait_for_url("**/p/corner/members")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("4567")
    page.keyboard.press("Enter")
    page.locator("tbody a").click()
    page.locator(".hub-head a.btn-primary").click()
    cashier.check("redeem")
    page.locator(".hub-offers form button").click()
    code = page.locator("#code").inner_text()
    assert re.fullmatch(r"HUB-[2-9A-Z-]{15}", code)
    cashier.check("code")
    assert house.hub.balance(phone="+84901234567") == 37
    cashier.expected = ["403"]
    cashier.go("/p/corner/orders")
    assert page.locator("tbody").count() == 0


def test_two_members_are_merged_and_taken_apart(house: House, shop: Shop, staff: Sight) -> None:
    shop.sell(1001, BINH, 420_000)
    shop.sell(1002, "0987654321", 100_000)
    one, other = shop.member(), shop.member("0987654321")
    with house.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO merge_suggestions (program_id, member_id, other_id, reason) VALUES (%s, %s, %s, %s)",
            (house.hub.program.id, *sorted((one.id, other.id)), "email_of_another"),
        )
    page = staff.page
    staff.go(f"/p/corner/members/{one.public_id}")
    staff.check("suggestion")
    page.locator(".hub-suggestion a[href*='/merge']").click()
    expect(page.locator(".hub-big")).to_contain_text("52")
    staff.check("merge")
    page.locator("form.hub-actions button").click()
    expect(page.locator(".hub-balance strong")).to_have_text("52")
    expect(page.locator(".hub-suggestion")).to_have_count(0)
    page.locator(".hub-tabs a[href*='identities']").click()
    page.locator("a[href*='/unmerge']").click()
    staff.check("unmerge")
    page.locator("form:has([name=gone]) button").click()
    expect(page.locator(".hub-balance strong")).to_have_text("42")
    house.hub.assert_clean()


def test_orders_are_listed_narrowed_and_told(shop: Shop, staff: Sight) -> None:
    shop.week()
    page = staff.page
    staff.go("/p/corner/orders")
    expect(page.locator("tbody tr")).to_have_count(5)
    staff.check("orders")
    page.locator("[name=nothing]").check()
    page.locator("form[role=search] button").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    staff.check("orders-nothing")
    page.get_by_role("link", name="1005").click()
    staff.check("order-unpaid")
    staff.go("/p/corner/orders?q=1002")
    page.locator("tbody a").click()
    expect(page.locator(".hub-step-posted")).to_have_count(2)
    page.locator("details summary").click()
    staff.check("order")


def test_a_number_whose_message_failed_says_so_with_the_way_there(shop: Shop, staff: Sight) -> None:
    shop.week()
    staff.go("/p/corner/orders?q=1006")
    alert = staff.page.locator(".alert-danger")
    expect(alert).to_contain_text("1006")
    assert re.search(r"/p/corner/deliveries/\d+$", alert.locator("a").get_attribute("href") or "")
    staff.check("order-failed")


def test_lists_with_nothing_in_them_say_what_would_be_there(staff: Sight) -> None:
    for path in ("members", "members?q=nobody", "orders", "orders?q=4711", "orders?state=cancelled"):
        staff.go(f"/p/corner/{path}")
        expect(staff.page.locator(".empty-title")).to_be_visible()
        staff.check(f"empty-{re.sub('[^a-z]+', '-', path)}")


def test_a_row_opens_by_keyboard(shop: Shop, window: Window) -> None:
    shop.week()
    sight = window("en", 1280, role="viewer")
    sight.go("/p/corner/orders")
    sight.page.locator("tbody tr").first.focus()
    sight.page.keyboard.press("ArrowDown")
    sight.page.keyboard.press("Enter")
    sight.page.wait_for_url(re.compile("/orders/txn_"))
    assert sight.page.locator("#f-claim").count() == 0, "a viewer changes nothing"


def test_an_order_told_of_late_is_approved_on_its_page(house: House, shop: Shop, window: Window) -> None:
    with house.hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE channels SET backdating_days = 7")
    order = shop.sell(1042, BINH, 420_000, placed_at="2026-08-01T03:04:05Z")
    assert house.hub.balance(phone="+84901234567") == 0
    sight = window("vi", 1280, role="support")
    sight.go(f"/p/corner/orders/{order}")
    sight.check("order-review")
    sight.page.locator("[name=decision][value=approve]").click()
    expect(sight.page.locator(".hub-verdict.hub-green")).to_contain_text("42")
    expect(sight.page.locator(".hub-step-claimed")).to_have_count(1)
    sight.check("order-approved")
