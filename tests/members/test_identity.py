"""Phones, e-mails and cards as people write them end as one key, or as none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.canonical import CustomerRef
from hub.members.identity import MAX_LENGTH, Identity, card, email, identities, phone

CASES = json.loads((Path(__file__).parents[1] / "data" / "e164.json").read_text())
NUMBERS = [case for kind in ("peer_tests", "example_numbers", "vn_forms") for case in CASES[kind]]


@pytest.mark.parametrize("case", NUMBERS, ids=lambda c: f"{c['default_region']} {c['input']}")
def test_a_number_is_what_the_library_of_its_rules_says(case: dict[str, Any]) -> None:
    """One peer's test (Mexico) does not agree with today's numbering plan; the library's answer counts."""
    said = case.get("library_says", {"e164": case["expect"], "valid": True})
    expected = said["e164"] if said.get("valid") else None
    assert phone(case["input"], case["default_region"]) == expected


@pytest.mark.parametrize("group", CASES["same_customer_groups"], ids=lambda g: g[0])
def test_spellings_of_one_number_are_one_customer(group: list[str]) -> None:
    assert len({phone(spelling, "VN") for spelling in group}) == 1
    assert phone(group[0], "VN") is not None


@pytest.mark.parametrize(
    "text", ["", " ", "123", "x" * 41, "0162 123 4567", "0912345678 / 0987654321", "+999 12"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert phone(text, "VN") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Ann@Example.COM ", "ann@example.com"),
        ("ann+tea@example.com", "ann+tea@example.com"),
        ("ａnn@example.com", "ann@example.com"),
        ("ann", None),
        ("ann@example", None),
        ("@example.com", None),
        ("ann @example.com", None),
        (f"{'a' * MAX_LENGTH}@example.com", None),
    ],
)
def test_an_address_is_compared_in_lower_case_or_is_none(text: str, expected: str | None) -> None:
    assert email(text) == expected


def test_cards_are_compared_without_case_and_blanks() -> None:
    assert card(" ab 12\tcd ") == card("AB12CD") == "AB12CD"
    assert len(card("x" * 999)) == MAX_LENGTH


def test_keys_come_strongest_first_each_once_and_without_what_is_none() -> None:
    ref = CustomerRef(
        external_id="7",
        phones=("0912345678", "+84 912 345 678", "nonsense"),
        emails=("ann@example.com", "nowhere"),
        cards=("c1",),
        staff_claim="c2",
    )
    assert identities(ref, channel_id=5, region="VN") == [
        Identity("card", 0, "C2"),
        Identity("customer", 5, "7"),
        Identity("card", 0, "C1"),
        Identity("phone", 0, "+84912345678"),
        Identity("email", 0, "ann@example.com"),
    ]


def test_a_message_may_say_which_country_its_numbers_are_of() -> None:
    ref = CustomerRef(phones=("(202) 555-0143",), country="us")
    assert identities(ref, channel_id=1, region="VN") == [Identity("phone", 0, "+12025550143")]


def test_a_member_named_by_staff_is_no_card() -> None:
    assert identities(CustomerRef(staff_claim="mem_1"), channel_id=1, region="VN") == []
