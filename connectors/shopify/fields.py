"""Marshmallow fields for Shopify's way of writing ids, times and money.

They override `deserialize`, not `_deserialize`: an order has about a hundred values, and the
generic path (missing, null, validators, transformers) would cost more than the parsing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields
from marshmallow.constants import missing

from hub.money import MINOR_UNITS, NotMoney, decimal_amount

_GID = re.compile(r"gid://shopify/[A-Za-z]+/([0-9]{1,19})(?:\?.*)?")
_DIGITS = re.compile(r"[0-9]{1,19}")
_CODE = re.compile(r"[A-Z]{3,4}")
_LONGEST_TEXT = 1024


class Amount(NamedTuple):
    """One amount as Shopify writes it: the plain value and the two halves of its `_set`."""

    plain: Decimal | None
    shop: Decimal | None = None
    currency: str | None = None
    """Of the shop half."""
    presentment: Decimal | None = None
    presentment_currency: str | None = None

    def shop_value(self, currency: str) -> Decimal | None:
        """The amount in the shop's currency, None when the message does not tell.

        The shop half of the `_set` counts. Payloads before 2019 fill it wrongly (currency "XXX",
        or the price of one unit where the line has two); it is then recognised by disagreeing with
        the plain value, which REST documents as being in the shop's currency:
        https://shopify.dev/docs/api/admin-rest/latest/resources/order
        """
        if self.shop is None or self.plain is None:
            return self.plain if self.shop is None else self.shop
        trusted = self.currency == currency and self.plain in (self.shop, self.presentment)
        return self.shop if trusted else self.plain


class Lenient(fields.Field[Any]):
    """A field that is None when it is absent or null."""

    def __init__(self, *, required: bool = False, data_key: str | None = None) -> None:
        super().__init__(required=required, allow_none=not required, data_key=data_key)

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **_: Any
    ) -> Any:
        """The value, or None; `required` refuses both absence and null."""
        return self.find(value, attr or "", data or {})

    def find(self, value: Any, _key: str, _data: Mapping[str, Any], /) -> Any:
        """What stands at `key` of `data`; `value` is `missing` where nothing does."""
        if value is None or value is missing:
            if self.required:
                raise ValidationError("is missing" if value is missing else "is null")
            return None
        return self.read(value)

    def read(self, value: Any) -> Any:
        """Turn a value that is present into ours; `ValidationError` when it cannot be."""
        raise NotImplementedError


class Text(Lenient):
    """A text, stripped; "" becomes None (or is refused) and an absurdly long one is cut."""

    def read(self, value: Any) -> str | None:
        if type(value) is not str:
            raise ValidationError("is not a text")
        text = value.strip()[:_LONGEST_TEXT]
        if self.required and not text:
            raise ValidationError("is empty")
        return text or None


class TextsOf(Lenient):
    """An object of which we read some texts (an address), as a dict of those that say something.
    One field instead of a schema of eleven."""

    def __init__(self, *keys: str, data_key: str | None = None) -> None:
        super().__init__(data_key=data_key)
        self.keys = keys

    def read(self, value: Any) -> dict[str, str]:
        if type(value) is not dict:
            raise ValidationError("is not an object")
        found = {}
        for key in self.keys:
            text = value.get(key)
            if not text and (text is None or text == ""):
                continue
            if type(text) is not str:
                raise ValidationError({key: ["is not a text"]})
            if stripped := text.strip():
                found[key] = stripped[:_LONGEST_TEXT]
        return found


class Id(Lenient):
    """A 64-bit id (number, digits, or `gid://shopify/Order/1`) as digits."""

    def read(self, value: Any) -> str | None:
        if type(value) is int and value >= 0:
            return str(value)
        if value == "" and not self.required:
            return None
        return _id_of(value)


class Gid(Lenient):
    """A GraphQL id, kept whole: of discounts the type matters (code or automatic)."""

    def read(self, value: Any) -> str:
        if type(value) is not str or not _GID.fullmatch(value):
            raise ValidationError("is no Shopify GraphQL id")
        return value


class Ref(Lenient):
    """The id inside an object (`{"id": "gid://..."}`), for GraphQL's references."""

    def read(self, value: Any) -> str:
        if type(value) is not dict:
            raise ValidationError("is not an object")
        return _id_of(value.get("id"))


class Flag(Lenient):
    """true or false."""

    def read(self, value: Any) -> bool:
        if type(value) is not bool:
            raise ValidationError("is neither true nor false")
        return value


class Count(Lenient):
    """A whole number of pieces, zero or more."""

    def read(self, value: Any) -> int:
        if type(value) is not int or value < 0:
            raise ValidationError("is no whole number of zero or more")
        return value


class Time(Lenient):
    """An ISO 8601 time with its offset, as aware UTC."""

    def read(self, value: Any) -> datetime:
        try:
            time = datetime.fromisoformat(value)
            if time.tzinfo is None:
                raise ValidationError("has no time zone")
            return time.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            raise ValidationError("is no ISO 8601 time") from None


class Currency(Lenient):
    """An ISO 4217 code. Shopify writes "XXX" where an old payload knows none: None."""

    def read(self, value: Any) -> str | None:
        if value == "XXX":
            return None
        if type(value) is not str or value not in MINOR_UNITS:
            raise ValidationError("is no ISO 4217 currency")
        return value


class RestMoney(Lenient):
    """`price` with `price_set` beside it, as one `Amount`; None when neither is there."""

    def find(self, _value: Any, key: str, data: Mapping[str, Any], /) -> Amount | None:
        amount = _rest_amount(data, key)
        if amount is None and self.required:
            raise ValidationError("is missing")
        return amount


class SetMoney(Lenient):
    """A `_set` with no plain value beside it (duties, fees)."""

    def read(self, value: Any) -> Amount:
        return _bag(None, value, "shop_money", "presentment_money", "currency_code")


class RestMoneys(Lenient):
    """The amounts of a list of objects: `RestMoneys("amount")` reads `[{"amount", "amount_set"}]`."""

    def __init__(self, inner: str, *, data_key: str | None = None) -> None:
        super().__init__(data_key=data_key)
        self.inner = inner

    def read(self, value: Any) -> list[Amount]:
        found = []
        for index, item in enumerate(_objects(value)):
            try:
                amount = _rest_amount(item, self.inner)
            except ValidationError as error:
                raise ValidationError({index: {self.inner: error.messages}}) from None
            if amount is not None:
                found.append(amount)
        return found


class PlainMoney(Lenient):
    """An amount in the buyer's currency, named beside it: `{"amount": "5.00", "currency": "USD"}`.
    Transactions are the one place where REST writes presentment money without a `_set`."""

    def find(self, value: Any, _key: str, data: Mapping[str, Any], /) -> Amount | None:
        if value is None or value is missing:
            return None
        currency = data.get("currency")
        if currency is not None and (type(currency) is not str or not _CODE.fullmatch(currency)):
            raise ValidationError("has a currency that is no currency code")
        named = None if currency == "XXX" else currency
        return Amount(None, presentment=_decimal(value), presentment_currency=named)


class Bag(Lenient):
    """A GraphQL `MoneyBag`."""

    def read(self, value: Any) -> Amount:
        return _bag(None, value, "shopMoney", "presentmentMoney", "currencyCode")


class Bags(Lenient):
    """The `MoneyBag`s of a list of objects: `Bags("priceSet")`."""

    def __init__(self, inner: str, *, data_key: str | None = None) -> None:
        super().__init__(data_key=data_key)
        self.inner = inner

    def read(self, value: Any) -> list[Amount]:
        found = []
        for index, item in enumerate(_objects(value)):
            try:
                bag = item.get(self.inner)
                found.append(_bag(None, bag, "shopMoney", "presentmentMoney", "currencyCode"))
            except ValidationError as error:
                raise ValidationError({index: {self.inner: error.messages}}) from None
        return found


class Texts(Lenient):
    """A list of texts, empty ones left out; with `inner`, of objects that hold them."""

    def __init__(self, inner: str | None = None, *, data_key: str | None = None) -> None:
        super().__init__(data_key=data_key)
        self.inner = inner

    def read(self, value: Any) -> list[str]:
        items: Iterable[Any] = _list(value)
        if self.inner is not None:
            items = [item.get(self.inner) for item in _objects(value)]
        found = []
        for index, item in enumerate(items):
            if item is None:
                continue
            if type(item) is not str:
                raise ValidationError({index: ["is not a text"]})
            if item.strip():
                found.append(item.strip()[:_LONGEST_TEXT])
        return found


def _rest_amount(data: Mapping[str, Any], key: str) -> Amount | None:
    value, bag = data.get(key), data.get(key + "_set")
    plain = None if value is None else _decimal(value)
    if bag is not None:
        return _bag(plain, bag, "shop_money", "presentment_money", "currency_code")
    return None if plain is None else Amount(plain)


def _bag(plain: Decimal | None, bag: Any, shop: str, presentment: str, code: str) -> Amount:
    if type(bag) is not dict:
        raise ValidationError("has a _set that is not an object")
    amount, currency = _half(bag.get(shop), code)
    shown, shown_currency = _half(bag.get(presentment), code)
    if plain is None and amount is None:
        raise ValidationError("has a _set without an amount in the shop's currency")
    return Amount(plain, amount, currency, shown, shown_currency)


def _half(half: Any, code: str) -> tuple[Decimal | None, str | None]:
    if half is None:
        return None, None
    if type(half) is not dict:
        raise ValidationError("has a _set whose half is not an object")
    amount, currency = half.get("amount"), half.get(code)
    if currency is not None and type(currency) is not str:
        raise ValidationError("has a currency that is not a text")
    return (None if amount is None else _decimal(amount)), currency


def _decimal(value: Any) -> Decimal:
    if type(value) not in (str, int, Decimal):
        raise ValidationError("is no amount of money")
    try:
        return decimal_amount(value)
    except NotMoney as error:
        raise ValidationError(str(error)) from None


def _id_of(value: Any) -> str:
    if type(value) is str:
        if _DIGITS.fullmatch(value):
            return value
        if found := _GID.fullmatch(value):
            return found[1]
    raise ValidationError("is no Shopify id")


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise ValidationError("is not a list")
    return value


def _objects(value: Any) -> list[dict[str, Any]]:
    for index, item in enumerate(_list(value)):
        if type(item) is not dict:
            raise ValidationError({index: ["is not an object"]})
    return _list(value)
