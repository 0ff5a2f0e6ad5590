from __future__ import annotations

from pathlib import Path

import pytest

from hub.imports import format as format_
from hub.imports.columns import UnknownColumn, chosen, guess


def named(headings: list[str], **columns: str) -> dict[str, str]:
    of = chosen(guess(headings), headings, columns).of
    return {field: headings[number] for field, number in of.items()}


def test_headings_are_known_by_what_they_say() -> None:
    assert named(["E-Mail", "First Name", "Last Name", "POINTS balance", "Whatever"]) == {
        "email": "E-Mail",
        "name": "First Name",
        "last_name": "Last Name",
        "points": "POINTS balance",
    }
    assert named(["Số điện thoại", "Tên khách hàng", "Điểm hiện tại", "Ngày sinh"]) == {
        "phone": "Số điện thoại",
        "name": "Tên khách hàng",
        "points": "Điểm hiện tại",
        "birthday": "Ngày sinh",
    }


def test_a_person_chooses_otherwise() -> None:
    headings = ["Email", "Balance", "Approved"]
    assert named(headings)["points"] == "Balance"
    assert named(headings, points="approved") == {"email": "Email", "points": "Approved"}
    assert named(headings, points="") == {"email": "Email"}
    assert named(headings, card="email") == {"card": "Email", "points": "Balance"}


@pytest.mark.parametrize(("field", "heading"), [("points", "Nope"), ("nose", "Email")])
def test_what_is_not_there_is_named(field: str, heading: str) -> None:
    with pytest.raises(UnknownColumn, match=r"it has: Email|there are: email"):
        named(["Email", "Balance"], **{field: heading})


def test_every_format_that_comes_with_the_hub_is_sound() -> None:
    there = {one.name: one for one in format_.all_of()}
    assert {"smile", "marsello", "loyaltylion", "kiotviet", "sapo"} <= set(there)
    for one in there.values():
        headings = [names[0] for names in one.headings.values()]
        found = guess(headings, one.headings).of
        assert found == {field: number for number, field in enumerate(one.headings)}, one.name


@pytest.mark.parametrize(
    "text",
    [
        "days = 'ydm'",
        "label = 5",
        "[headings]\nnose = ['x']",
        "[headings]\npoints = [1]",
        "colour = 'red'",
        "x =",
    ],
)  # fmt: skip
def test_a_format_that_nobody_understands_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(format_.BadFormat, match=r"own.toml"):
        format_.named("own", tmp_path)


@pytest.mark.parametrize("name", ["nope", "../smile", "", "README"])
def test_a_format_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(format_.BadFormat, match=r"there is no format .*there are: kiotviet"):
        format_.named(name)
