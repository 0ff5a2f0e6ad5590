"""Deliveries, replays and quarantine in a browser: each flow in both languages at both widths."""

from __future__ import annotations

import base64
import re

import pytest
import requests
from playwright.sync_api import Route, expect
from sqlalchemy import text

from hub.connect import change_channel
from hub.outbox.channels import Channel
from hub.sync import replays
from tests import signed
from tests.browser.conftest import House, Window
from tests.browser.sight import Sight
from tests.hubs import Hub

OTHER = "whsec_" + base64.b64encode(b"mistyped by somebody, 32 bytes..").decode()
ODD = b'{"type": "hub.weather/1", "note": "<script>alert(1)</script>"}'


@pytest.fixture
def till(house: House) -> Channel:
    """A till that has sold, with a failure of each sort."""
    hub = house.hub
    channel = hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Quầy Hai Bà Trưng")
    for n in range(4):
        send(hub, channel, f"m{n}", signed.till_sale(1001 + n, f"091234567{n}", 90_000))
    hub.work()
    send(hub, channel, "odd", ODD)
    send(hub, channel, "guest", signed.till_sale(1010, "", customer=None))
    hub.work()
    for n in range(3):
        send(hub, channel, f"p{n}", signed.till_sale(1020 + n, f"098765432{n}", 120_000))
    with hub.runtime.sessions.begin() as session:
        session.execute(
            text(
                "UPDATE deliveries SET state = 'parked', code = 'unexpected', fault = 'hub',"
                " finished_at = now() WHERE state = 'due' AND direction = 'inbound'"
            )
        )
    return channel


def send(hub: Hub, channel: Channel, key: str, body: bytes) -> int:
    headers = signed.headers(channel.kind, body, key)
    return requests.post(hub.webhook(channel), data=body, headers=headers, timeout=10).status_code


def test_support_finds_what_failed_looks_into_it_and_replays_it(
    house: House, till: Channel, sight: Sight
) -> None:
    page = sight.page
    sight.go("/p/corner/deliveries")
    assert page.locator(".hub-group").count() == 2
    sight.check("deliveries")
    page.locator(".hub-group a").first.click()
    page.wait_for_url(re.compile("state=person"))
    rows = page.locator("#list tbody tr")
    assert rows.count() == 3
    sight.check("deliveries-failed")
    page.locator("input[name=delivery]").first.check()
    page.locator("button[name=which][value=all]").click()
    page.wait_for_url(re.compile("/replays/rpl_"))
    assert page.locator(".hub-lead").inner_text().count("3") >= 2
    sight.check("replay-dry-run")
    assert house.hub.rows("SELECT count(*) AS n FROM entries")[0].n == 4, "nothing has changed yet"
    page.locator("form[action$='/start'] button").click()
    page.wait_for_selector("progress")
    house.hub.work()
    replays.advance_all(house.hub.runtime)
    page.wait_for_selector("progress[value='3']", timeout=10_000)
    sight.check("replay-done")
    assert house.hub.rows("SELECT count(*) AS n FROM entries")[0].n == 7
    page.go_back()
    sight.check()


def test_one_delivery_tells_its_whole_story(house: House, till: Channel, sight: Sight) -> None:
    sight.go("/p/corner/deliveries?number=1001")
    sight.page.locator("#list tbody a").first.click()
    sight.page.wait_for_url(re.compile(r"/deliveries/\d+$"))
    assert "1001" in sight.page.locator(".hub-told").first.locator("xpath=..").inner_text()
    for details in sight.page.locator("main details").all():
        details.evaluate("e => e.open = true")
    sight.check("delivery")
    (odd,) = house.hub.rows("SELECT id FROM deliveries WHERE code = 'unknown_type'")
    sight.go(f"/p/corner/deliveries/{odd.id}")
    for details in sight.page.locator("main details").all():
        details.evaluate("e => e.open = true")
    assert "<script>" in sight.page.locator("main").inner_text(), "shown as it came, and not run"
    sight.check("delivery-failed")


def test_filters_keep_the_page_still_and_the_address_says_them(
    house: House, till: Channel, sight: Sight
) -> None:
    page = sight.page
    sight.go("/p/corner/deliveries")
    page.evaluate("document.querySelector('#q').dataset.still = 'yes'")
    page.select_option("#state", "done")
    page.wait_for_url(re.compile(r"deliveries\?state=done$"))
    assert page.locator("#q").get_attribute("data-still") == "yes", "only the list was swapped"
    assert page.locator("#list tbody tr").count() == 9
    page.fill("#q", "1003")
    page.press("#q", "Enter")
    page.wait_for_url(re.compile(r"q=1003"))
    expect(page.locator("#list tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("#list tbody tr")).to_have_count(9)
    page.reload()
    assert page.locator("#state").input_value() == "done"
    sight.go("/p/corner/deliveries?q=nothing-like-it")
    sight.check("deliveries-none")


def test_a_fragment_that_fails_takes_nothing_off_the_page(
    house: House, till: Channel, window: Window
) -> None:
    """Whatever is asked for behind the page: an error there leaves what stands, and the next answer
    is shown again."""
    sight = window("en", 1280, role="owner")
    sight.expected = ["503"]
    page, asked = sight.page, []
    sight.go("/p/corner/deliveries?state=person")
    page.locator("button[name=which][value=all]").click()
    page.wait_for_url(re.compile("/replays/rpl_"))
    page.locator("form[action$='/start'] button").click()
    page.wait_for_selector("progress")

    def fail(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, content_type="text/html", body="<html><body>away</body></html>")

    page.route("**/replays/rpl_*", fail)
    page.wait_for_timeout(4500)
    assert asked
    assert page.locator("progress").count() == 1
    page.unroute("**/replays/rpl_*")
    house.hub.work()
    replays.advance_all(house.hub.runtime)
    page.wait_for_selector(f"progress[value='{page.locator('progress').get_attribute('max')}']")


def test_a_date_that_is_being_typed_breaks_nothing(house: House, till: Channel, window: Window) -> None:
    sight = window("en", 1280, role="viewer")
    sight.go("/p/corner/deliveries")
    sight.page.locator("details.hub-more summary").click()
    sight.page.locator("#since").click()
    sight.page.keyboard.type("01012026", delay=120)
    sight.page.wait_for_url(re.compile("since=2026-01-01"))
    sight.page.wait_for_load_state("networkidle")
    assert sight.page.locator("#list tbody tr").count() == 13
    sight.check()


def test_rows_are_walked_and_opened_by_keyboard(house: House, till: Channel, window: Window) -> None:
    sight = window("en", 1280, role="viewer")
    sight.go("/p/corner/deliveries")
    rows = sight.page.locator("tr[data-href]")
    rows.first.focus()
    sight.page.keyboard.press("ArrowDown")
    sight.page.keyboard.press("Enter")
    sight.page.wait_for_url(re.compile(r"/deliveries/\d+$"))
    assert sight.page.locator("button:has-text('Try out')").count() == 0, "a viewer changes nothing"


def test_a_corrected_secret_lets_the_quarantine_in(house: House, sight: Sight) -> None:
    hub = house.hub
    channel = hub.add_channel("generic_pos", {"webhook_secret": OTHER}, "Till")
    for n in range(2):
        assert send(hub, channel, f"m{n}", signed.till_sale(n, "0912345678", 90_000)) == 401
    sight.go("/p/corner/quarantine")
    sight.check("quarantine")
    with hub.runtime.sessions.begin() as session:
        secret = signed.SETTINGS["generic_pos"]["webhook_secret"]
        change_channel(session, hub.runtime, channel, {"webhook_secret": secret}, actor="test")
    sight.page.reload()
    assert sight.page.locator(".badge.hub-green").count() == 2
    sight.page.locator("main details").first.evaluate("e => e.open = true")
    sight.check("quarantine-verifies")
    sight.page.locator("button[name=which][value=all]").click()
    sight.page.wait_for_selector(".alert-success")
    sight.check("quarantine-empty")
    hub.work()
    assert hub.balance(phone="+84912345678") == 18


def test_every_page_is_there_before_anything_has_happened(sight: Sight) -> None:
    for name in ("deliveries", "replays", "quarantine"):
        sight.go(f"/p/corner/{name}")
        assert sight.page.locator(".empty").count() == 1
        sight.check(f"{name}-empty")
