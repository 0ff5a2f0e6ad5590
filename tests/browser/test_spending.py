"""Spending points in a browser: the one-time code, the code as a picture, double uses, and who the cashiers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import expect

from hub import sending
from hub.sending import Message
from tests.browser.conftest import House, Window
from tests.browser.shops import BINH, DOCUMENT, Shop
from tests.browser.sight import Sight

TILL = {
    "code_above": 4,
    "redemptions_per_hour": 10,
    "points_per_hour": 2000,
    "own_sales": "refuse",
    "own_redemptions": "refuse",
}


@pytest.fixture
def document() -> Mapping[str, Any]:
    return {**DOCUMENT, "till": TILL, "redeem": {"double_use": "flag"}}


def test_a_cashier_asks_for_the_members_code_and_shows_what_it_bought(
    house: House,
    shop: Shop,
    window: Window,
    screen: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Message] = []

    class Post:
        def send(self, message: Message) -> None:
            sent.append(message)

    monkeypatch.setattr(sending, "sender", lambda _settings, way: Post() if way == "sms" else None)
    shop.sell(1001, BINH, 420_000)
    cashier = window(*screen, role="cashier")
    page, member = cashier.page, shop.member().public_id
    cashier.go(f"/p/corner/members/{member}/redeem")
    cashier.check("one-time-code")
    page.locator("form[action$='/one-time-code'] button").click()
    expect(page.locator(".alert-success")).to_contain_text("567")
    page.fill("[name=one_time_code]", "000000" if sent[0].code != "000000" else "111111")
    page.locator(".hub-offers form button").click()
    expect(page.locator(".alert-danger")).to_contain_text("4")
    cashier.check("one-time-code-wrong")
    page.fill("[name=one_time_code]", str(sent[0].code))
    page.locator(".hub-offers form button").click()
    expect(page.locator("#code")).to_be_visible()
    page.wait_for_function("document.querySelector('.hub-qr').naturalWidth > 0")
    cashier.check("redemption")
    assert house.hub.balance(phone="+84901234567") == 37


def test_a_code_used_twice_is_decided_about(house: House, shop: Shop, staff: Sight) -> None:
    staff.go("/p/corner/double-uses")
    expect(staff.page.locator(".empty-title")).to_be_visible()
    staff.check("double-uses-empty")
    shop.week()
    (voucher,) = house.hub.rows("SELECT code FROM vouchers")
    shop.sell(1010, BINH, 250_000, codes=[voucher.code])
    shop.sell(1011, "0987654321", 250_000, codes=[voucher.code.lower()])
    page = staff.page
    staff.go("/p/corner/double-uses")
    expect(page.locator("tbody tr")).to_have_count(1)
    staff.check("double-uses")
    page.locator("[name=decision][value=absorb]").click()
    expect(page.locator(".alert-success")).to_be_visible()
    expect(page.locator("[name=decision][value=absorb]")).to_have_count(0)
    staff.check("double-uses-decided")
    page.get_by_role("link", name="1011").click()
    staff.check("double-use-order")
    house.hub.assert_clean()


def test_a_cashier_is_named_and_leaves(house: House, shop: Shop, sight: Sight) -> None:
    shop.sell(1001, BINH, 420_000)
    page = sight.page
    sight.go("/p/corner/programme/staff")
    expect(page.locator(".empty-title")).to_be_visible()
    sight.check("staff-empty")
    page.fill("#f-ref", "Lan – quầy 2")
    page.fill("#f-member", "0999 999 999")
    page.locator("form:has(#f-ref) button").click()
    expect(page.locator("#f-member-more .invalid-feedback")).to_be_visible()
    sight.expected = ["422"]
    sight.check("staff-unknown")
    page.fill("#f-member", BINH)
    page.locator("form:has(#f-ref) button").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    sight.check("staff")
    page.locator("[name=way][value=left]").click()
    expect(page.locator("tbody tr")).to_have_count(0)
    assert len(house.hub.rows("SELECT 1 FROM staff_before")) == 1
