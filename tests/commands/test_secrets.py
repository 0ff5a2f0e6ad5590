"""`hub secrets`, `hub member data` and `hub member forget`, as an operator runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hub.secrets import load_keys
from tests import signed
from tests.hubs import Hub
from tests.people import add

Command = Callable[..., list[dict[str, Any]]]


def test_the_key_is_changed_once_and_the_old_one_goes_when_nothing_needs_it(
    hub: Hub, run: Command
) -> None:
    hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")
    assert hub.runtime.chain_key
    file = hub.runtime.settings.keys_path
    (old,) = load_keys((), file)
    (changed,) = run("secrets", "rotate")
    assert changed == {"new_key": True, "values": 2, "old": 0}
    assert load_keys((), file)[1:] == [old]
    assert run("secrets", "drop-old") == [{"dropped": 1}]
    assert run("secrets", "drop-old") == [{"dropped": 0}]
    assert old not in load_keys((), file)
    assert run("channel", "list")[0]["name"] == "Till"
    noted = hub.rows("SELECT action FROM audit WHERE action LIKE 'secrets.%' ORDER BY id")
    assert [row.action for row in noted] == [
        "secrets.rotated", "secrets.old_keys_dropped", "secrets.old_keys_dropped",
    ]  # fmt: skip


def test_a_member_is_reported_looked_at_and_forgotten(hub: Hub, run: Command) -> None:
    with hub.runtime.sessions.begin() as session:
        ann = add(session, "members", public_id="mem_ann", program_id=hub.program.id, name="Ann Quilt")
        add(
            session, "identities", program_id=hub.program.id, member_id=ann, kind="email",
            value="ann@example.com",
        )  # fmt: skip
        add(session, "accounts", program_id=hub.program.id, member_id=ann)
    (told,) = run("member", "data", "ann@example.com", as_json=False)
    assert json.loads(told["said"])["member"]["name"] == "Ann Quilt"
    would = {"id": "mem_ann", "forgotten": False, "identities": 1, "orders": 0, "messages": 0}
    assert run("member", "forget", "ann@example.com") == [would]
    assert hub.rows("SELECT name FROM members")[0].name == "Ann Quilt", "saying changes nothing"
    assert run("member", "forget", "ann@example.com", "--yes") == [{**would, "forgotten": True}]
    assert hub.rows("SELECT name FROM members")[0].name == ""
    run("member", "forget", "ann@example.com", "--yes", code=1)
    assert run("member", "forget", "mem_ann", "--yes")[0]["identities"] == 0
