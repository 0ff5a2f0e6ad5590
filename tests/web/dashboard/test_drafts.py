"""Changing the rules on a page: shown first, put into force after, and never over somebody else's change."""

from __future__ import annotations

import html
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.desk import drafts
from hub.desk.programme import versions
from hub.program.document import DocumentRefused
from hub.runtime import Runtime
from hub.settings import Settings
from tests.desks import Desk, Office

DOCUMENT: dict[str, Any] = {"earn": {"points": 1, "per": {"VND": "10000"}}}
EXAMPLES = sorted((Path(__file__).parents[3] / "config/programs").glob("*.toml"))
DRAFT = '[earn]\npoints = 2\n\n[earn.per]\nVND = "10000"\n'


@pytest.fixture
def office(database: str, redis_url: str, tmp_path: Path) -> Iterator[Office]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url)
    runtime = Runtime.start(settings, "web")
    yield Office.new(runtime, DOCUMENT)
    runtime.engine.dispose()


def send(owner: Desk, step: str, document: str = DRAFT, base: str = "1", **more: str) -> Any:
    return owner.post(f"./programme/draft/{step}", {"document": document, "base": base, **more})


def numbers(office: Office) -> list[int]:
    with office.runtime.sessions() as session:
        return [one.number for one in versions(session, office.ours.id)]


def test_the_page_begins_with_the_rules_in_force(office: Office) -> None:
    page = office.desk("owner").get("./programme/draft").text
    found = re.search(r"<textarea[^>]*id=\"document\"[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert found is not None
    assert drafts.read(html.unescape(found[1])) == DOCUMENT


def test_what_would_change_is_shown_before_anything_is_changed(office: Office) -> None:
    page = send(office.desk("owner"), "check").text
    assert "earn[0].points" in page
    assert "2 points for every" in page
    assert numbers(office) == [1]


def test_it_is_put_into_force_as_a_new_version(office: Office) -> None:
    owner = office.desk("owner")
    answer = send(owner, "apply", document=DRAFT.replace("\n", "\r\n"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/p/ours/programme/versions/2")
    assert numbers(office) == [2, 1]
    assert "Version 2 is kept." in owner.get("./programme/versions/2").text


def test_a_draft_that_says_nothing_new_has_no_button(office: Office) -> None:
    page = send(office.desk("owner"), "check", document=DRAFT.replace("2", "1")).text
    assert "It changes nothing" in page
    assert "Put it into force" not in page


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("earn = ", "TOML: "),
        ('[earn]\npoints = 1\nper = { VND = "-1" }', "earn"),
        ("surprise = 1\n" + DRAFT, "surprise"),
    ],
)
@pytest.mark.parametrize("step", ["check", "apply"])
def test_what_is_wrong_is_named_and_what_was_typed_stays(
    office: Office, step: str, document: str, said: str
) -> None:
    page = html.unescape(send(office.desk("owner"), step, document=document).text)
    alert = re.search(r'role="alert">(.*?)</div></div>', page, re.DOTALL)
    assert alert is not None
    assert said in alert[1]
    assert document in page
    assert numbers(office) == [1]


@pytest.mark.parametrize(
    "begins", ["2020-01-01T00:00", "no time", "9999-99-99T00:00", "0001-01-01T00:00"]
)
def test_a_moment_that_cannot_be_is_refused(office: Office, begins: str) -> None:
    answer = send(office.desk("owner"), "apply", **{"from": begins})
    assert (answer.status_code, numbers(office)) == (200, [1])
    assert 'role="alert"' in answer.text


def test_a_change_that_somebody_made_meanwhile_is_not_written_over(office: Office) -> None:
    owner = office.desk("owner")
    send(owner, "apply")
    page = send(owner, "apply", document=DRAFT.replace("2", "3")).text
    assert "Somebody made version 2 meanwhile." in page
    assert 'name="base" value="2"' in page
    assert numbers(office) == [2, 1]


@pytest.mark.parametrize("role", ["marketing", "support", "cashier", "viewer"])
def test_only_owners_change_the_rules(office: Office, role: Any) -> None:
    desk = office.desk(role)
    assert desk.get("./programme/draft").status_code == 403
    assert [send(desk, step).status_code for step in ("check", "apply")] == [403, 403]
    assert numbers(office) == [1]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_every_example_survives_being_kept_written_and_read(file: Path) -> None:
    kept = json.loads(json.dumps(tomllib.loads(file.read_text(encoding="utf-8")), default=str))
    assert drafts.read(drafts.toml(kept)) == kept


def test_what_is_null_in_json_is_left_out() -> None:
    tea = {"id": "tea", "name": "Tea", "cost": 5, "perk": "Tea"}
    kept = {**DOCUMENT, "tiers": None, "rewards": [{**tea, "stock": None}]}
    assert drafts.read(drafts.toml(kept)) == {**DOCUMENT, "rewards": [tea]}


def test_a_text_that_is_no_toml_names_the_place() -> None:
    with pytest.raises(DocumentRefused, match=r"TOML: .*line 1"):
        drafts.read("earn == 1")
