"""The programme in a browser: rules, a version, events and referrals, in both languages and widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.shops import BINH, Shop
from tests.browser.sight import Sight
from tests.browser.test_tiers import TIERS

CAMPAIGN: dict[str, Any] = {
    **TIERS,
    "multipliers": [{"id": "mua-dong", "factor": "2", "budget": 500_000, "budget_per_member": 2000}],
    "actions": [{"id": "review", "name": "Đánh giá sản phẩm", "points": 20}],
    "referral": {"referrer": 50, "friend": 20},
}


@pytest.fixture
def document() -> Mapping[str, Any]:
    return CAMPAIGN


def test_the_programme_is_read_from_its_terms_to_what_its_first_version_was(
    shop: Shop, staff: Sight
) -> None:
    shop.sell(1001, BINH, 620_000, placed_at="2026-11-10T03:04:05Z")
    page = staff.page
    staff.go("/p/corner/programme")
    expect(page.locator("progress")).to_have_attribute("max", "500000")
    expect(page.locator(".hub-tabs [aria-current=page]")).to_be_visible()
    staff.check("programme")
    page.locator("a[href$='/versions/1']").click()
    staff.check("programme-version")
    for name in ("events", "referrals"):
        staff.go(f"/p/corner/programme/{name}")
        expect(page.locator(".empty-title")).to_be_visible()
        staff.check(f"programme-{name}")


def test_the_owner_changes_the_rules_and_sees_beforehand_what_that_does(sight: Sight) -> None:
    page = sight.page
    sight.go("/p/corner/programme")
    page.click("a[href$='/programme/draft']")
    sight.check("programme-draft")
    page.fill("[name=document]", "earn = 5")
    page.click("form[action$='/draft/check'] button[type=submit]")
    expect(page.locator(".alert-danger")).to_be_visible()
    expect(page.locator("textarea[name=document]").last).to_have_value("earn = 5")
    sight.check("programme-draft-refused")
    page.fill("#document", '[[earn]]\npoints = 2\nper = { VND = "10000" }\n')
    page.click("form[action$='/draft/check'] button[type=submit]")
    sight.check("programme-draft-looked")
    page.click("form[action$='/draft/apply'] button[type=submit]")
    expect(page.locator(".alert-success")).to_be_visible()
    assert page.url.endswith("/programme/versions/2")
    sight.check()


def test_a_code_used_twice_is_settled_by_a_person(shop: Shop, staff: Sight) -> None:
    page = staff.page
    shop.week()
    (voucher,) = shop.hub.rows("SELECT code FROM vouchers")
    for number, hour in ((1011, "03"), (1012, "04")):
        placed = f"2026-11-22T{hour}:00:00Z"
        shop.sell(number, BINH, 200_000, placed_at=placed, codes=[voucher.code])
    staff.go("/p/corner/double-uses")
    staff.check("double-uses")
    page.click("button[value=absorb]")
    expect(page.locator(".alert-success")).to_be_visible()
    staff.check("double-uses-settled")
