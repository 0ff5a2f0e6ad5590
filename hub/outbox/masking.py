"""What of a message may be shown, and what of an exchange may be stored: no signatures, tokens, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASKED = "•••"
_SECRET_HEADERS = re.compile(
    r"signature|hmac|authorization|cookie|token|secret|api-?key|password", re.IGNORECASE
)
_SECRET_PAIRS = re.compile(
    r"""(?ix)
    (["']? \b (?: [a-z_]*secret | [a-z_]*token | password | consumer_key | api_?key | oauth_signature ) ["']?
       \s* [:=] \s*)          # "access_token": or access_token=
    (?: "[^"]*" | '[^']*' | [^\s&,;}"']+ )
    """
)
_OF_PEOPLE = re.compile(
    r"""(?ix)
    (["']? \b (?: [a-z_]*e-?mail(?:_?address(?:es)?)? | [a-z_]*phone(?:_?number)? | mobile | (?:first|last|full|display|
       middle|sur|family|given|user|nick|customer|contact|billing|shipping) _?-? name | username | address_?[12]? |
       street | city | zip | zip_?code | post_?code | postal_?code | birth_?(?:day|date) | date_?of_?birth | dob |
       [a-z_]*ip_?address | card_?(?:number|code) ) ["']? \s* [:=] \s*)
    (?! null \b | ["']{2} | [\[{] )
    (?: " (?: [^"\\] | \\. )* (?: " | \\? \Z ) | ' [^']* (?: ' | \Z ) | [^\s&,;}"'\]]+ )
    """
)
"""Fields that are named like something of a person; a text that was cut may end within one."""
_ADDRESS = re.compile(r"[\w.+'-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])(?:\+|%2B)[1-9]\d{7,14}(?!\d)", re.IGNORECASE)
"""A telephone number as E.164 writes it."""
_LEAST = 8
"""A secret shorter than this is no secret, and its letters stand in other words."""


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """The headers with what signs or opens something masked; its length still tells a cut."""
    return {
        name: f"{MASKED} ({len(value)})" if _SECRET_HEADERS.search(name) else value
        for name, value in given.items()
    }


def text(given: str, secrets: Iterable[str] = ()) -> str:
    """A request or an answer without the channel's own secrets, and without the values of fields
    that are named like one."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _LEAST:
            given = given.replace(secret, MASKED)
    return _SECRET_PAIRS.sub(lambda found: f"{found[1]}{MASKED}", given)


def kept(given: str, secrets: Iterable[str] = ()) -> str:
    """A request or an answer as it is stored with an attempt: no secrets, and nothing by which a person could be
    named or reached. Ids stay, so that one can be found in the shop."""
    shown = _OF_PEOPLE.sub(lambda found: f"{found[1]}{MASKED}", text(given, secrets))
    return _NUMBER.sub(MASKED, _ADDRESS.sub(MASKED, shown))
