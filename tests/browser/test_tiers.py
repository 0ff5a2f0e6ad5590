"""A member's tier in a browser: where they stand, and a decision after a look, in both languages and widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.shops import BINH, DOCUMENT, Shop
from tests.browser.sight import Sight

TIERS: dict[str, Any] = {
    **DOCUMENT,
    "tiers": {
        "currency": "VND",
        "over": "calendar_year",
        "levels": [
            {"id": "member", "name": "Thành viên", "from": 0},
            {
                "id": "silver",
                "name": "Bạc",
                "from": "500000",
                "bonus": "10",
                "perks": ["Cà phê sinh nhật"],
            },
            {"id": "gold", "name": "Vàng", "from": "5000000", "multiplier": "2", "free_shipping": True},
        ],
    },
    "segments": [{"id": "press", "name": "Báo chí", "tags": ["bao-chi"]}],
}


@pytest.fixture
def document() -> Mapping[str, Any]:
    return TIERS


def test_a_tier_is_given_after_a_look_and_a_tag_put_on(shop: Shop, staff: Sight) -> None:
    shop.sell(1001, BINH, 620_000, placed_at="2026-11-10T03:04:05Z")
    page, member = staff.page, shop.member().public_id
    staff.go(f"/p/corner/members/{member}?tab=tier")
    expect(page.locator(".hub-big")).to_have_text("Bạc")
    expect(page.locator("progress")).to_have_attribute("value", "620000")
    page.fill("#f-tag", "bao-chi")
    page.locator("form:has(#f-tag) button").click()
    expect(page.locator("form:has([name=off]) button")).to_contain_text("bao-chi")
    staff.check("member-tier")
    page.locator(f"a[href$='{member}/tier']").click()
    page.locator("[name=decision][value=guarantee]").check()
    page.locator("[name=tier]").select_option("gold")
    page.fill("[name=until]", "2099-12-31")
    page.fill("[name=reason]", "Khách quen từ cửa hàng cũ")
    staff.check("tier-form")
    page.locator("form.card-body button").click()
    expect(page.locator(".hub-big")).to_contain_text("Vàng")
    staff.check("tier-preview")
    page.locator("form.hub-actions button").click()
    expect(page.locator(".alert-success")).to_contain_text("Vàng")
    expect(page.locator(".hub-big")).to_have_text("Vàng")
    expect(page.locator("tbody").last).to_contain_text("Khách quen từ cửa hàng cũ")
    staff.check("member-tier-decided")
