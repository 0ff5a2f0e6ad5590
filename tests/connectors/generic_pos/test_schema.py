"""The JSON Schema that is served with the docs says what the hub does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import connectors.generic_pos
from connectors.generic_pos.normalise import normalise
from connectors.generic_pos.schemas import MESSAGES
from hub.errors import BadPayload
from hub.money import MINOR_UNITS
from tests.connectors.generic_pos.corpus import RIGHT, WHOLE, WRONG, changes

SCHEMA: dict[str, Any] = json.loads(
    (Path(connectors.generic_pos.__file__).parent / "hub.sale-1.schema.json").read_text()
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def hub_takes(message: Any) -> bool:
    try:
        return bool(normalise(json.dumps(message).encode()))
    except BadPayload:
        return False


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_messages_are_taken_by_both(name: str) -> None:
    assert VALIDATOR.is_valid(WHOLE[name])
    assert hub_takes(WHOLE[name])


@pytest.mark.parametrize("message", [pytest.param(m, id=n) for n, m in changes(RIGHT)])
def test_what_is_right_is_taken_by_both(message: Any) -> None:
    assert (VALIDATOR.is_valid(message), hub_takes(message)) == (True, True)


def test_what_is_wrong_is_refused_by_both() -> None:
    wrong = dict(changes(WRONG))
    assert len(wrong) > 400
    differ = {n: (VALIDATOR.is_valid(m), hub_takes(m)) for n, m in wrong.items()}
    assert {name: taken for name, taken in differ.items() if taken != (False, False)} == {}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "hub.sale/2"},
        {"type": None},
        {"type": ["hub.sale/1"]},
        {**WHOLE["sale"], "type": "hub.void/1"},
    ],
)
def test_a_message_of_no_known_type_is_refused_by_both(message: Any) -> None:
    assert (VALIDATOR.is_valid(message), hub_takes(message)) == (False, False)


@pytest.mark.parametrize("message", [[], None, 1, "x", [WHOLE["sale"]]])
def test_a_message_is_an_object(message: Any) -> None:
    assert (VALIDATOR.is_valid(message), hub_takes(message)) == (False, False)


def test_every_field_stands_in_both() -> None:
    names = {"hub.sale/1": "sale", "hub.refund/1": "refund", "hub.void/1": "void"}
    names["hub.customer/1"] = "customer_message"
    assert set(names) == set(MESSAGES)
    for kind, name in names.items():
        properties = SCHEMA["$defs"][name]["properties"]
        assert set(properties) == set(MESSAGES[kind].fields), kind
        required = {n for n, field in MESSAGES[kind].fields.items() if field.required}
        assert set(SCHEMA["$defs"][name]["required"]) == required, kind


def test_currencies_are_those_of_iso_4217() -> None:
    assert SCHEMA["$defs"]["currency"]["enum"] == sorted(MINOR_UNITS)


def test_nothing_outside_extra_is_open() -> None:
    objects = [d for d in SCHEMA["$defs"].values() if d.get("type") == "object"]
    assert objects
    assert all(d["additionalProperties"] is False for d in objects)
