"""Secrets at rest: the channels' settings, encrypted with keys that live outside the database."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hub.errors import Refusal
from hub.i18n import gettext as _


class SecretsError(Refusal):
    """Keys are missing or do not fit; the message is a sentence that names what to do."""


class Secrets:
    """Encrypts small dicts. The first key encrypts, all of them decrypt (MultiFernet:
    https://cryptography.io/en/latest/fernet/), so a key is changed by putting a new one first,
    calling `rotate` on every row (`hub.rekeying`), and then taking the old one away."""

    def __init__(self, keys: Sequence[str], again: Callable[[], Sequence[str]] | None = None) -> None:
        """`keys` are Fernet keys (44 characters). `again` reads them anew: a process that runs while the
        key is changed takes the new one up before it encrypts, and when it meets what the keys it has
        do not open. Raises `SecretsError`."""
        self._again = again
        self._take(keys)

    def _take(self, keys: Sequence[str]) -> None:
        if not keys:
            raise SecretsError(_("there is no encryption key"))
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SecretsError(_("an encryption key is not a Fernet key (44 characters)")) from None
        self._keys = list(keys)

    def _refresh(self) -> bool:
        """Whether there are other keys now; what cannot be read leaves those that are known."""
        if self._again is None:
            return False
        try:
            keys = list(self._again())
        except SecretsError:
            return False
        if keys == self._keys:
            return False
        self._take(keys)
        return True

    def is_newest(self, token: bytes) -> bool:
        """Whether the first key alone opens this."""
        try:
            Fernet(self._keys[0]).decrypt(token)
        except InvalidToken:
            return False
        return True

    def derived(self, purpose: str) -> list[str]:
        """A further secret for each key, the encrypting one's first: what is signed with one of them
        can be checked as long as its key is there."""
        return [hmac.new(key.encode(), purpose.encode(), sha256).hexdigest() for key in self._keys]

    def encrypt(self, secret: Mapping[str, Any]) -> bytes:
        """The secret as a token to store."""
        self._refresh()
        return self._fernet.encrypt(json.dumps(secret, ensure_ascii=False).encode())

    def decrypt(self, token: bytes) -> dict[str, Any]:
        """The stored secret. Raises `SecretsError` when none of the keys fits."""
        try:
            found: dict[str, Any] = json.loads(self._fernet.decrypt(token))
        except InvalidToken:
            if self._refresh():
                return self.decrypt(token)
            raise SecretsError(_NO_KEY_FITS) from None
        return found

    def rotate(self, token: bytes) -> bytes:
        """The same secret encrypted with the first key. Raises `SecretsError`."""
        try:
            return self._fernet.rotate(token)
        except InvalidToken:
            raise SecretsError(_NO_KEY_FITS) from None


_NO_KEY_FITS = (
    "a stored secret cannot be read with the present keys; put the key it was encrypted with back "
    "into HUB_KEYS or the keys file (`hub restore` brings it from a backup), or enter the channel's "
    "secrets anew"
)


def load_keys(given: Sequence[str], file: Path, *, create: bool = False) -> list[str]:
    """The keys: those given, else those of the file (one a line, # begins a comment). With `create`
    a missing file is made with one new key, readable by us alone. Raises `SecretsError`."""
    if given:
        return list(given)
    if create:
        _make(file)
    try:
        lines = file.read_text(encoding="ascii").splitlines()
        others = file.stat().st_mode & 0o077
    except FileNotFoundError:
        raise SecretsError(
            _("there are no encryption keys: {file} is missing; start the hub once", file=file)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsError(
            _(
                "the keys file {file} cannot be read ({error})",
                file=file,
                error=type(error).__name__,
            )
        ) from None
    if others:
        raise SecretsError(_("the keys file {file} is open to other users; chmod 600 {file}", file=file))
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise SecretsError(_("the keys file {file} holds no key; restore it from a backup", file=file))
    return keys


def replace_keys(keys: Sequence[str], file: Path) -> None:
    """Write other keys in the place of the present ones, whole or not at all, readable by us alone. The
    caller sees to it that nothing is lost with those that go."""
    unfinished = file.with_name(f"{file.name}.{token_hex(6)}.new")
    write_keys(keys, unfinished)
    os.replace(unfinished, file)


def write_keys(keys: Sequence[str], file: Path) -> None:
    """Write a new keys file, whole or not at all. Raises `FileExistsError`: keys are never
    overwritten, what they encrypted would be lost."""
    text = "# Keys of the channels' secrets. Without them the secrets in the database are lost.\n"
    text += "".join(f"{key}\n" for key in keys)
    unfinished = file.with_name(f"{file.name}.{token_hex(6)}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(unfinished, file)
    finally:
        unfinished.unlink()


def _make(file: Path) -> None:
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_keys([Fernet.generate_key().decode()], file)
    except FileExistsError:
        return  # another process was quicker, and its key is the one
    except OSError as error:
        raise SecretsError(
            _("the keys file {file} cannot be made ({error})", file=file, error=error.strerror)
        ) from None
