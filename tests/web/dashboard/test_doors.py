"""Every page says whom it lets in, and lets nobody else: the whole map of addresses is walked."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from werkzeug.routing import Rule

from hub.users.rights import RIGHTS, ROLES, Right
from hub.web.dashboard import visit
from tests.desks import Office

UNKNOWN = "dlv_0000000000000000"
PUBLIC = {"login", "log_in", "log_out", "choose_language", "choose_theme"}
"""What needs no login, by name: whatever is added here is seen in review."""


def rules(app: Flask, method: str = "") -> list[Rule]:
    """Every address of the dashboard, those alone that take the method."""
    found = [r for r in app.url_map.iter_rules() if r.endpoint.startswith("dashboard.")]
    assert len(found) > 8
    return [r for r in found if not method or method in (r.methods or ())]


def path(rule: Rule, slug: str) -> str:
    """The rule as an address of that program; its ids exist nowhere."""
    address = rule.rule.replace("<program>", slug)
    return re.sub(r"<int:\w+>", "999999999", re.sub(r"<(?!int:)[^>]+>", UNKNOWN, address))


def needs(rule: Rule) -> visit.Need:
    return visit.NEEDS[rule.endpoint.removeprefix("dashboard.")]


def test_every_address_says_what_it_needs(office: Office) -> None:
    for rule in rules(office.app):
        declared = needs(rule)
        in_program = rule.rule.startswith("/p/<program>")
        assert in_program == (declared not in ("anybody", "login")), rule.rule
    assert {
        r.endpoint.removeprefix("dashboard.") for r in rules(office.app) if needs(r) == "anybody"
    } == PUBLIC


def test_a_view_that_says_nothing_lets_nobody_in(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("owner")
    assert desk.get("./").status_code == 200
    monkeypatch.delitem(visit.NEEDS, "home")
    assert desk.get("./").status_code == 403


def test_get_and_post_are_apart(office: Office) -> None:
    """A GET changes nothing, so no view takes both."""
    for rule in rules(office.app):
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        assert methods in ({"GET"}, {"POST"}), (rule.rule, methods)


def test_strangers_are_sent_to_the_login_and_back(office: Office) -> None:
    client = office.app.test_client()
    for rule in rules(office.app, "GET"):
        answer = client.get(path(rule, "ours"))
        if needs(rule) != "anybody":
            assert answer.status_code == 303, rule.rule
            assert answer.location.startswith("/login?back=/"), answer.location


def test_every_post_wants_the_token(office: Office) -> None:
    desk, tried = office.desk("owner"), 0
    for rule in rules(office.app, "POST"):
        for data in ({}, {"csrf_token": "made up"}):
            answer = desk.client.post(path(rule, "ours"), data=data)
            assert answer.status_code == 400, (rule.rule, answer.status_code)
            assert "open for too long" in answer.text
            tried += 1
    assert tried >= 10


def test_another_programs_pages_are_not_there(office: Office) -> None:
    """Whoever owns everything in theirs finds nothing in ours, and cannot tell ours from nowhere."""
    desk = office.desk("owner", office.theirs)
    for rule in rules(office.app):
        if "<program>" not in rule.rule:
            continue
        ask = desk.get if "GET" in (rule.methods or ()) else desk.post
        ours, nowhere = ask(path(rule, "ours")), ask(path(rule, "nowhere"))
        assert (ours.status_code, nowhere.status_code) == (404, 404), rule.rule
        assert _plain(ours.text) == _plain(nowhere.text)


def test_every_role_is_let_in_exactly_where_it_may(office: Office) -> None:
    for role in ROLES:
        desk = office.desk(role)
        for rule in rules(office.app):
            declared = needs(rule)
            if declared in ("anybody", "login"):
                continue
            ask = desk.get if "GET" in (rule.methods or ()) else desk.post
            status = ask(path(rule, "ours")).status_code
            may = declared in RIGHTS[role]
            assert (status == 403) == (not may), (role, rule.rule, status)
            assert status < 500, (role, rule.rule)


@pytest.mark.parametrize("right", ["look", "members", "redeem", "support", "own"])
def test_the_owner_may_everything_and_a_viewer_changes_nothing(right: Right) -> None:
    assert right in RIGHTS["owner"]
    assert (right in RIGHTS["viewer"]) == (right in ("look", "members"))


def _plain(page: str) -> str:
    """A page without what differs in every answer."""
    page = re.sub(r'nonce="[^"]+"|name="csrf_token" value="[^"]+"', "", page)
    return re.sub(r'name="back" value="[^"]*"', "", page)
