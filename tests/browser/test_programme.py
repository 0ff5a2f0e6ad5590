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
