from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from hub.imports import values
from hub.imports.values import Order, Unreadable


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("120", 120), ("1,250", 1250), ("1.250", 1250), ("1 250 000", 1250000), ("120.00", 120), ("+5", 5),
        ("-3", -3), ("0", 0),
    ],
)  # fmt: skip
def test_whole_numbers_of_many_countries_are_read(text: str, number: int) -> None:
    assert values.whole(text) == number


@pytest.mark.parametrize(
    "text", ["", "12.5", "1,25", "1,2500", "NaN", "1e3", "0x10", "99999999999999999999", "١٢a", "--1"]
)
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        values.whole(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1250000", "1250000"), ("1,250,000.50", "1250000.50"), ("1.250.000,50", "1250000.50"), ("19.90", "19.90"),
        ("19,90", "19.90"), ("1.250.000 ₫", "1250000"), ("$1,250", "1250"), ("1 250,5", "1250.5"),
    ],
)  # fmt: skip
def test_amounts_of_many_countries_are_read(text: str, amount: str) -> None:
    assert values.amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "free", "1e9", "1.2.3,4,5x", "NaN", "Infinity"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        values.amount(text)


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("2027-01-31", "dmy", date(2027, 1, 31)),
        ("31/01/2027", "dmy", date(2027, 1, 31)),
        ("01/31/2027", "mdy", date(2027, 1, 31)),
        ("2027/1/5 10:22", "ymd", date(2027, 1, 5)),
        ("2027-01-31T00:00:00Z", "ymd", date(2027, 1, 31)),
    ],
)
def test_days_are_read_in_their_order(text: str, order: Order, day: date) -> None:
    assert values.day(text, order) == day


@pytest.mark.parametrize(
    ("text", "order"), [("31/01/2027", "ymd"), ("31/13/2027", "dmy"), ("1/2/27", "dmy"), ("soon", "ymd")]
)
def test_a_day_that_is_not_there_or_not_sure_is_refused(text: str, order: Order) -> None:
    with pytest.raises((Unreadable, ValueError), match=r"month|soon|/"):
        values.day(text, order)


def test_days_tell_their_own_order_where_one_number_is_over_twelve() -> None:
    assert values.order_of(["01/02/2027", "31/01/2027"], "mdy") == "dmy"
    assert values.order_of(["01/02/2027", "01/31/2027"], "dmy") == "mdy"
    assert values.order_of(["01/02/2027", "2027-03-04"], "dmy") == "dmy"
