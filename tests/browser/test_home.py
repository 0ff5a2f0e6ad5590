"""Home in a browser: all well, in trouble, and empty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.browser.conftest import House
from tests.browser.sight import Sight
from tests.people import add
from tests.shops import daily_orders, delivery, order, shop

MINUTE = timedelta(minutes=1)


def three_shops(house: House) -> tuple[int, int, int]:
    """A shop, a web shop and a till that all sent something today."""
    program = house.hub.program.id
    now = datetime.now(UTC)
    with house.hub.runtime.sessions.begin() as session:
        found = (
            shop(session, program, "Cửa hàng Hoa Mai", "shopify"),
            shop(session, program, "Trang chủ"),
            shop(session, program, "Quầy 1", "generic_pos"),
        )
        for channel in found:
            delivery(session, program, channel)
            order(session, program, channel, now, points=1240)
    return found


def test_all_well_is_one_line_of_green(house: House, sight: Sight) -> None:
    three_shops(house)
    sight.go("/p/corner/")
    head = sight.page.locator(".hub-headline")
    expected = {"en": "All 3 channels are well.", "vi": "Cả 3 kênh bán đều ổn."}
    assert head.locator("h1").inner_text() == expected[sight.language]
    numbers = {
        "en": "3 orders today, 3,720 points given, 0 codes used.",
        "vi": "3 đơn hôm nay, đã tặng 3.720 điểm, 0 mã đã dùng.",
    }
    assert numbers[sight.language] in head.inner_text()
    assert "hub-green" in (head.get_attribute("class") or "")
    sight.check("home-well")


def trouble(house: House) -> None:
    """A refused token, a silent shop, a till that is paused, and a line of failures."""
    refused, silent, till = three_shops(house)
    program, now = house.hub.program.id, datetime.now(UTC)
    with house.hub.runtime.sessions.begin() as session:
        for _ in range(37):
            delivery(
                session, program, refused, direction="outbound", topic="create_code", state="failed", fault="merchant",
                code="token_refused", detail="HTTP 401", finished_at=now - 80 * MINUTE,
            )  # fmt: skip
        session.connection().exec_driver_sql("DELETE FROM transactions WHERE channel_id = %s", (silent,))
        daily_orders(session, program, silent, now, every=12 * MINUTE, days=30, until=now - 130 * MINUTE)
        delivery(
            session, program, till, state="parked", fault="payload", code="not_json", detail="$: no JSON"
        )
        delivery(
            session, program, till, direction="outbound", state="due", fault="channel", code="timeout",
            due_at=now + 5 * MINUTE, topic="set_balance",
        )  # fmt: skip
        new = shop(session, program, "Chợ phiên", "woocommerce")
        paused = shop(session, program, "Kho", status="paused")
        unsigned = shop(session, program, "Một cái tên thật là dài để xem nó có gãy dòng hay không")
        add(
            session, "quarantine", program_id=program, channel_id=unsigned, received_at=now, code="bad_signature",
            detail="x", headers="{}", body=b"",
        )  # fmt: skip
        assert new != paused


def test_trouble_comes_first_and_says_what_to_press(house: House, sight: Sight) -> None:
    trouble(house)
    sight.go("/p/corner/")
    head = sight.page.locator(".hub-headline")
    expected = {"en": "4 channels need a person.", "vi": "4 kênh bán cần người xử lý."}
    assert head.locator("h1").inner_text() == expected[sight.language]
    assert "hub-red" in (head.get_attribute("class") or "")
    cards = sight.page.locator(".hub-channel")
    assert cards.count() == 6
    first = cards.nth(0).inner_text()
    assert "Cửa hàng Hoa Mai" in first
    assert "37" in first
    rows = sight.page.locator("table tbody tr")
    assert rows.count() == 3
    assert rows.nth(0).locator("td").last.inner_text().strip() == "37"
    sight.check("home-trouble")


def test_arrow_keys_walk_the_table_and_enter_opens_the_story(house: House, sight: Sight) -> None:
    trouble(house)
    sight.go("/p/corner/")
    rows = sight.page.locator("tr[data-href]")
    rows.nth(0).focus()
    sight.page.keyboard.press("ArrowDown")
    sight.page.keyboard.press("ArrowDown")
    sight.page.keyboard.press("ArrowUp")
    there = rows.nth(1).get_attribute("data-href")
    assert sight.page.evaluate("document.activeElement.dataset.href") == there
    sight.page.keyboard.press("Enter")
    sight.page.wait_for_url(f"**{there}")


def test_an_empty_programme_says_how_to_begin(sight: Sight) -> None:
    sight.go("/p/corner/")
    sight.page.locator(".empty a.btn").click()
    sight.page.wait_for_url("**/channel-kinds")
    sight.go("/p/corner/")
    sight.check()
