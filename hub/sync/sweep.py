"""The sweeper: rings for what is due, frees what is stuck, settles lots; drains when Redis is down.

One loop under `hub up`, one at a time by a lease in PostgreSQL. Everything it does is safe to do
twice, and nothing depends on it but delay.
"""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections import defaultdict
from datetime import timedelta
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hub import answers
from hub.bulk import run as execute
from hub.ledger import commands
from hub.ledger.accounts import RootChanged
from hub.ledger.write import LedgerBroken
from hub.members import one_time
from hub.outbox import channels, connections, deliveries, old_secrets
from hub.program import store
from hub.runtime import Runtime
from hub.settings import Settings
from hub.sync import (
    backfills,
    bringing_codes,
    checking,
    having,
    lapsing,
    occasions,
    own_sales,
    process,
    push,
    replays,
    silence,
    standings,
)
from hub.sync.asking import Asker
from hub.sync.backfill import Backfiller
from hub.sync.doorbell import Doorbell
from hub.transactions import standing

log = structlog.get_logger()

SETTLE_BATCH = 200
BROKEN_WAITS = timedelta(hours=1)
"""When an account whose book is broken is settled again."""
FORGET_SECONDS = 60.0
LOOK_SECONDS = 30.0
"""How often birthdays and new members are looked for."""
CHECK_SECONDS = 60.0
"""How often channels are asked about codes, and about how many."""
CHECKED_AT_ONCE = 10
LISTEN_SECONDS = 30.0
"""How often channels are listened to for silence."""
LEASE = "sweeper"


class Sweeper:
    """One process's sweeping."""

    def __init__(self, runtime: Runtime, doorbell: Doorbell) -> None:
        self.runtime = runtime
        self.doorbell = doorbell
        self.holder = f"{runtime.name}:{secrets.token_hex(4)}"
        self._forgot_at = -FORGET_SECONDS
        self._looked_at = -LOOK_SECONDS
        self._walked_at = -FORGET_SECONDS
        self._checked_at = time.monotonic()
        self._checking: threading.Thread | None = None
        self._asker = Asker(runtime)
        self._backfiller = Backfiller(runtime)
        self._listened_at = -LISTEN_SECONDS

    def once(self) -> None:
        """One round; nothing happens while another sweeper holds the lease."""
        period = self.runtime.settings.sweep_seconds
        if channels.take_lease(self.runtime, LEASE, max(10.0, period * 3), self.holder) is None:
            return
        with self.runtime.sessions.begin() as session:
            freed = deliveries.free_stuck(session)
        if freed:
            log.info("freed stuck deliveries", count=len(freed))
        replays.advance_all(self.runtime)
        self._ring()
        self._settle()
        lapsing.let_go(self.runtime)
        lapsing.expire(self.runtime)
        lapsing.finish(self.runtime)
        having.buy_what_is_due(self.runtime)
        bringing_codes.bring_in_line(self.runtime)
        self._look()
        self._stand()
        self._check_codes()
        self._listen()
        self._asker.once()
        self._backfiller.once()
        self._forget()

    def _ring(self) -> None:
        """Ring where something is due; without Redis do the work here, in slices."""
        with self.runtime.sessions() as session:
            inbound = deliveries.is_any_due(session, "inbound")
            outbound = deliveries.is_any_due(session, "outbound")
        slice_ = self.runtime.settings.sweep_seconds
        if inbound and not self.doorbell.ring("inbound"):
            process.drain(self.runtime, seconds=slice_)
        if outbound and not self.doorbell.ring("outbound"):
            push.drain(self.runtime, seconds=slice_)

    def _settle(self) -> None:
        """Post what has expired, and push balances that vesting or expiry changed."""
        with self.runtime.sessions() as session:
            rows = execute(
                session,
                """SELECT program_id, coalesce(member_id, holder_id) AS member_id, currency FROM accounts
                   WHERE next_settle_at <= :now ORDER BY next_settle_at LIMIT :limit""",
                {"now": self.runtime.clock(), "limit": SETTLE_BATCH},
            )
        together: dict[tuple[int, str | None], list[int]] = defaultdict(list)
        for row in rows:
            together[row.program_id, row.currency].append(row.member_id)
        for (program_id, currency), members in together.items():
            self._settle_program(program_id, members, currency)

    def _settle_program(self, program_id: int, members: list[int], currency: str | None) -> None:
        """All in one transaction; one whose book is broken is found by halving and passed over."""
        try:
            with self.runtime.sessions.begin() as session:
                self._settle_members(session, program_id, members, currency)
        except RootChanged:
            return  # merged at this moment: the next round finds who it is now
        except LedgerBroken as error:
            if len(members) == 1:
                self._pass_over(members[0], currency, error)
                return
            middle = len(members) // 2
            self._settle_program(program_id, members[:middle], currency)
            self._settle_program(program_id, members[middle:], currency)

    def _stand(self) -> None:
        """Tiers whose review has come, and, for a while, members whom new rules concern."""
        standings.review_due(self.runtime)
        if time.monotonic() - self._walked_at < FORGET_SECONDS:
            return
        ends = time.monotonic() + self.runtime.settings.sweep_seconds
        while standings.walk(self.runtime):
            if time.monotonic() > ends:
                return  # the next round goes on
        self._walked_at = time.monotonic()

    def _settle_members(
        self, session: Session, program_id: int, members: list[int], currency: str | None
    ) -> None:
        now = self.runtime.clock()
        commands.settle(
            session, program_id, members, chain_key=self.runtime.chain_key, now=now, currency=currency
        )
        versions = store.versions(session, store.by_id(session, program_id))
        standing.refresh(session, program_id, versions, members, self.runtime.clock())
        its = channels.of_program(session, program_id)
        deliveries.enqueue(session, process.balance_pushes(self.runtime, program_id, its, members))

    def _listen(self) -> None:
        """Look which channels have fallen silent; the asker asks them."""
        if time.monotonic() - self._listened_at >= LISTEN_SECONDS:
            silence.listen(self.runtime)
            self._listened_at = time.monotonic()

    def _check_codes(self) -> None:
        """Ask channels about a few codes, in turn. Beside the rounds: a shop that does not answer holds up
        nothing else."""
        busy = self._checking is not None and self._checking.is_alive()
        if busy or time.monotonic() - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = time.monotonic()
        self._checking = threading.Thread(target=self._check_some, daemon=True)
        self._checking.start()

    def _check_some(self) -> None:
        try:
            found = checking.next_places(self.runtime, CHECKED_AT_ONCE)
            for place in found:
                checking.check(self.runtime, place, repair=True)
            checking.checked(self.runtime, found, CHECKED_AT_ONCE)
        except SQLAlchemyError as error:
            log.warning("codes are checked later", error=type(error).__name__)

    def _pass_over(self, member: int, currency: str | None, error: LedgerBroken) -> None:
        """Nothing is written on top of a broken book, and the others do not wait for it."""
        log.error("ledger broken; run hub ledger verify", member=member, error=str(error))
        with self.runtime.sessions.begin() as session:
            execute(
                session,
                """UPDATE accounts SET next_settle_at = :later
                   WHERE coalesce(member_id, holder_id) = :member AND currency IS NOT DISTINCT FROM :currency""",
                {
                    "later": self.runtime.clock() + BROKEN_WAITS,
                    "member": member,
                    "currency": currency,
                },
            )

    def _look(self) -> None:
        """Record what earns points without anybody telling of it."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        occasions.record_due(self.runtime)
        own_sales.look(self.runtime)
        self._looked_at = time.monotonic()

    def _forget(self) -> None:
        """Drop what was in quarantine long enough, also of channels that nothing comes to any more, and old
        answers."""
        if time.monotonic() - self._forgot_at < FORGET_SECONDS:
            return
        with self.runtime.sessions.begin() as session:
            execute(
                session,
                "DELETE FROM quarantine WHERE received_at < clock_timestamp() - CAST(:age AS interval)",
                {"age": timedelta(days=self.runtime.settings.quarantine_days)},
            )
            replays.forget(session)
            answers.forget(session, self.runtime.clock())
            one_time.forget(session, self.runtime.clock())
            old_secrets.forget_previous(session, self.runtime)
        self._forgot_at = time.monotonic()


def run(settings: Settings) -> None:
    """Sweep until SIGTERM or SIGINT."""
    runtime = Runtime.start(settings, "sweep")
    sweeper = Sweeper(runtime, Doorbell(settings.redis_url))
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while not stop.is_set():
        try:
            sweeper.once()
        except SQLAlchemyError as error:
            log.warning("the database is away; sweeping goes on", error=type(error).__name__)
        stop.wait(settings.sweep_seconds)


def after_restore(session: Session) -> None:
    """Make a restored hub safe: what was being read in is due again; what was on its way out waits
    for a person, since nobody knows what the channels have seen after the backup was made."""
    execute(session, "DELETE FROM leases")
    replays.after_restore(session)
    connections.after_restore(session)
    backfills.after_restore(session)
    execute(
        session,
        """UPDATE deliveries SET state = 'due', lease_until = NULL, lease_token = NULL, due_at = clock_timestamp()
           WHERE direction = 'inbound' AND state = 'working'""",
    )
    execute(
        session,
        """UPDATE deliveries SET state = 'parked', lease_until = NULL, lease_token = NULL, fault = 'hub',
               code = 'restored', detail = 'The hub was restored from a backup while this was on its way out; '
               'replay it if the channel has not got it.'
           WHERE direction = 'outbound' AND state IN ('due', 'working')""",
    )
