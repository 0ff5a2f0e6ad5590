"""What connectors say of their settings: it names real ones, and what they suggest is accepted."""

from __future__ import annotations

import pytest

from hub.connect import setting_errors
from hub.registry import CONNECTORS, connector_class

KINDS = pytest.mark.parametrize("kind", sorted(CONNECTORS))


@KINDS
def test_a_form_has_words_for_every_setting_and_for_no_other(kind: str) -> None:
    connector = connector_class(kind)
    known = connector.settings_schema().fields
    shown = {name for name, field in known.items() if not field.metadata.get("set_by_hub")}
    assert set(connector.form) == shown, "each under words, none under its raw name"
    assert all(label and hint for label, hint in connector.form.values())
    assert connector.guide


@KINDS
def test_what_is_suggested_is_fresh_secret_and_accepted(kind: str) -> None:
    connector = connector_class(kind)
    first, second = connector.suggested(), connector.suggested()
    errors = setting_errors(connector, first)
    for name, value in first.items():
        assert name not in errors
        assert value != second[name]
        assert connector.settings_schema().fields[name].metadata.get("secret")
