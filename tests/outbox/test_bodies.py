from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.outbox import masking
from hub.outbox.bodies import pretty

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_shown_means_what_was_sent(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=7)):
        assert json.loads(pretty(text)) == value


def test_numbers_and_doubled_keys_stay_to_the_letter() -> None:
    assert pretty('{"a":496800.00,"a":[1e3,-0.10],"b":{},"c":[]}') == (
        '{\n  "a": 496800.00,\n  "a": [\n    1e3,\n    -0.10\n  ],\n  "b": {},\n  "c": []\n}'
    )


def test_escaped_letters_are_letters() -> None:
    assert (
        pretty(r'["Tr\u00e0 sen", "\ud800", "a\\u"]') == '[\n  "Trà sen",\n  "\\ud800",\n  "a\\\\u"\n]'
    )


@pytest.mark.parametrize("text", ["", "no JSON", '{"a"', "<b>bold</b>", "[" * 100_000])
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert pretty(text) == text


def test_what_is_nested_beyond_reading_stays_as_it_is() -> None:
    text = "[" * 300 + "]" * 300
    assert pretty(text) == text


@pytest.mark.parametrize(
    "name",
    ["X-Shopify-Hmac-Sha256", "x-wc-webhook-signature", "webhook-signature", "Authorization", "x-api-key",
     "X-Access-Token", "set-cookie"],
)  # fmt: skip
def test_headers_that_sign_or_open_are_masked(name: str) -> None:
    assert masking.headers({name: "abc=", "x-topic": "t"}) == {name: "••• (4)", "x-topic": "t"}


def test_secrets_of_the_channel_and_fields_named_like_one_are_masked() -> None:
    hidden = masking.text(
        'POST ?consumer_secret=cs_9&page=2 {"access_token": "shpat_1", "note": "whsec_abcdefgh"} token=x y',
        ["whsec_abcdefgh"],
    )
    assert hidden == (
        'POST ?consumer_secret=•••&page=2 {"access_token": •••, "note": "•••"} token=••• y'
    )


def test_words_that_are_no_secret_stay() -> None:
    text = '{"secretary": "Ann", "tokens": 3, "code": "HUB-7Q2F"}'
    assert masking.text(text, ["short"]) == text


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"email":"ann@example.com","id":7}', '{"email":•••,"id":7}'),
        ('{"email_restrictions": ["Ann.B+x@example.co.uk"], "code": "HUB-7Q2F"}',
         '{"email_restrictions": ["•••"], "code": "HUB-7Q2F"}'),
        ('{"firstName": "Ann", "last_name": "O\\"Hara", "name": "#1001"}',
         '{"firstName": •••, "last_name": •••, "name": "#1001"}'),
        ('{"phone": null, "billing": {"phone": "0912 345 678", "address_1": "1 Lê Lợi", "total": "5.00"}}',
         '{"phone": null, "billing": {"phone": •••, "address_1": •••, "total": "5.00"}}'),
        ("GET /customers?email=ann%40example.com&per_page=1", "GET /customers?email=•••&per_page=1"),
        ("GET /customers?search=ann%40example.com", "GET /customers?search=•••"),
        ('{"query": "phone:+84912345678"}', '{"query": "phone:•••"}'),
        ('{"note": "call +84912345678", "n": 84912345678}', '{"note": "call •••", "n": 84912345678}'),
        ('{"id": 1, "last_name": "Nguy', '{"id": 1, "last_name": •••'),
        ('{"defaultEmailAddress": {"emailAddress": "ann@example.com"}}',
         '{"defaultEmailAddress": {"emailAddress": •••}}'),
        ('{"consumer_secret": "cs_1", "amount": "12.50", "currency": "USD"}',
         '{"consumer_secret": •••, "amount": "12.50", "currency": "USD"}'),
    ],
)  # fmt: skip
def test_what_is_stored_of_an_exchange_names_and_reaches_nobody(given: str, kept: str) -> None:
    assert masking.kept(given) == kept
    assert masking.kept(kept) == kept
