"""The program document: every setting documented, examples valid, errors that name path and fix."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from marshmallow import Schema, fields

from hub.program import document as documents
from hub.program.document import DocumentRefused
from hub.program.fields import OneOrMany
from hub.program.schema import DocumentSchema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config" / "programs").glob("*.toml"))
BASE: dict[str, Any] = {"earn": {"per": {"VND": "10000"}}}


def settings(schema: Schema) -> Iterator[str]:
    """Every name a merchant may write."""
    for name, field in schema.fields.items():
        yield field.data_key or name
        inner = field.inner if isinstance(field, fields.List) else field
        if isinstance(inner, fields.Nested):
            yield from settings(inner.schema)
        elif isinstance(inner, OneOrMany):
            yield from settings(inner._schema())


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "programs.md").read_text()
    named = set(settings(DocumentSchema()))
    assert len(named) > 50
    assert [
        n
        for n in sorted(named)
        if f"`{n}" not in text and f"[{n}]" not in text and f" {n} =" not in text
    ] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_valid_and_say_the_same_through_json(file: Path) -> None:
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    through_json = json.loads(json.dumps(document, default=str))
    now = datetime(2026, 11, 2, tzinfo=UTC)
    first, second = (
        documents.rules(one, number=1, effective_from=now, time_zone="Asia/Ho_Chi_Minh")
        for one in (document, through_json)
    )
    assert first == second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"earn": {}}, 'earn.per: say for how much: per = { VND = "10000" }'),
        ({"earn": []}, "earn: must be one table, or a list of 1 to 100 tables"),
        ({"earn": [BASE["earn"], {"per": {"VND": "0"}}]}, 'earn[1].per.VND: "0" must be more than 0'),
        ({"earn": {"type": "percent", "percent": "5"}}, "earn.worth: a percentage needs percent, and worth"),
        ({"earn": {"type": "per_order", "per": {"VND": "1"}}}, 'earn.per: belongs to type = "per_amount"'),
        ({"earn": {"per": {"VND": "1"}, "hours": "25-26"}}, "earn.hours: must be hours like"),
        ({"earn": {"per": {"VND": "0.5"}}}, "earn.per: the amount is 0.5, but VND has 0 decimals"),
        ({"earn": {"per": {"VND": "1"}, "windows": [{}]}}, "earn.windows[0].from: name from, until or both"),
        ({"points": {"expire_on": "31-10"}}, "points.expire_on: must be a month and a day like"),
        ({"points": {"rounding": "bankers"}}, "points.rounding: Must be one of: half_up, down, up."),
        ({"multipliers": [{"factor": 0.5}]}, "multipliers[0].factor: must be a decimal in quotes"),
        ({"multipliers": [{"id": "a", "factor": 2}] * 2}, "multipliers: the id 'a' is used twice"),
        ({"bonus": 1}, "bonus: Unknown field."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_path_and_the_fix(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentRefused) as refused:
        documents.check(BASE | change)
    assert str(refused.value).startswith(message)


def test_rules_of_the_first_release_mean_the_same() -> None:
    """Versions are immutable: a document stored long ago is read for ever."""
    stored = {"earn": {"points": 1, "per": {"VND": "10000"}, "rounding": "down"}, "rewards": []}
    now = datetime(2026, 11, 2, tzinfo=UTC)
    found = documents.rules(stored, number=1, effective_from=now, time_zone="UTC")
    assert (found.earn[0].rounding, found.rounding, found.combine) == ("down", "half_up", "sum")
