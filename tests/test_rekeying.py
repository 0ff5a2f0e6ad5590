"""Changing the key: while the hub runs, broken off and gone on with, and nothing lost."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub import rekeying
from hub.db import make_engine, make_sessions
from hub.outbox.channels import Handle, connector_of
from hub.runtime import Runtime
from hub.secrets import Secrets, SecretsError, load_keys
from tests.hubs import Hub, running_hub

SETTINGS = {"webhook_secret": "whsec_" + "QUFB" * 8}
CHANNELS = 7


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    """A hub with seven channels that remember something, and a ledger key."""
    with running_hub(database, redis_url, tmp_path) as hub:
        assert hub.runtime.chain_key
        for n in range(CHANNELS):
            handle = Handle(hub.runtime, hub.add_channel("generic_pos", SETTINGS, f"Till {n}"))
            assert handle.save_state({"n": n}, 0)
        yield hub


def fresh(hub: Hub) -> Runtime:
    """Another process of the same hub, started now."""
    settings = hub.runtime.settings
    engine = make_engine(settings.database_url)
    keys = load_keys(settings.keys, settings.keys_path)
    return Runtime(settings, engine, make_sessions(engine), Secrets(keys))


def channels_of(runtime: Runtime) -> list[tuple[str, int]]:
    """What each channel keeps secret and remembers, as this process reads it."""
    from hub.outbox import channels

    with runtime.sessions() as session:
        ids = [
            row[0] for row in session.connection().exec_driver_sql("SELECT id FROM channels ORDER BY id")
        ]
        found = channels.by_ids(session, ids)
    return [
        (connector_of(runtime, found[i]).channel.settings["webhook_secret"], Handle(runtime, found[i]).state()[0]["n"])
        for i in ids
    ]  # fmt: skip


ALL = [(SETTINGS["webhook_secret"], n) for n in range(CHANNELS)]


def test_every_encrypted_column_of_the_schema_is_among_those_that_are_sealed_anew(hub: Hub) -> None:
    rows = hub.rows(
        """SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
           AND data_type = 'bytea' AND (column_name LIKE '%%seal%%' OR column_name LIKE '%%secret%%')
           AND column_name NOT LIKE '%%hash%%'"""
    )
    assert {(r.table_name, r.column_name) for r in rows} == {
        (s.table, s.column) for s in rekeying.SEALED
    }


def test_after_the_change_the_new_key_alone_opens_everything(hub: Hub) -> None:
    file = hub.runtime.settings.keys_path
    (old,) = load_keys((), file)
    chain = hub.runtime.chain_key
    mine = fresh(hub)
    assert rekeying.add_key(mine)
    assert sum(rekeying.rekey(mine)) == 2 * CHANNELS + 1
    assert rekeying.outdated(mine) == 0
    assert rekeying.drop_old_keys(mine) == 1
    (new,) = load_keys((), file)
    assert new != old
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    after = fresh(hub)
    assert channels_of(after) == ALL
    assert after.chain_key == chain, "the ledger's chains stay verifiable"
    with pytest.raises(SecretsError):
        channels_of(replace(after, secrets=Secrets([old])))
    mine.engine.dispose()
    after.engine.dispose()


def test_a_process_that_runs_meanwhile_reads_and_writes_with_the_new_key(hub: Hub) -> None:
    running = hub.runtime
    before = channels_of(running)
    mine = fresh(hub)
    rekeying.add_key(mine)
    list(rekeying.rekey(mine))
    rekeying.drop_old_keys(mine)
    assert channels_of(running) == before == ALL
    channel = hub.add_channel("generic_pos", SETTINGS, "New till")
    assert mine.secrets.is_newest(channel.secrets)
    mine.engine.dispose()


def test_a_change_that_was_broken_off_goes_on_without_another_key(hub: Hub) -> None:
    mine = fresh(hub)
    rekeying.add_key(mine)
    steps = rekeying.rekey(mine, at_once=2)
    assert [next(steps) for _ in range(3)] == [0, 2, 2]
    steps.close()
    mine.engine.dispose()
    again = fresh(hub)
    assert rekeying.outdated(again) == 2 * CHANNELS + 1 - 4
    assert not rekeying.drop_old_keys(again), "something still needs the old key"
    assert not rekeying.add_key(again)
    assert sum(rekeying.rekey(again, at_once=2)) == 2 * CHANNELS + 1 - 4
    assert sum(rekeying.rekey(again, at_once=2)) == 0, "a second time finds nothing to do"
    assert len(load_keys((), again.settings.keys_path)) == 2
    assert channels_of(again) == ALL
    again.engine.dispose()


def test_what_was_remembered_plainly_before_is_encrypted_by_it(hub: Hub) -> None:
    with hub.runtime.sessions.begin() as session:
        session.connection().exec_driver_sql(
            """UPDATE channels SET sealed_state = '', state = '{"n": 0, "token": "pl41n"}' WHERE name = 'Till 0'"""
        )
    mine = fresh(hub)
    list(rekeying.rekey(mine))
    assert "pl41n" not in repr(hub.rows("SELECT * FROM channels"))
    assert channels_of(mine) == ALL
    mine.engine.dispose()
