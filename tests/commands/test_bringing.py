"""`hub member import` by its words and its JSON."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands.conftest import Command
from tests.hubs import Hub

TABLE = "E-mail,Điểm,Màu\nann@x.vn,120,red\nbob@x.vn,12.5,blue\n"


def test_a_file_is_checked_first_and_carried_over_when_it_is_wished(
    hub: Hub, run: Command, tmp_path: Path
) -> None:
    file, wrong = tmp_path / "old.csv", tmp_path / "wrong.csv"
    file.write_text(TABLE, encoding="utf-8")
    checked = run("member", "import", str(file), "--wrong", str(wrong))
    assert checked[0] == {
        "applied": False, "rows": 1, "new_members": 1, "known_members": 0, "nobody_known": 0, "suspected_twins": 0,
        "points": 120, "unchanged": 0, "read_as": {"email": "E-mail", "points": "Điểm"}, "wrong": 1,
    }  # fmt: skip
    assert (checked[1]["line"], checked[1]["field"]) == (3, "points")
    assert "12.5" in wrong.read_text()
    assert hub.rows("SELECT 1 FROM entries") == []
    (refused,) = run("member", "import", str(file), "--apply", code=1, as_json=False)
    assert "1 rows are wrong" in refused["said"]
    (done,) = run("member", "import", str(file), "--apply", "--leave-out-wrong")
    assert (done["applied"], done["points"]) == (True, 120)
    (again,) = run("member", "import", str(file), "--apply", "--leave-out-wrong")
    assert (again["points"], again["unchanged"]) == (0, 1)


def test_what_people_read_says_what_was_taken_for_what(hub: Hub, run: Command, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text(TABLE, encoding="utf-8")
    said = run("member", "import", str(file), as_json=False)[0]["said"]
    assert "Not read: Màu" in said
    assert "Nothing was changed. With --apply it is done." in said
    for wish, words in (
        (("--map", "points"), "write FIELD=HEADING"),
        (("--map", "points=Nope"), "the file has no column"),
        (("--format", "nope"), "there is no format"),
        (("--channel", "chn_nope"), "there is no channel"),
        (("--source", "A B"), "--source"),
        (("--map", "email="), "No column says who it is"),
    ):
        code = 2 if "FIELD" in words or words == "--source" else 1
        assert words in run("member", "import", str(file), *wish, code=code, as_json=False)[0]["said"]


def test_a_template_holds_every_field_and_the_products_are_listed(
    hub: Hub, run: Command, tmp_path: Path
) -> None:
    template = run("member", "import", "--template", as_json=False)[0]["said"].strip()
    fields = [row["field"] for row in run("member", "import", "--fields")]
    assert template.split(",") == fields
    assert {"format": "smile", "name": "Smile.io"} in run("member", "import", "--formats")
    file = tmp_path / "own.csv"
    file.write_text(f"{template}\nann@x.vn{',' * (len(fields) - 1)}\n")
    assert set(run("member", "import", str(file))[0]["read_as"]) == set(fields)
    assert json.loads(json.dumps(fields))[0] == "email"
