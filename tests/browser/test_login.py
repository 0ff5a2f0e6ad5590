"""Logging in and out, in a browser."""

from __future__ import annotations

from tests.browser.conftest import PASSWORD, House, Window


def test_whoever_logs_in_comes_home_and_out_again(
    house: House, window: Window, screen: tuple[str, int]
) -> None:
    sight = window(*screen)
    sight.go("/")
    assert sight.page.url.startswith(house.hub.url + "/login")
    sight.check("login")
    sight.log_in(house.email("owner"), PASSWORD)
    assert sight.page.url == house.hub.url + "/p/corner/"
    sight.check()
    sight.page.locator(".hub-own-menu").evaluate("e => e.previousElementSibling.click()")
    sight.page.locator(".hub-own-menu form[action='/logout'] button").click()
    sight.page.wait_for_url("**/login")
    sight.go("/p/corner/")
    assert "/login" in sight.page.url


def test_a_wrong_password_is_said_and_nothing_more(
    house: House, window: Window, screen: tuple[str, int]
) -> None:
    sight = window(*screen)
    sight.expected = ["401"]
    sight.log_in(house.email("owner"), "not this one at all")
    known = sight.page.locator("[role=alert]").inner_text()
    sight.check()
    sight.log_in("nobody@example.com", "not this one at all")
    assert sight.page.locator("[role=alert]").inner_text() == known
    assert sight.page.input_value("[name=email]") == "nobody@example.com"
    assert sight.page.input_value("[name=password]") == ""


def test_the_language_and_the_theme_are_switched_and_stay(window: Window) -> None:
    sight = window("en", 1280, role="viewer")
    sight.go("/p/corner/")
    sight.page.locator(".hub-own-menu").evaluate("e => e.previousElementSibling.click()")
    sight.page.get_by_role("button", name="Tiếng Việt").click()
    sight.page.wait_for_selector("html[lang=vi]")
    sight.language = "vi"
    sight.page.locator(".hub-own-menu").evaluate("e => e.previousElementSibling.click()")
    sight.page.get_by_role("button", name="Tối").click()
    sight.page.wait_for_selector("html[data-bs-theme=dark]")
    sight.go("/p/corner/")
    assert sight.page.locator("html").get_attribute("data-bs-theme") == "dark"
    sight.check("home-dark")


def test_an_address_that_is_not_there_is_a_page(window: Window, screen: tuple[str, int]) -> None:
    sight = window(*screen, role="viewer")
    sight.expected = ["404"]
    sight.go("/p/somebody-elses/")
    sight.check()
