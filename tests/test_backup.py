from __future__ import annotations

import json
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from hub import migrate
from hub.backup import BackupRefused, backup, read_manifest, restore
from hub.db import make_engine
from hub.embedded import Servers
from hub.migrate import MigrationRefused
from hub.secrets import load_keys
from hub.settings import Settings
from tests.servers import copied_database

A_PROGRAM = """
INSERT INTO programs (public_id, slug, name, currency, time_zone, region, starts_at)
VALUES ('prg_1', 'cafe', 'Café Sữa', 'VND', 'Asia/Ho_Chi_Minh', 'VN', '2026-01-01Z')
"""
AN_ENTRY_TOUCHED = "UPDATE entries SET amount = amount"


@pytest.fixture
def shop(database: str, tmp_path: Path) -> Settings:
    """A hub with a programme in it."""
    settings = Settings(data=tmp_path / "shop", database_url=database, redis_url="redis://unused")
    load_keys((), settings.keys_path, create=True)
    _execute(database, A_PROGRAM)
    return settings


@pytest.fixture
def empty(servers: Servers, worker_id: str, tmp_path: Path) -> Iterator[Settings]:
    """A hub that was started once and holds nothing but keys of its own."""
    with copied_database(servers, f"{worker_id}_empty") as url:
        settings = Settings(data=tmp_path / "empty", database_url=url, redis_url="redis://unused")
        load_keys((), settings.keys_path, create=True)
        yield settings


def nothing(_: Session) -> None:
    """There was no push to settle."""


def test_what_was_backed_up_comes_back(shop: Settings, empty: Settings, tmp_path: Path) -> None:
    made = backup(shop, tmp_path / "b", datetime(2026, 11, 23, tzinfo=UTC))
    assert restore(empty, tmp_path / "b", nothing) == made
    assert _programs(empty.database_url) == ["Café Sữa"]
    assert made.made_at == "2026-11-23T00:00:00+00:00"


def test_the_keys_come_along_and_read_what_the_old_hub_encrypted(
    shop: Settings, empty: Settings, tmp_path: Path
) -> None:
    theirs, ours = load_keys((), shop.keys_path), load_keys((), empty.keys_path)
    backup(shop, tmp_path / "b")
    restore(empty, tmp_path / "b", nothing)
    assert load_keys((), empty.keys_path) == [*theirs, *ours]


def test_a_restored_hub_can_be_backed_up_and_restored_again(
    shop: Settings, empty: Settings, tmp_path: Path, servers: Servers, worker_id: str
) -> None:
    backup(shop, tmp_path / "b1")
    restore(empty, tmp_path / "b1", nothing)
    backup(empty, tmp_path / "b2")
    with copied_database(servers, f"{worker_id}_third") as url:
        third = replace(empty, database_url=url, data=tmp_path / "third")
        restore(third, tmp_path / "b2", nothing)
        assert _programs(url) == ["Café Sữa"]


def test_a_restored_hub_still_runs_as_a_role_that_owns_nothing(
    shop: Settings, empty: Settings, tmp_path: Path
) -> None:
    backup(shop, tmp_path / "b")
    restore(empty, tmp_path / "b", nothing)
    engine = make_engine(empty.database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM programs")).scalar_one() == 1
        with pytest.raises(Exception, match="permission denied"):
            connection.execute(text(AN_ENTRY_TOUCHED))
    engine.dispose()


def test_the_file_is_for_its_owner_alone(shop: Settings, tmp_path: Path) -> None:
    backup(shop, tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_backup_never_overwrites(shop: Settings, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(BackupRefused, match="never overwritten"):
        backup(shop, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "precious"


def test_a_backup_into_a_directory_that_is_not_there_says_so(shop: Settings, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match=f"there is no directory {tmp_path / 'nowhere'}"):
        backup(shop, tmp_path / "nowhere" / "hub.backup")


def test_a_hub_that_holds_anything_is_not_restored_over(shop: Settings, tmp_path: Path) -> None:
    backup(shop, tmp_path / "b")
    _execute(shop.database_url, "UPDATE programs SET name = 'Newer'")
    with pytest.raises(BackupRefused, match="not empty"):
        restore(shop, tmp_path / "b", nothing)
    assert _programs(shop.database_url) == ["Newer"]


def test_a_hub_that_runs_is_not_restored_into(shop: Settings, empty: Settings, tmp_path: Path) -> None:
    backup(shop, tmp_path / "b")
    running = make_engine(empty.database_url, "worker")
    with running.connect(), pytest.raises(BackupRefused, match="end it first"):
        restore(empty, tmp_path / "b", nothing)
    running.dispose()


def test_old_pushes_are_settled_before_anything_can_run(
    shop: Settings, empty: Settings, tmp_path: Path
) -> None:
    backup(shop, tmp_path / "b")

    def settle(session: Session) -> None:
        with pytest.raises(MigrationRefused, match="broken off"):
            migrate.refuse_outdated(session.get_bind().engine)
        session.execute(text("UPDATE programs SET name = 'settled'"))

    restore(empty, tmp_path / "b", settle)
    assert _programs(empty.database_url) == ["settled"]


def test_a_restore_that_was_broken_off_blocks_the_hub_until_it_is_run_again(
    shop: Settings, empty: Settings, tmp_path: Path
) -> None:
    backup(shop, tmp_path / "b")

    def killed(_: Session) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(empty, tmp_path / "b", killed)
    with pytest.raises(MigrationRefused, match="broken off"):
        migrate.upgrade(empty.database_url)
    restore(empty, tmp_path / "b", nothing)
    assert migrate.upgrade(empty.database_url) == []
    assert _programs(empty.database_url) == ["Café Sữa"]


def test_a_backup_of_a_newer_schema_is_refused(
    shop: Settings, empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(shop, tmp_path / "b")
    monkeypatch.setattr(migrate, "known_revisions", lambda: ["0000"])
    with pytest.raises(BackupRefused, match="does not know"):
        restore(empty, tmp_path / "b", nothing)


def test_a_damaged_file_is_refused_before_anything_is_touched(
    shop: Settings, empty: Settings, tmp_path: Path
) -> None:
    backup(shop, tmp_path / "b")
    whole = bytearray((tmp_path / "b").read_bytes())
    with tarfile.open(tmp_path / "b") as tar:
        whole[tar.getmember("database.dump").offset_data + 5000] ^= 1
    (tmp_path / "b").write_bytes(whole)
    with pytest.raises(BackupRefused, match="damaged"):
        restore(empty, tmp_path / "b", nothing)
    assert migrate.upgrade(empty.database_url) == []


def test_keys_from_the_environment_must_hold_those_of_the_backup(
    shop: Settings, empty: Settings, tmp_path: Path
) -> None:
    backup(shop, tmp_path / "b")
    other = replace(empty, keys=tuple(load_keys((), empty.keys_path)))
    with pytest.raises(BackupRefused, match="unset it for the restore"):
        restore(other, tmp_path / "b", nothing)
    fitting = replace(empty, keys=tuple(load_keys((), shop.keys_path)))
    assert restore(fitting, tmp_path / "b", nothing)


@pytest.mark.parametrize("content", [b"", b"no tar", None, {"format": "other/1"}, {"a": 1}, [1]])
def test_what_is_no_backup_is_refused_in_a_sentence(tmp_path: Path, content: object) -> None:
    file = tmp_path / "b"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        (tmp_path / "manifest.json").write_text(json.dumps(content))
        with tarfile.open(file, "w") as tar:
            tar.add(tmp_path / "manifest.json", "manifest.json")
    with pytest.raises(BackupRefused) as refusal:
        read_manifest(file)
    assert str(file) in str(refusal.value)


def _execute(url: str, statement: str) -> None:
    engine = make_engine(url, role=None)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _programs(url: str) -> list[str]:
    engine = make_engine(url, role=None)
    with engine.connect() as connection:
        found = list(connection.execute(text("SELECT name FROM programs")).scalars())
    engine.dispose()
    return found
