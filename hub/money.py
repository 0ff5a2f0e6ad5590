"""Money between what shops print and integer minor units, by ISO 4217 (never CLDR).

Babel's CLDR digits differ from ISO for thirteen currencies (IQD, LAK, MGA...): they say how prices
are usually shown, not what the currency's minor unit is. Source of the table: ISO 4217 list one
published 2026-01-01, https://www.six-group.com/en/products-services/financial-information/data-standards.html
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

MAX_MINOR = 2**53
"""Amounts beyond this are refused: no JSON reader could carry them exactly."""

_CONTEXT = Context(prec=60, rounding=ROUND_HALF_UP)

_NO_MINOR_UNIT = """
    BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
"""
_TWO = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
    CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
    LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
    PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
    SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
    ZWG
"""
_THREE = """
    BHD IQD JOD KWD LYD OMR TND
"""
_FOUR = """
    CLF UYW
"""

MINOR_UNITS: dict[str, int] = {
    code: digits
    for digits, codes in ((0, _NO_MINOR_UNIT), (2, _TWO), (3, _THREE), (4, _FOUR))
    for code in codes.split()
}
"""ISO 4217 code -> number of decimals. Codes without a minor unit (XAU, XXX...) are no money here."""


class NotMoney(ValueError):
    """The text is no amount of this currency; the message is a clause that completes "the amount"."""


def minor_units(currency: str) -> int:
    """Number of decimals of a currency; `NotMoney` when it is no ISO 4217 currency."""
    try:
        return MINOR_UNITS[currency]
    except KeyError:
        raise NotMoney(f"has the currency {currency!r:.20}, which is no ISO 4217 currency") from None


def decimal_amount(value: str | int | Decimal) -> Decimal:
    """Read a plain decimal ("19.90", "-3"); thousands separators, NaN and exponents of absurd size
    are refused with `NotMoney`. Floats are not accepted: parse JSON with `parse_float=Decimal`."""
    try:
        amount = Decimal(value.strip()) if isinstance(value, str) else Decimal(value)
    except InvalidOperation:
        raise NotMoney(f"is {str(value)!r:.40}, which is no plain decimal number") from None
    if not amount.is_finite() or amount.adjusted() > 20:
        raise NotMoney(f"is {str(value)!r:.40}, which is out of range")
    return amount


def to_minor(value: str | int | Decimal, currency: str) -> int:
    """Integer minor units, rounded half-up once: for platforms that print more digits than the
    currency has (a two-decimal shop prints VND as "496800.00", and division leaves "217592.5925")."""
    digits = minor_units(currency)
    return _bounded(
        decimal_amount(value).scaleb(digits, _CONTEXT).quantize(Decimal(1), context=_CONTEXT)
    )


def to_minor_exact(value: str | int | Decimal, currency: str) -> int:
    """Integer minor units without rounding: "10.00" JPY is 10, "10.50" VND is refused."""
    digits = minor_units(currency)
    scaled = decimal_amount(value).scaleb(digits, _CONTEXT)
    if scaled != scaled.to_integral_value():
        raise NotMoney(f"is {value}, but {currency} has {digits} decimals")
    return _bounded(scaled)


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount in major units, with exactly the currency's decimals."""
    return Decimal(minor).scaleb(-minor_units(currency), _CONTEXT)


def divide_half_up(numerator: int, denominator: int) -> int:
    """Integer division rounded half away from zero: the one rounding of shares of money."""
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    quotient, rest = divmod(abs(numerator), abs(denominator))
    return sign * (quotient + (1 if 2 * rest >= abs(denominator) else 0))


def _bounded(amount: Decimal) -> int:
    if abs(amount) > MAX_MINOR:
        raise NotMoney("is out of range (more than 2^53 minor units)")
    return int(amount)
