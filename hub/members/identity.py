"""What a message calls a person, made comparable: phones in E.164, e-mails in lower case."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from hub.canonical import CustomerRef, IdentityKind

MAX_LENGTH = 200


class Identity(NamedTuple):
    """One comparable key of a person. `scope` is the channel's id for its own customer ids, else 0.

    A tuple, since thousands are hashed and sorted in each batch."""

    kind: str
    scope: int
    value: str


def identities(ref: CustomerRef, *, channel_id: int, region: str) -> list[Identity]:
    """The keys a message gives, strongest first: staff claim, the channel's customer id, card,
    phone, e-mail (rules.md A3). What is no valid phone or e-mail is left out."""
    country = (ref.country or region).upper()
    found = []
    if ref.staff_claim and not ref.staff_claim.startswith("mem_"):
        found.append(Identity(IdentityKind.CARD.value, 0, card(ref.staff_claim)))
    if ref.external_id:
        found.append(Identity(IdentityKind.CUSTOMER.value, channel_id, ref.external_id))
    found += [Identity(IdentityKind.CARD.value, 0, card(code)) for code in ref.cards]
    phones = (phone(text, country) for text in ref.phones)
    found += [Identity(IdentityKind.PHONE.value, 0, number) for number in phones if number]
    emails = (email(text) for text in ref.emails)
    found += [Identity(IdentityKind.EMAIL.value, 0, address) for address in emails if address]
    return [i for i in dict.fromkeys(found) if i.value]


def digest(kind: str, scope: int, value: str) -> str:
    """A key to compare with, not to read."""
    return hashlib.sha256(f"{kind}:{scope}:{value}".encode()).hexdigest()[:32]


@lru_cache(maxsize=20_000)
def phone(text: str, region: str) -> str | None:
    """E.164 (+84912345678) of a number as people write it in that region; None when it is none."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain or len(plain) > 40:
        return None
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str) -> str | None:
    """The address in lower case; None when it cannot be one."""
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    name, at, host = plain.rpartition("@")
    if not (name and at and "." in host) or len(plain) > MAX_LENGTH or " " in plain:
        return None
    return plain


def card(text: str) -> str:
    """Card codes are compared without case and blanks: they are typed."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()[:MAX_LENGTH]
