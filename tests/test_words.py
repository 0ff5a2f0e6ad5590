from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, get_args

import marshmallow.fields
import marshmallow.schema
import marshmallow.validate
import pytest

from connectors.shopify import client as shopify_client
from hub import i18n, words
from hub.commands.deliveries import STATES
from hub.ledger.entry import Counter
from hub.outbox.deliveries import Outcome
from hub.program import earn
from hub.program.rules import Standing
from hub.redemption import quoting
from hub.registry import CONNECTORS, connector_class
from hub.sync import backfill
from hub.transactions import judge

ROOT = Path(__file__).parents[1]

FAULTS = {"BadPayload", "BadSignature", "ChannelDown", "Misconfigured", "Rejected"}
REASONS = {"Ignored", "NotNeeded", "_nothing"}
CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")

# --- every code that can occur -------------------------------------------------------------------


@cache
def sources(folder: str) -> Sequence[ast.Module]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    here = [path for path in paths if "sandbox" not in path.name and "migrations" not in path.parts]
    return [ast.parse(path.read_bytes()) for path in here]


def calls(folder: str, names: set[str]) -> Iterator[tuple[ast.Call, ast.Module]]:
    for tree in sources(folder):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                yield node, tree


def codes_in(expression: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The codes an expression can be: texts, beginnings of texts that end in a value (with a *),
    and the first column of a table that is unpacked."""
    if isinstance(expression, ast.Starred):
        (table,) = (
            n.id for n in ast.walk(expression) if isinstance(n, ast.Name) and n.id.startswith("_")
        )
        yield from (row[0] for row in table_of(tree, table).values())
        return
    inner: set[int] = set()
    for node in ast.walk(expression):
        if isinstance(node, ast.JoinedStr):
            inner |= {id(n) for n in ast.walk(node) if n is not node}
            yield beginning(node)
        elif isinstance(node, ast.Constant) and id(node) not in inner and CODE.match(str(node.value)):
            yield str(node.value)


def beginning(text: ast.JoinedStr) -> str:
    first = text.values[0]
    return f"{first.value}*" if isinstance(first, ast.Constant) and isinstance(first.value, str) else "*"


def table_of(tree: ast.Module, name: str) -> dict[int, tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == name:
            assert node.value is not None
            found: dict[int, tuple[str, str]] = ast.literal_eval(node.value)
            return found
    raise AssertionError(f"there is no table {name}")


def first_arguments(folder: str, names: set[str]) -> set[str]:
    return {
        code for call, tree in calls(folder, names) if call.args for code in codes_in(call.args[0], tree)
    }


def keywords(folder: str, names: set[str], keyword: str) -> set[str]:
    return {
        code
        for call, tree in calls(folder, names)
        for k in call.keywords
        if k.arg == keyword
        for code in codes_in(k.value, tree)
    }


def notes(folder: str) -> set[str]:
    """What receipts and pages of history say beside what they are for."""
    return {
        code
        for tree in sources(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "note"
        for code in codes_in(keyword.value, tree)
    }


def faults_in_sql() -> set[str]:
    texts = [
        node.value
        for tree in sources("hub")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    pattern = r"code = (?:CASE WHEN [^\n]*? THEN )?'(\w+)'|'parked', '\w+', '(\w+)'"
    return {a or b for text in texts for a, b in re.findall(pattern, text)}


def step_codes() -> set[str]:
    """Codes of explanations: literal `{"code": ...}` with `points` beside it."""
    found: set[str] = set()
    for tree in sources("hub"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                keys = {k.value: v for k, v in zip(node.keys, node.values, strict=True)
                        if isinstance(k, ast.Constant)}  # fmt: skip
                if {"code", "points"} <= keys.keys():
                    found |= set(codes_in(keys["code"], tree))
    return found


def returned(folder: str, functions: set[str]) -> set[str]:
    return {
        code
        for tree in sources(folder)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and node.value is not None
        for code in codes_in(node.value, tree)
    }


STANDINGS = {f"sale_{word}" for word in get_args(Standing) if word != "paid"}
IGNORED_HERE = returned("hub/transactions", {"why_ignored", "_ignored_here"})
WHY = returned("hub/program", {"_why_not", "_not_there", "_not_them"}) | STANDINGS
WHY |= {"currency_earns_nothing", "nothing_left_that_earns", "backdated", "own_sale", judge.HISTORY}


def core_faults() -> set[str]:
    return first_arguments("hub", FAULTS) | keywords("hub", {"Finish"}, "code") | faults_in_sql()


def core_reasons() -> set[str]:
    others = {"guest", "less_than_one_point", "earned_enough", "already_so", "history_left_out"}
    return (first_arguments("hub", REASONS) - {"sale_*"}) | IGNORED_HERE | WHY | others


def connector_codes(kind: str) -> set[str]:
    folder = f"connectors/{kind}"
    found = first_arguments(folder, FAULTS | {"Ignored"}) | notes(folder)
    found |= {c for call, tree in calls(folder, {"Health"}) for c in codes_in(call.args[1], tree)}
    if kind == "shopify":
        found |= {code.lower() for code in shopify_client._DENIED | shopify_client._TROUBLE}
    return found


def has_word(code: str, *tables: Mapping[str, str]) -> bool:
    return any(words._known(table, code) for table in tables)


def test_every_fault_of_the_core_has_words_and_no_words_are_left_over() -> None:
    codes = core_faults()
    assert len(codes) > 20
    assert [c for c in sorted(codes) if not has_word(c, words.FAULT_WORDS)] == []
    assert set(words.FAULT_WORDS) <= codes


def test_every_reason_of_the_core_has_words_and_no_words_are_left_over() -> None:
    codes = core_reasons()
    assert len(codes) > 15
    assert codes == set(words.REASON_WORDS)


def test_every_state_outcome_and_waiting_has_words() -> None:
    assert set(words.STATE_WORDS) == set(STATES)
    assert set(words.OUTCOME_WORDS) == set(get_args(Outcome))
    assert set(words.COUNTER_WORDS) == set(get_args(Counter))
    assert set(words.WAITING_WORDS) == returned("hub/transactions", {"waiting_for"}) | {
        "fetch",
        backfill.WAITS,
    }


def test_every_reason_of_an_event_without_points_has_words() -> None:
    source = (ROOT / "hub/program/actions.py").read_text() + (ROOT / "hub/actions/record.py").read_text()
    assert set(re.findall(r'why="(\w+)"', source)) == set(words.ACTION_WORDS)


def test_every_step_of_an_explanation_has_words() -> None:
    codes = step_codes() - {"rate", "rounding", "excluded", "merged_*"}
    codes |= WHY | IGNORED_HERE | {"merged_in", "merged_out", "whole_steps", *earn.CAPPED.values()}
    assert codes - set(words.NUDGE_WORDS) == set(words.STEP_WORDS)


def test_every_end_of_a_hold_has_words() -> None:
    source = (ROOT / "hub/redemption/phases.py").read_text()
    assert set(re.findall(r'"(hold_(?!until)\w+)"', source)) | {"already_committed"} == set(
        words.HOLD_WORDS
    )


def test_everything_a_buyer_can_be_short_of_has_words() -> None:
    source = (ROOT / "hub/program/nudges.py").read_text()
    assert set(re.findall(r'"code": "(\w+)"', source)) == set(words.NUDGE_WORDS)


def test_every_reason_why_a_reward_cannot_be_had_has_words() -> None:
    codes = first_arguments("hub", {"NotOffered"}) | returned("hub/program", {"why_not_at"})
    assert codes == set(words.OFFER_WORDS)


def test_every_reason_why_a_code_takes_nothing_off_has_words() -> None:
    codes = returned("hub/program", {"_refusal"}) | returned("hub/redemption", {"_refusal", "refusal"})
    source = (ROOT / "hub/redemption/gift_cards.py").read_text()
    codes |= set(re.findall(r'NotCollectable\((?:why or )?"(\w+)"', source))
    assert codes | set(quoting._STATES.values()) == set(words.CODE_WORDS)


@pytest.mark.parametrize("kind", CONNECTORS)
def test_every_code_of_a_connector_has_words_and_no_words_are_left_over(kind: str) -> None:
    codes, own = connector_codes(kind), connector_class(kind).words
    assert len(codes) > 10
    assert [c for c in sorted(codes) if not has_word(c, own, words.FAULT_WORDS)] == []
    assert [c for c in sorted(own) if c not in codes] == []


# --- deliveries ----------------------------------------------------------------------------------


def delivery(**more: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("outcome", "reason", "fault", "code", "detail"))
    return {"state": "done", **nothing, **more}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (delivery(outcome="posted"), "Understood and recorded."),
        (delivery(outcome="ignored", reason="test_order"), "A test order earns nothing."),
        (delivery(outcome="no_change", reason="guest"), words.REASON_WORDS["guest"]),
        (delivery(state="waiting", outcome="waiting", reason="sale"), words.WAITING_WORDS["sale"]),
        (delivery(state="due"), "Will be processed in a moment."),
        (delivery(state="failed", fault="hub", code="http_422"), "The channel answered with an error."),
        (
            delivery(state="due", fault="channel", code="timeout", detail="x"),
            words.FAULT_WORDS["timeout"],
        ),
        (delivery(state="failed", fault="hub", code="TAKEN", detail="told so"), "told so"),
        (delivery(state="failed", fault="merchant", code="odd"), words.OWNER_WORDS["merchant"]),
        (delivery(outcome="ignored", reason="quite_new"), "quite_new"),
    ],
)
def test_what_became_of_a_delivery_is_a_sentence(row: dict[str, Any], said: str) -> None:
    assert words.of_delivery(row) == said


def test_a_connectors_own_words_come_first() -> None:
    row = delivery(state="failed", fault="hub", code="coupon_amount", detail="x")
    assert words.of_delivery(row, {"coupon_*": "Not kept."}) == "Not kept."


# --- explanations --------------------------------------------------------------------------------

RATE = {"code": "rate", "points": "12.5", "each": 1, "per": 10000, "amount": 125000, "currency": "VND"}
ROUNDED = {"code": "rounding", "points": "0.5", "mode": "half_up"}
GIFT = {"code": "excluded", "points": "0", "what": "gift_card", "amount": 50000, "currency": "VND"}


def test_points_of_a_sale_are_explained_in_english() -> None:
    assert words.of_entry("issued", 13, [GIFT, RATE, ROUNDED]) == (
        "gift cards earn nothing (₫50,000); 1 point for every ₫10,000: ₫125,000 give 12.5; "
        "rounded to the nearest whole point: +0.5"
    )


def test_points_of_a_sale_are_explained_in_vietnamese() -> None:
    with i18n.speaking("vi"):
        said = words.of_entry("issued", 13, [GIFT, RATE, ROUNDED]).replace("\xa0", " ")
    assert said == (
        "thẻ quà tặng không tính điểm (50.000 ₫); cứ 10.000 ₫ được 1 điểm: 125.000 ₫ được 12,5; "
        "làm tròn đến điểm gần nhất: +0,5"
    )


def test_an_entry_that_is_only_the_difference_says_what_the_sale_is_worth_now() -> None:
    assert words.of_entry("issued", -7, [RATE, ROUNDED]).startswith("the sale is now worth 13 points: ")


def test_a_fully_refunded_sale_says_so() -> None:
    step = {"code": "sale_refunded", "points": "0"}
    assert words.of_entry("issued", -13, [step]) == "no points: the order was refunded"


def test_an_entry_without_steps_is_told_by_its_counter() -> None:
    assert words.of_entry("redeemed", 50, []) == "Spent on a reward."


NUMBERS = {
    "points": "-50", "source": "smile", "reward": "50k", "uses": 2, "reason": "{sorry}", "currency": "USD", "each": "2",
    "per": 100, "amount": 999, "left": 1, "pieces": "3", "percent": "10", "factor": "1.5", "most": 9,
    "rule": "happy-hour", "action": "review", "over": 5, "earned": "70",
}  # fmt: skip


@pytest.mark.parametrize("language", i18n.LANGUAGES)
@pytest.mark.parametrize("code", words.STEP_WORDS)
def test_every_step_is_told_with_its_numbers(code: str, language: str) -> None:
    with i18n.speaking(language):
        said = words.of_step({"code": code, **NUMBERS})
    assert said != code
    assert "{" not in said.replace("{sorry}", "")


def test_a_step_of_a_newer_hub_is_its_code() -> None:
    assert words.of_step({"code": "double_saturday", "points": "3"}) == "double_saturday"


# --- numbers, money, days ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "english", "vietnamese"),
    [
        (1250000, "VND", "₫1,250,000", "1.250.000 ₫"),
        (-1250000, "VND", "-₫1,250,000", "-1.250.000 ₫"),
        (1999, "USD", "$19.99", "19,99 US$"),
        (1250, "KWD", "KWD 1.250", "1,250 KWD"),
        (150000, "IQD", "IQD 150.000", "150,000 IQD"),  # CLDR shows none of its three digits
    ],
)
def test_money_has_the_decimals_of_iso_4217(
    minor: int, currency: str, english: str, vietnamese: str
) -> None:
    assert words.money(minor, currency).replace("\xa0", " ") == english
    with i18n.speaking("vi"):
        assert words.money(minor, currency).replace("\xa0", " ") == vietnamese


def test_a_number_that_is_cut_says_so() -> None:
    third = {**RATE, "points": "37/3"}
    assert words.of_step(third).endswith("give about 12.33")


def test_a_day_is_the_programmes_day() -> None:
    evening = datetime(2026, 11, 30, 18, 0, tzinfo=UTC)
    assert words.day(evening, "Asia/Ho_Chi_Minh") == "1 December 2026"
    with i18n.speaking("vi"):
        assert words.day(evening, "Asia/Ho_Chi_Minh") == "01/12/2026"


# --- fields --------------------------------------------------------------------------------------


def marshmallow_says(field: marshmallow.fields.Field[Any], value: object) -> str:
    with pytest.raises(marshmallow.ValidationError) as refused:
        field.deserialize(value)
    (said,) = refused.value.messages
    return str(said)


@pytest.mark.parametrize(
    ("make", "value", "vietnamese"),
    [
        (lambda v: marshmallow.fields.String(required=True), marshmallow.missing, "Thiếu trường bắt buộc này."),
        (lambda v: marshmallow.fields.String(validate=v.Length(1, 5)), "", "Độ dài phải từ 1 đến 5."),
        (lambda v: marshmallow.fields.Integer(validate=v.Range(1, 5)), 6, "Phải từ 1 đến 5."),
        (lambda v: marshmallow.fields.Integer(validate=v.Range(min=1)), 0, "Phải từ 1 trở lên."),
        (lambda v: marshmallow.fields.String(validate=v.OneOf(["a", "b"])), "c", "Phải là một trong: a, b."),
        (lambda v: marshmallow.fields.DateTime(), "x", "Không phải thời gian hợp lệ."),
    ],
)  # fmt: skip
def test_what_a_schema_says_is_said_in_vietnamese(
    make: Callable[[Any], marshmallow.fields.Field[Any]], value: object, vietnamese: str
) -> None:
    said = marshmallow_says(make(marshmallow.validate), value)
    with i18n.speaking("vi"):
        assert words.of_field(said) == vietnamese
    assert words.of_field(said) == said


def test_other_sentences_about_fields_stand_as_they_are() -> None:
    with i18n.speaking("vi"):
        assert words.of_field("quite another thing") == "quite another thing"
