"""kill -9 at every point of a redemption's life, then the same again: one code a shop, the points right.

A child process plays the story: hold, commit, codes made, an order that uses the code, revoked elsewhere, refunded.
Just before and just after each commit of the database, and before and after each call to a shop, it counts;
at the point it was told, it sends itself SIGKILL. Another child then plays the same story from the beginning,
with the same keys and the same messages, as a till and shops would that got no answer.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from hub.canonical import SaleState
from hub.connector import Command, CreateCode, Receipt, RevokeCode
from hub.runtime import Runtime
from hub.settings import Settings
from tests.market import ANN, Market, Told, open_market
from tests.model_shop import CONNECTORS, ModelShop
from tests.pace import paced
from tests.spending import DOCUMENT, Spending

STEPS = ("hold", "commit", "made", "used", "revoked", "refunded", "told")


@dataclass
class Points:
    """Counts the points where a process may die, and dies at one of them."""

    die_at: int = -1
    step: str = ""
    passed: list[str] = field(default_factory=list)

    def pass_(self, what: str) -> None:
        if len(self.passed) == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(f"{self.step}: {what}")

    def watch(self, codes: Path) -> None:
        """Every commit, and every call of a shop, of this process from now on."""

        def around(moment: str) -> Any:
            def seen(session: Session) -> None:
                if not session.in_nested_transaction():
                    self.pass_(f"{moment} commit")

            return seen

        event.listen(Session, "before_commit", around("before"))
        event.listen(Session, "after_commit", around("after"))

        def push(shop: ModelShop, command: Command) -> Receipt:
            self.pass_(f"before {command.action}")
            platform(codes, shop, command)
            self.pass_(f"after {command.action}")
            return Receipt()

        ModelShop.push = push  # type: ignore[method-assign, assignment]


def platform(codes: Path, shop: ModelShop, command: Command) -> None:
    """What the platform keeps: code -> whether it can be used. It outlives the hub."""
    if not isinstance(command, CreateCode | RevokeCode):
        return
    file = codes / sha256(shop.channel.webhook_url.encode()).hexdigest()[:12]
    kept = json.loads(file.read_text()) if file.exists() else {}
    kept[command.code] = isinstance(command, CreateCode)
    file.write_text(json.dumps(kept))


def story(rig: Spending, points: Points) -> None:
    points.step = "hold"
    held = rig.hold(key="till-1")
    points.step = "commit"
    code = rig.commit(held.id).code
    points.step = "made"
    rig.push()
    points.step = "used"
    rig.market.sell(Told("a", 10_000, codes=(code,)))
    points.step = "revoked"
    rig.push()
    points.step = "refunded"
    rig.market.sell(Told("a", 10_000, state=SaleState.REFUNDED, version=2, codes=(code,)))
    points.step = "told"
    rig.push()


@dataclass
class Stage:
    """Where the story is played again and again, each time in a programme of its own."""

    settings: Settings
    runtime: Runtime
    data: Path

    def market(self) -> Market:
        rig = Spending(open_market(self.runtime, DOCUMENT))
        rig.meet()
        rig.gift(100)
        return rig.market

    def play(self, market: Market, die_at: int = -1) -> list[str] | None:
        """The points passed; None: it died."""
        codes, told = self.data / market.program.slug, self.data / "told"
        codes.mkdir(exist_ok=True)
        child = os.fork()
        if not child:
            try:
                runtime, points = Runtime.start(self.settings), Points(die_at)
                points.watch(codes)
                story(Spending(Market(runtime, market.program, market.shops)), points)
                told.write_text(json.dumps(points.passed))
                os._exit(0)
            except BaseException:  # noqa: BLE001 - a child ends here, whatever it met
                told.write_text(traceback.format_exc())
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return None
        assert status == 0, told.read_text()
        return list(json.loads(told.read_text()))

    def restart(self, market: Market) -> None:
        """What the dead process held is found when its leases have run out."""
        with self.runtime.sessions.begin() as session:
            session.execute(
                text(
                    """UPDATE deliveries SET lease_until = clock_timestamp() - interval '1 second'
                       WHERE state = 'working' AND program_id = :program"""
                ),
                {"program": market.program.id},
            )
        Spending(market).sweep()

    def outcome(self, market: Market) -> dict[str, Any]:
        """Everything that must be the same however often a process died."""
        rig = Spending(market)
        entries = "SELECT amount, counter FROM entries WHERE program_id = :program ORDER BY id"
        vouchers = """SELECT v.state, v.uses, r.state AS spent FROM redemptions r LEFT JOIN vouchers v
                      ON v.redemption_id = r.id WHERE r.program_id = :program"""
        at_work = "SELECT state FROM deliveries WHERE program_id = :program AND state <> 'done'"
        places = """SELECT c.name, vc.state FROM voucher_channels vc JOIN channels c ON c.id = vc.channel_id
                    WHERE c.program_id = :program ORDER BY c.id"""
        files = sorted((self.data / market.program.slug).iterdir())
        return {
            "entries": [tuple(row) for row in market.rows(entries)],
            "vouchers": [tuple(row) for row in market.rows(vouchers)],
            "shops": [tuple(row) for row in market.rows(places)],
            "open": [row.state for row in market.rows(at_work)],
            "codes": sorted(list(json.loads(file.read_text()).values()) for file in files),
            "lots": rig.lots(ANN),
        }


@pytest.fixture
def stage(database: str, redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    runtime = Runtime.start(settings)
    yield Stage(settings, runtime, tmp_path)
    runtime.engine.dispose()


def chosen(points: list[str]) -> list[int]:
    """In a short run one of each kind of point in each step; in a full one all of them."""
    kinds = {point: number for number, point in reversed(list(enumerate(points)))}
    every = list(range(len(points)))
    return paced(0, 1) * every or sorted(kinds.values())


@pytest.mark.slow
def test_a_process_may_die_at_any_point_of_a_redemption(stage: Stage) -> None:
    whole = stage.market()
    points = stage.play(whole)
    assert points is not None
    expected = stage.outcome(whole)
    assert expected["vouchers"] == [("used", 1, "committed")]
    assert expected["shops"] == [("North", "used"), ("South", "revoked")]
    assert expected["codes"] == [[False], [True]]  # the order's own shop is left alone
    assert (expected["open"], expected["lots"]) == ([], [(100, None)])
    assert {point.partition(":")[0] for point in points} == set(STEPS)
    for number in chosen(points):
        market = stage.market()
        assert stage.play(market, die_at=number) is None
        stage.restart(market)
        assert stage.play(market) is not None, points[number]
        assert stage.outcome(market) == expected, points[number]
        Spending(market).check()
