from __future__ import annotations

import re
import time
import unicodedata

import pytest

from hub.users import passwords
from hub.users.passwords import PasswordRefused, fits, hashed

GOOD = "mười quả xoài chín"


@pytest.fixture(scope="module")
def stored() -> str:
    return hashed(GOOD)


def test_the_hash_is_argon2id_and_opens_with_its_password_alone(stored: str) -> None:
    assert stored.startswith("$argon2id$")
    assert fits(GOOD, stored)
    assert not fits(GOOD + " ", stored)
    assert not fits("", stored)


def test_a_keyboard_that_writes_accents_apart_is_no_other_password(stored: str) -> None:
    apart = unicodedata.normalize("NFD", GOOD)
    assert apart != GOOD
    assert fits(apart, stored)


@pytest.mark.parametrize("password", ["", "nine char", "x" * 201])
def test_too_short_and_too_long_are_refused(password: str) -> None:
    with pytest.raises(PasswordRefused, match="10 to 200"):
        hashed(password)


def test_an_overlong_guess_costs_no_more_and_never_fits() -> None:
    longest = "x" * 200
    assert not fits(longest + "y" * 1_000_000, hashed(longest))


def test_an_account_that_is_not_there_takes_as_long(stored: str) -> None:
    """Or the time would tell who has an account. Measured roughly: a missing hash takes no time."""

    def seconds(of: str | None) -> float:
        began = time.perf_counter()
        for _ in range(3):
            assert not fits("not the password", of)
        return time.perf_counter() - began

    fits("warm", None)
    assert seconds(None) > seconds(stored) / 3


def test_what_is_stored_and_is_no_hash_fits_nothing() -> None:
    assert not fits("no password fits", "no password fits")


def test_generated_passwords_are_long_and_readable() -> None:
    found = {passwords.generated() for _ in range(50)}
    assert len(found) == 50
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{5}-){3}[a-hjkmnp-z2-9]{5}", one) for one in found)
