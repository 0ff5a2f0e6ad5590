"""Passwords: argon2id hashes, compared in the same time whether the account exists or not."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hub.errors import Refusal
from hub.i18n import gettext as _

SHORTEST, LONGEST = 10, 200
"""In characters. NIST SP 800-63B: length counts, rules about kinds of characters do not."""

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_hasher = PasswordHasher()
_turn = threading.BoundedSemaphore(2)
"""Each hash takes 64 MB and a core: more than two at once in a process only queue here."""


class PasswordRefused(Refusal):
    """The password cannot be used; the message is a sentence."""


def hashed(password: str) -> str:
    """The hash to store. Raises `PasswordRefused`."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(
            _("A password has {least} to {most} characters.", least=SHORTEST, most=LONGEST)
        )
    with _turn:
        return _hasher.hash(_normal(password))


def fits(password: str, stored: str | None) -> bool:
    """Whether the password is the one of the hash; None stands for an account that is not there,
    and takes as long."""
    with _turn:
        try:
            _hasher.verify(stored or _nobody(), _normal(password[: LONGEST + 1]))
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None and len(password) <= LONGEST


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def generated() -> str:
    """A password for a first login: four groups of five, 99 bits, without letters that look alike."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


def _normal(password: str) -> str:
    """Keyboards write ế as one character or as three; both are the same password."""
    return unicodedata.normalize("NFKC", password)
