"""What a scenario expects against what happened; a word that cannot be asked here is unsupported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from hub.program.document import DocumentRefused
from hub.runtime import Runtime
from tests.scenarios.reading import Unsupported
from tests.scenarios.world import World

KNOWN_STEP = frozenset(
    {
        "seq",
        "points",
        "balance",
        "error",
        "customer",
        "lots",
        "ledger_entries",
        "entries",
        "basis",
        "discount",
        "discount_currency",
        "applied_points",
        "allowed",
        "expiring",
        "notified",
        "coupons_issued",
        "spent_by",
        "referrer_credit",
        "vouchers",
        "earned",
        "earned_reversed",
        "spent",
        "spent_returned",
        "reward_available",
        "credit",
        "balance_credit",
        "spent_credit",
        "total",
        "parts",
        "line_discounts",
        "tier",
        "progress",
        "spend_in_period",
    }
)
KNOWN_FINAL = frozenset(
    {"credits", "balance", "balances", "customers", "tier", "balance_credit", "total"}
)
SILENT = frozenset({"basis"})
"""Said by the source beside numbers that follow from it; the points are what is asked."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one scenario ended: pass, fail or unsupported, with what to read."""

    id: str
    status: str
    detail: str
    layer: str
    topic: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The world around one event."""

    changes: Mapping[str, int | Decimal]
    balances: Mapping[str, int | Decimal]
    error: str | None
    lots: Mapping[str, int]
    entries: int
    said: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, int]]
    rewards: Mapping[str, list[str]]
    tiers: Mapping[str, str | None]
    spend: Mapping[str, Decimal | None]
    wallets: Mapping[str, Mapping[str, Decimal]]


def judge(runtime: Runtime, scenario: Mapping[str, Any], slug: str) -> Result:
    """Play a scenario and compare."""
    names = {"id": scenario["id"], "layer": scenario["layer"], "topic": scenario["topic"]}
    try:
        _refuse_strange(scenario)
        world = World(runtime, scenario, slug)
        problems = list(_compare(scenario, world, _play(scenario, world)))
    except Unsupported as reason:
        return Result(status="unsupported", detail=str(reason), **names)
    except DocumentRefused as refused:
        return Result(status="unsupported", detail=f"no such programme: {refused}", **names)
    except Exception as error:  # noqa: BLE001 - what the product cannot take is a failure of it
        return Result(status="fail", detail=f"{type(error).__name__}: {error!s:.200}", **names)
    if not world.is_sound():
        problems.append("the book does not verify, or a message failed")
    return Result(status="fail" if problems else "pass", detail="; ".join(problems), **names)


def _refuse_strange(scenario: Mapping[str, Any]) -> None:
    for step in scenario["expected"].get("steps", []):
        strange = sorted(set(step).difference(KNOWN_STEP))
        if strange:
            raise Unsupported(f"expected.{strange[0]}: the product has nothing like it yet")
    in_money = "stored_value" in scenario["program"]["rules"]
    for step in scenario["expected"].get("steps", []):
        if not in_money and any("." in str(step.get(name, 0)) for name in ("points", "balance")):
            raise Unsupported("expected.points: points are whole, by design")
    strange = sorted(set(scenario["expected"].get("final", {})).difference(KNOWN_FINAL))
    if strange:
        raise Unsupported(f"expected.final.{strange[0]}: the product has nothing like it yet")


def _customers(scenario: Mapping[str, Any]) -> list[str]:
    names = ("customer", "referrer", "referee", "friend")
    named = {event.get(name) for event in scenario["events"] for name in names}
    named |= {name for event in scenario["events"] for name in event.get("customers", ())}
    named |= {step.get("customer") for step in scenario["expected"].get("steps", [])}
    named |= set(scenario["expected"].get("final", {}).get("balances", {}))
    return sorted({"C1", *(name for name in named if name)})


def _play(scenario: Mapping[str, Any], world: World) -> dict[int, Seen]:
    customers, seen = _customers(scenario), {}
    for event in scenario["events"]:
        mark = world.mark()
        error = world.play(event)
        changes = {name: world.change(name, mark) for name in customers}
        balances = {name: world.balance(name) for name in customers}
        seen[event["seq"]] = Seen(
            changes, balances, error, world.lots(), world.entries(mark), world.said,
            {name: world.parts(name, mark) for name in customers},
            {name: world.rewards(name) for name in customers},
            {name: world.tier(name) for name in customers},
            {name: world.spent_in_period(name) for name in customers},
            {name: world.wallet(name, mark) for name in customers},
        )  # fmt: skip
    return seen


def _compare(scenario: Mapping[str, Any], world: World, seen: Mapping[int, Seen]) -> Iterator[str]:
    expected = scenario["expected"]
    for step in expected.get("steps", []):
        here = seen[step["seq"]]
        customer = step.get("customer", "C1")
        got = {
            "points": here.changes[customer],
            "balance": here.balances[customer],
            "error": here.error,
            "lots": {name: here.lots.get(name, 0) for name in step.get("lots", {})},
            "ledger_entries": here.entries,
            "entries": here.entries,
            "reward_available": here.rewards[customer],
            "tier": here.tiers[customer],
            "spend_in_period": here.spend[customer],
            **here.parts[customer],
            **here.wallets[customer],
            **here.said,
        }
        for name in sorted(set(step).difference({"seq", "customer"}, SILENT)):
            if name not in got:
                raise Unsupported(f"expected.{name}: the product does not say that here")
            if name == "error" and _means(step[name], got[name]):
                continue
            if not _same(step[name], got[name]):
                yield f"event {step['seq']}: {name} {step[name]} expected, {got[name]} got"
        if "error" not in step and "discount" not in step and here.error is not None:
            yield f"event {step['seq']}: refused ({here.error})"
    final = expected.get("final", {})
    for customer, balance in {**final.get("balances", {}), **_own(final)}.items():
        if not _same(balance, world.balance(customer)):
            yield f"at the end: balance of {customer} {balance} expected, {world.balance(customer)} got"

    for customer, said in final.get("credits", {}).items():
        if not _same(said, world.wallet(customer, 0)["balance_credit"]):
            yield f"at the end: credit of {customer} {said} expected"
    credit = world.wallet("C1", 0)["balance_credit"]
    if "balance_credit" in final and not _same(final["balance_credit"], credit):
        yield f"at the end: credit {final['balance_credit']} expected, {credit} got"
    if "total" in final and not _same(final["total"], world.total):
        yield f"at the end: total {final['total']} expected, {world.total} got"
    if "tier" in final and not _same(final["tier"], world.tier("C1")):
        yield f"at the end: tier {final['tier']} expected, {world.tier('C1')} got"


def _own(final: Mapping[str, Any]) -> dict[str, Any]:
    return {"C1": final["balance"]} if "balance" in final else {}


def _means(expected: str, got: str | None) -> bool:
    """Sources that know one word for a code that cannot be used say it of a limit too."""
    return expected == "coupon_invalid" and got in {"limit_exceeded", "not_valid_yet", "wrong_owner"}


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, dict) and isinstance(got, Mapping) and expected.keys() <= got.keys():
        return all(_same(value, got[name]) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return all(one is None or _same(one, other) for one, other in zip(expected, got, strict=True))
    if isinstance(expected, str) and isinstance(got, int | Decimal):
        try:
            return Decimal(expected) == got
        except InvalidOperation:
            return False
    return bool(expected == got)


def totals(results: Sequence[Result], by: str) -> dict[str, dict[str, int]]:
    """Counts by layer or topic."""
    found: dict[str, dict[str, int]] = {}
    for result in results:
        counts = found.setdefault(getattr(result, by), {"pass": 0, "fail": 0, "unsupported": 0})
        counts[result.status] += 1
    return dict(sorted(found.items()))
