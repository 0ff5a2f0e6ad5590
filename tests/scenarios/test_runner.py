"""The scenario runner: our own scenarios pass, others' do not fail, and it can see a broken product."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.program import earn
from hub.program.climb import Climb
from hub.program.ladder import Ladder
from hub.runtime import Runtime
from hub.settings import Settings
from hub.transactions import judge as judging_sales
from tests.scenarios.__main__ import load, run

HERE = Path(__file__).parent
OWN = HERE / "own"
SHARED = HERE.parents[2] / "shared" / "scenarios" / "given.json"
PURE = (
    "translate.py",
    "world.py",
    "judging.py",
    "__main__.py",
    "tiers.py",
    "carts.py",
    "standings.py",
    "reading.py",
)


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    settings = replace(Settings(), data=tmp_path, database_url=database, redis_url=redis_url)
    runtime = Runtime.start(settings)
    yield runtime
    runtime.engine.dispose()


def statuses(runtime: Runtime, scenarios: list[dict[str, Any]]) -> dict[str, str]:
    return {result.id: result.status for result in run(runtime, scenarios)}


def test_our_own_scenarios_pass_and_a_strange_rule_is_unsupported(runtime: Runtime) -> None:
    results = list(run(runtime, load([OWN])))
    assert [(r.id, r.detail) for r in results if r.status == "fail"] == []
    assert [(r.id, r.detail) for r in results if r.status == "unsupported"] == [
        ("OWN-12", "moon_phase: the product has no such rules yet")
    ]
    assert len(results) >= 12


def mangled(scenario: dict[str, Any], word: str, where: str) -> dict[str, Any]:
    """The scenario with one word more that nobody knows."""
    copy: dict[str, Any] = json.loads(json.dumps(scenario))
    places: dict[str, dict[str, Any]] = {
        "rules": copy["program"]["rules"],
        "earn": copy["program"]["rules"]["earn"][0],
        "event": copy["events"][0],
        "step": copy["expected"]["steps"][0],
        "final": copy["expected"]["final"],
    }
    places[where][word] = 1
    return copy


def test_a_word_that_nobody_knows_is_never_a_quiet_pass(runtime: Runtime) -> None:
    (first, *_) = load([OWN])
    strange = [
        mangled(first, "phlogiston", where) | {"id": where}
        for where in ("rules", "earn", "event", "step", "final")
    ]
    assert set(statuses(runtime, strange).values()) == {"unsupported"}


def test_a_wrong_number_fails(runtime: Runtime) -> None:
    (first, *_) = load([OWN])
    first["expected"]["steps"][0]["points"] += 1
    (result,) = run(runtime, [first])
    assert (result.status, "points 7 expected, 6 got" in result.detail) == ("fail", True)


def test_scenarios_fail_when_rounding_or_refunds_are_broken(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = load([OWN])
    with monkeypatch.context() as patch:
        patch.setattr(earn, "rounded", lambda exact, _mode: int(exact) + 1)
        assert Counter(statuses(runtime, own).values())["fail"] >= 3
    with monkeypatch.context() as patch:
        patch.setattr(
            judging_sales, "remaining_by_line", lambda sale: {one.key: one.net for one in sale.lines}
        )
        assert Counter(statuses(runtime, own).values())["fail"] >= 2


def test_scenarios_fail_when_tiers_are_broken(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [one for one in load([OWN]) if one["topic"].startswith("tier")]
    with monkeypatch.context() as patch:
        patch.setattr(Ladder, "reached", lambda _ladder, _count: 0)
        assert Counter(statuses(runtime, own).values())["fail"] >= 5
    with monkeypatch.context() as patch:
        patch.setattr(Climb, "_review", lambda _climb, _moment: None)
        patch.setattr(Climb, "_next_review", lambda _climb, _at: None)
        assert Counter(statuses(runtime, own).values())["fail"] >= 2


def test_the_runner_counts_nothing_and_knows_no_scenario() -> None:
    """It translates and compares: no arithmetic (texts, lists and times are put together, tables
    joined), and no branch on an id or a source."""
    for name in PURE:
        tree = ast.parse((HERE / name).read_text())
        used = {type(node.op).__name__ for node in ast.walk(tree) if isinstance(node, ast.BinOp)}
        assert used <= {"Add", "BitOr"}, name
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not calls & {"sum", "round", "float", "Fraction", "divmod", "math.floor"}, name
        asked = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Compare | ast.Match)]
        assert not [one for one in asked if "source" in one or ("'id'" in one and "options" not in one)]


@pytest.mark.skipif(not SHARED.exists(), reason="the larger set of scenarios is not beside the checkout")
@pytest.mark.slow
def test_scenarios_of_others_pass_or_say_why_not(runtime: Runtime) -> None:
    results = list(run(runtime, load([SHARED])))
    assert [(r.id, r.detail) for r in results if r.status == "fail"] == []
    assert Counter(r.status for r in results)["pass"] >= 227
    assert all(r.detail for r in results if r.status == "unsupported")
