from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from hub.secrets import Secrets, SecretsError, load_keys, write_keys

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRET = {"webhook_secret": "s3cret", "note": "Cà phê"}


def test_what_was_encrypted_can_be_read_again() -> None:
    assert Secrets([OLD]).decrypt(Secrets([OLD]).encrypt(SECRET)) == SECRET


def test_nothing_of_the_secret_shows_in_the_token() -> None:
    assert b"s3cret" not in Secrets([OLD]).encrypt(SECRET)


def test_a_new_first_key_still_reads_what_the_old_one_wrote() -> None:
    assert Secrets([NEW, OLD]).decrypt(Secrets([OLD]).encrypt(SECRET)) == SECRET


def test_after_rotation_the_old_key_can_go() -> None:
    rotated = Secrets([NEW, OLD]).rotate(Secrets([OLD]).encrypt(SECRET))
    assert Secrets([NEW]).decrypt(rotated) == SECRET


@pytest.mark.parametrize("act", [Secrets.decrypt, Secrets.rotate])
def test_a_key_that_does_not_fit_is_a_sentence_that_says_what_to_do(
    act: Callable[[Secrets, bytes], object],
) -> None:
    with pytest.raises(SecretsError, match=r"put the key .* back into HUB_KEYS"):
        act(Secrets([NEW]), Secrets([OLD]).encrypt(SECRET))


@pytest.mark.parametrize("keys", [[], ["short"], ["é" * 44]])
def test_unusable_keys_are_refused_without_repeating_them(keys: list[str]) -> None:
    with pytest.raises(SecretsError) as refusal:
        Secrets(keys)
    assert "short" not in str(refusal.value)


def test_the_first_start_makes_a_key_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys"
    keys = load_keys((), file, create=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_keys((), file, create=True) == keys == load_keys((), file)
    assert Secrets(keys).decrypt(Secrets(keys).encrypt(SECRET)) == SECRET


def test_two_first_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    found: list[list[str]] = []
    ready = threading.Barrier(8)

    def start() -> None:
        ready.wait()
        found.append(load_keys((), tmp_path / "keys", create=True))

    starters = [threading.Thread(target=start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(found) == 8
    assert all(keys == found[0] for keys in found)


def test_keys_that_are_given_touch_no_file(tmp_path: Path) -> None:
    assert load_keys([NEW], tmp_path / "keys", create=True) == [NEW]
    assert list(tmp_path.iterdir()) == []


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    write_keys([OLD], tmp_path / "keys")
    with pytest.raises(FileExistsError):
        write_keys([NEW], tmp_path / "keys")
    assert load_keys((), tmp_path / "keys") == [OLD]
    assert [p.name for p in tmp_path.iterdir()] == ["keys"]


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="is missing; start the hub once"):
        load_keys((), tmp_path / "keys")


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    write_keys([OLD], tmp_path / "keys")
    (tmp_path / "keys").chmod(0o640)
    with pytest.raises(SecretsError, match="open to other users; chmod 600"):
        load_keys((), tmp_path / "keys")


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"\xff\xfe"])
def test_a_file_without_keys_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").write_bytes(content)
    (tmp_path / "keys").chmod(0o600)
    with pytest.raises(SecretsError, match=r"holds no key|cannot be read"):
        load_keys((), tmp_path / "keys")
