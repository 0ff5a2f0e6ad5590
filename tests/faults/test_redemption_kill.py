"""kill -9 at every point of a redemption's life, then the same again: one code a shop, the points right.

A child process plays a story: hold, commit, codes made, an order that uses the code, revoked elsewhere, refunded; or
one of its other ends (cancelled, taken back, a hold or a code whose time is over, store credit instead of a code), or
what is had without asking (at so many points, with a full stamp card, cashback of a month that is over) or given away.
Just before and just after each commit of the database, and before and after each call to a shop, it counts;
at the point it was told, it sends itself SIGKILL. Another child then plays the same story from the beginning,
with the same keys and the same messages, as a till and shops would that got no answer.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from hub.canonical import SaleState
from hub.connector import Command, CreateCode, Receipt, RevokeCode
from hub.desk import gift_cards
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import having, lapsing
from tests.market import BOB, NOON, Market, Told, open_market
from tests.model_shop import CONNECTORS, ModelShop
from tests.pace import FULL, paced
from tests.spending import DOCUMENT, Spending

Kept = dict[str, str]
"""What a story knows from its earlier steps."""
Step = Callable[[Spending, Kept], None]


@dataclass(frozen=True)
class Story:
    """Steps, each of which may be played again from the beginning, and what it all comes to."""

    steps: Mapping[str, Step]
    vouchers: list[tuple[str | None, int | None, str]]
    """(state of the voucher, its uses, state of the redemption)"""
    codes: list[list[bool]]
    """What each shop keeps of the code: whether it can be used there."""
    lots: list[int]
    document: Mapping[str, Any] = field(default_factory=lambda: DOCUMENT)
    new: frozenset[str] = frozenset()
    """In a short run a process dies in these steps alone; none named: in all."""


def hold(rig: Spending, kept: Kept) -> None:
    kept["id"] = rig.hold(key="till-1").id


def commit(rig: Spending, kept: Kept) -> None:
    kept["code"] = rig.commit(kept["id"]).code


def push(rig: Spending, _kept: Kept) -> None:
    rig.push()


def sale(state: SaleState, version: int = 1) -> Step:
    def told(rig: Spending, kept: Kept) -> None:
        rig.market.sell(Told("a", 10_000, state=state, version=version, codes=(kept["code"],)))

    return told


def collect(rig: Spending, kept: Kept) -> None:
    """Somebody else has the gift card's code, and collects its money."""
    member = rig.market.member(BOB)
    rig.do(lambda desk: gift_cards.collect(desk, member, kept["code"]))


def have(rig: Spending, kept: Kept) -> None:
    """A round of the sweeper in which rewards are had by themselves."""
    having.buy_what_is_due(rig.runtime)
    kept["code"] = rig.market.rows("SELECT code FROM vouchers WHERE program_id = :program")[0].code


def buy(rig: Spending, _kept: Kept) -> None:
    """An order without a code."""
    rig.market.sell(Told("b", 100_000))


def month_ends(rig: Spending, _kept: Kept) -> None:
    """A round of the sweeper when the month of the order is over."""
    rig.sweep(NOON + timedelta(days=40))


def take_back(rig: Spending, kept: Kept) -> None:
    rig.take_back(kept["id"])


def time_passes(statement: str) -> Step:
    """What has an end had it a week ago."""

    def set_back(rig: Spending, _kept: Kept) -> None:
        with rig.runtime.sessions.begin() as session:
            session.execute(text(statement), {"program": rig.program.id})

    return set_back


def swept(*rounds: Callable[[Runtime], None]) -> Step:
    """These of the sweeper's works."""

    def round_(rig: Spending, _kept: Kept) -> None:
        for one in rounds:
            one(rig.runtime)

    return round_


HELD_LONG = """UPDATE redemptions SET hold_until = now() - interval '1 day'
               WHERE program_id = :program AND state = 'held'"""
ENDED = """UPDATE vouchers SET expires_at = now() - interval '8 days'
           WHERE program_id = :program AND state IN ('planned', 'live')"""
BOUGHT: Mapping[str, Step] = {"hold": hold, "commit": commit, "made": push}
STORIES = {
    "refunded": Story(
        {
            **BOUGHT,
            "used": sale(SaleState.PAID),
            "revoked": push,
            "refunded": sale(SaleState.REFUNDED, 2),
            "told": push,
        },
        [("used", 1, "committed")],
        [[False], [True]],  # the order's own shop is left alone
        [100],
    ),
    "cancelled": Story(
        {
            **BOUGHT,
            "used": sale(SaleState.PAID),
            "revoked": push,
            "cancelled": sale(SaleState.CANCELLED, 2),
            "revoking": push,
            "confirmed": swept(lapsing.finish),
            "told": push,
        },
        [("revoked", 0, "released")],
        [[False], [False]],
        [100],
        {**DOCUMENT, "redeem": {"when_cancelled": "points_back"}},
        frozenset({"cancelled", "revoking", "confirmed"}),
    ),
    "taken back": Story(
        {**BOUGHT, "taken": take_back, "revoking": push, "confirmed": swept(lapsing.finish), "told": push},
        [("revoked", 0, "released")],
        [[False], [False]],
        [100],
        new=frozenset({"taken", "revoking", "confirmed"}),
    ),
    "held for too long": Story(
        {"hold": hold, "time": time_passes(HELD_LONG), "let go": swept(lapsing.let_go), "told": push},
        [(None, None, "released")],
        [],
        [100],
        new=frozenset({"let go"}),
    ),
    "expired": Story(
        {
            **BOUGHT,
            "time": time_passes(ENDED),
            "expiring": swept(lapsing.expire),
            "gone": push,
            "settled": swept(lapsing.finish),
            "told": push,
        },
        [("expired", 0, "released")],
        [[False], [False]],
        [100],
        new=frozenset({"expiring", "gone", "settled"}),
    ),
    "store credit": Story(
        {"hold": hold, "commit": commit, "told": push},
        [("used", 0, "committed")],
        [],
        [50_000, 80],
        {**DOCUMENT, "credit": {}, "rewards": [{"id": "r", "name": "R", "cost": 20, "credit": {"VND": "50000"}}]},
        frozenset({"commit"}),
    ),
    "automatic": Story(
        {"had": have, "made": push, "used": sale(SaleState.PAID), "revoked": push,
         "refunded": sale(SaleState.REFUNDED, 2), "told": push},
        [("used", 1, "committed")],
        [[False], [True]],
        [100],
        {**DOCUMENT, "rewards": [{**DOCUMENT["rewards"][0], "automatic": True, "per_member": 1}]},
        frozenset({"had"}),
    ),
    "stamp card": Story(
        {"stamped": buy, "had": have, "made": push},
        [("live", 0, "committed")],
        [[True], [True]],
        [],
        {"earn": {"type": "per_quantity"}, "rewards": [
            {"id": "r", "name": "Cup", "cost": 103, "amount": {"VND": "9000"}, "automatic": True}]},
        frozenset({"stamped", "had"}),
    ),
    "gift card": Story(
        {"hold": hold, "commit": commit, "collected": collect, "told": push},
        [("used", 0, "committed")],
        [[False], [False]],  # nobody was told of it, and everybody that it is spent
        [50_000, 80],
        {**DOCUMENT, "credit": {}, "rewards": [{"id": "r", "name": "R", "cost": 20, "gift_card": {"VND": "50000"}}]},
        frozenset({"commit", "collected"}),
    ),
    "cashback": Story(
        {"bought": buy, "over": month_ends, "told": push},
        [],
        [],
        [5_000, 100, 10],
        {**DOCUMENT, "credit": {"cashback": [{"percent": "5"}], "paid_out": "month"}},
        frozenset({"bought", "over"}),
    ),
}  # fmt: skip

SHORT = ("automatic", "cancelled", "gift card")
"""What a short run plays."""


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


def play(story: Story, rig: Spending, points: Points) -> None:
    kept: Kept = {}
    for points.step, step in story.steps.items():
        step(rig, kept)


@dataclass
class Stage:
    """Where the story is played again and again, each time in a programme of its own."""

    settings: Settings
    runtime: Runtime
    data: Path

    def market(self, story: Story) -> Market:
        rig = Spending(open_market(self.runtime, story.document))
        rig.meet()
        if "collected" in story.steps:
            rig.meet(BOB)
        rig.gift(100)
        return rig.market

    def play(self, story: Story, market: Market, die_at: int = -1) -> list[str] | None:
        """The points passed; None: it died."""
        codes, told = self.data / market.program.slug, self.data / "told"
        codes.mkdir(exist_ok=True)
        child = os.fork()
        if not child:
            try:
                runtime, points = Runtime.start(self.settings), Points(die_at)
                points.watch(codes)
                play(story, Spending(Market(runtime, market.program, market.shops)), points)
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
        lots = """SELECT remaining FROM lots l JOIN accounts a ON a.id = l.account_id
                  WHERE a.program_id = :program AND remaining > 0 ORDER BY remaining DESC"""
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
            "lots": [row.remaining for row in market.rows(lots)],
        }


@pytest.fixture
def stage(database: str, redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    settings = Settings(data=tmp_path, database_url=database, redis_url=redis_url, connectors=CONNECTORS)
    runtime = Runtime.start(settings)
    yield Stage(settings, runtime, tmp_path)
    runtime.engine.dispose()


def chosen(story: Story, points: list[str]) -> list[int]:
    """In a short run one of each kind of point in each step that is new; in a full one all of them."""
    kinds = {point: number for number, point in reversed(list(enumerate(points)))}
    fresh = [n for point, n in kinds.items() if not story.new or point.partition(":")[0] in story.new]
    every = list(range(len(points)))
    return paced(0, 1) * every or sorted(fresh)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(STORIES) if FULL else SHORT)
def test_a_process_may_die_at_any_point_of_a_redemption(stage: Stage, name: str) -> None:
    story = STORIES[name]
    whole = stage.market(story)
    points = stage.play(story, whole)
    assert points is not None
    expected = stage.outcome(whole)
    assert expected["vouchers"] == story.vouchers
    assert (expected["codes"], expected["lots"], expected["open"]) == (story.codes, story.lots, [])
    assert {point.partition(":")[0] for point in points} >= (story.new or set(story.steps))
    for number in chosen(story, points):
        market = stage.market(story)
        assert stage.play(story, market, die_at=number) is None
        stage.restart(market)
        assert stage.play(story, market) is not None, points[number]
        assert stage.outcome(market) == expected, points[number]
        Spending(market).check()
