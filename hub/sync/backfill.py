"""Going through a backfill: fetch a channel's history, try it, bring it in; each a page or a batch at a time.

Fetched messages are stored like all others but wait (reason `history`): nothing is posted before somebody has seen
what it would come to. They bear keys of their own, so that a live message of the same content is not taken for a
repetition of one that waits; whichever is folded first, the sale is the same (rules.md A1). A page and its bookmark, a
batch's figures and its place are written in one transaction under a fence, so a killed process loses nothing.

History is brought in by one thread in the order in which it was sold (rules.md B2), and live messages go first.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hub.bulk import arrays, run, unnest
from hub.canonical import Customer, CustomerRef, Happening, Ignored, Sale
from hub.connector import Connector, HistoryPage, Inbound, Lease
from hub.db import AWAY
from hub.errors import ChannelDown, Fault
from hub.members.identity import digest, identities
from hub.outbox import channels, deliveries
from hub.outbox.channels import Channel
from hub.registry import UnknownConnector
from hub.runtime import Runtime
from hub.secrets import SecretsError
from hub.sync import backfills, process, trying
from hub.sync.backfills import Backfill
from hub.sync.known import Memory
from hub.sync.receive import kept_headers
from hub.sync.understand import FORGOTTEN

log = structlog.get_logger()

SOURCE = "backfill"
WAITS = "history"
"""The reason why a message waits that was fetched and not brought in."""
LEASE_SECONDS = 120.0
"""Longer than any page takes; prolonged with each step."""
BATCH = 100
ERASED_AT_ONCE = 1000
LIVE_WAITS = timedelta(seconds=1)
"""A live message that is due for so long goes first..."""
PATIENCE = 5.0
"""...but history is not held up for longer than this by each batch, when there is no end of them."""


class Overtaken(Exception):
    """The backfill was paused or stopped, or another process is at it; nothing of this step was written."""


def advance(runtime: Runtime, backfill_id: int, *, stopping: Callable[[], bool] = lambda: False) -> None:
    """Go on with a backfill until it waits for somebody, fails, or is told to stop. Returns at once where another
    process is at it."""
    holder = f"{runtime.name}:{secrets.token_hex(4)}"
    lease = channels.take_lease(runtime, f"backfill:{backfill_id}", LEASE_SECONDS, holder)
    if lease is None:
        return
    going = _Going(runtime, backfill_id, holder, lease, stopping)
    try:
        going.run()
    except Overtaken:
        return
    finally:
        channels.free_lease(runtime, going.lease)


@dataclass
class _Going:
    """One process at one backfill, under its lease."""

    runtime: Runtime
    backfill_id: int
    holder: str
    lease: Lease
    stopping: Callable[[], bool]

    def run(self) -> None:
        while not self.stopping():
            with self.runtime.sessions() as session:
                found = backfills.by_id(session, self.backfill_id)
                channel = channels.by_ids(session, [found.channel_id])[found.channel_id]
            if found.state == "stopped":
                self._erase()
                return
            if found.paused or found.state not in backfills.WORKING:
                return
            steps: dict[str, Callable[[Backfill, Channel], bool]] = {
                "fetching": self._fetch, "trying": self._try, "bringing": self._bring,
            }  # fmt: skip
            if not steps[found.state](found, channel):
                return

    # --- fetching ---

    def _fetch(self, found: Backfill, channel: Channel) -> bool:
        try:
            connector = channels.connector_of(self.runtime, channel)
            for page in connector.history(found.since, found.bookmark):
                connector.channel.http.exchanges.clear()
                self._store(found, channel, connector, page)
                if self.stopping():
                    return False
        except Fault as fault:
            self._failed(found, fault)
            return False
        self._fetched(found)
        return True

    def _store(self, found: Backfill, channel: Channel, connector: Connector, page: HistoryPage) -> None:
        told = [_Told(inbound, _happenings(connector, inbound)) for inbound in page.messages]
        self._prolong()
        with self.runtime.sessions.begin() as session:
            happenings = [h for one in told for h in one.happenings]
            memory = Memory(session, channel, channels.traits(type(connector)), happenings)
            news = [one for one in told if one.is_of(found) and not memory.has(one.happenings)]
            stored = _insert(session, found, channel, news)
            self._write(
                session,
                "fetching",
                """bookmark = :bookmark, note = CASE
                     WHEN CAST(:note AS text) = '' OR CAST(:note AS text) = ANY (string_to_array(note, ' ')) THEN note
                     ELSE concat_ws(' ', note, CAST(:note AS text)) END,
                   expected = coalesce(:expected, expected), seen = seen + :seen,
                   known = known + :known, stored = stored + :stored, failures = 0,
                   fault = NULL, code = NULL, detail = NULL""",
                bookmark=page.bookmark, note=page.note, expected=page.expected, seen=len(told),
                known=len(told) - len(news), stored=stored,
            )  # fmt: skip

    def _fetched(self, found: Backfill) -> None:
        """All is here: put it in order. Orders of that time which the hub has are judged again with the rest: what
        counts for tiers alone does so whichever way it came."""
        with self.runtime.sessions.begin() as session:
            run(session, _THERE_ALREADY, {"id": found.id})
            run(session, _PLACES, {"id": found.id})
            total = run(
                session,
                "SELECT count(*) AS n FROM backfill_items WHERE backfill_id = :id",
                {"id": found.id},
            )[0].n
            self._write(
                session,
                "fetching",
                """state = 'trying', total = :total, place = 0, step_base = 0, step_from = clock_timestamp(),
                   moved_at = clock_timestamp()""",
                total=total,
            )

    def _failed(self, found: Backfill, fault: Fault) -> None:
        asked = fault.retry_at if isinstance(fault, ChannelDown) else None
        with self.runtime.sessions.begin() as session:
            self._write(
                session,
                "fetching",
                """failures = failures + 1, next_at = :next, fault = :fault, code = :code, detail = :detail""",
                next=deliveries.backoff(found.failures + 1, self.runtime.clock(), asked),
                fault=fault.fault, code=fault.code, detail=fault.detail[:500],
            )  # fmt: skip

    # --- trying ---

    def _try(self, found: Backfill, channel: Channel) -> bool:
        """One batch, of whole customers: what one order brings may hang on the customer's others."""
        with self.runtime.sessions() as session:
            batch = trying.next_batch(session, found)
        figures = trying.Figures.from_json(found.forecast)
        if batch.ids:
            figures += trying.rehearse(self.runtime, found, channel, batch.ids)
        self._prolong()
        with self.runtime.sessions.begin() as session:
            end = not batch.ids
            forecast = (
                trying.concluded(session, found, figures, self.runtime.clock()) if end else figures
            )
            self._write(
                session,
                "trying",
                """state = :then, forecast = CAST(:forecast AS jsonb), place = :place""",
                then="tried" if end else "trying", forecast=forecast.as_text(),
                place=found.total if end else batch.upto,
            )  # fmt: skip
        return True

    # --- bringing ---

    def _bring(self, found: Backfill, _channel: Channel) -> bool:
        self._let_live_ones_go_first()
        self._prolong()
        with self.runtime.sessions.begin() as session:
            items = _next_items(session, found)
            claimed = _claim(
                session, found, items, timedelta(seconds=self.runtime.settings.lease_seconds)
            )
        process.process(self.runtime, claimed)
        with self.runtime.sessions.begin() as session:
            last = max(items.values(), default=found.total)
            end = ", state = 'done', ended_at = clock_timestamp()" if last >= found.total else ""
            self._write(session, "bringing", f"place = :place{end}", place=last)
        return True

    def _let_live_ones_go_first(self) -> None:
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and not self.stopping():
            with self.runtime.sessions() as session:
                waiting = run(
                    session,
                    """SELECT 1 FROM deliveries WHERE direction = 'inbound' AND state = 'due' AND priority < :later
                         AND due_at <= clock_timestamp() - CAST(:waits AS interval) LIMIT 1""",
                    {"later": deliveries.LATER, "waits": LIVE_WAITS},
                )
            if not waiting:
                return
            time.sleep(0.1)

    # --- stopped ---

    def _erase(self) -> None:
        """What was fetched and is not wanted is not kept: it is about people."""
        while not self.stopping():
            with self.runtime.sessions.begin() as session:
                erased = run(
                    session,
                    """UPDATE deliveries SET state = 'done', outcome = 'ignored', reason = 'history_left_out',
                           body = :body, finished_at = clock_timestamp()
                       WHERE id IN (SELECT d.id FROM backfill_items i JOIN deliveries d ON d.id = i.delivery_id
                                    WHERE i.backfill_id = :id AND d.state = 'waiting' AND d.reason = :waits
                                      AND d.source = :source
                                    ORDER BY d.id LIMIT :most FOR UPDATE OF d SKIP LOCKED)
                       RETURNING id""",
                    {
                        "body": FORGOTTEN, "id": self.backfill_id, "waits": WAITS, "source": SOURCE,
                        "most": ERASED_AT_ONCE,
                    },
                )  # fmt: skip
                if not erased:
                    run(
                        session,
                        "UPDATE backfills SET cleared_at = clock_timestamp() WHERE id = :id",
                        {"id": self.backfill_id},
                    )
                    return
            self._prolong()

    # --- writing ---

    def _prolong(self) -> None:
        held = channels.take_lease(self.runtime, self.lease.name, LEASE_SECONDS, self.holder)
        before, self.lease = self.lease, held or self.lease
        if held is None or held.token != before.token:
            raise Overtaken

    def _write(self, session: Session, state: str, sets: str, **values: Any) -> None:
        """Move the row on. Raises `Overtaken`, and so rolls back, where a person or a younger lease came
        between."""
        rows = run(
            session,
            f"""UPDATE backfills SET fence = :token, {"" if "moved_at" in sets else "moved_at = clock_timestamp(),"}
                    {sets}
                WHERE id = :id AND state = :was AND NOT paused AND fence <= :token RETURNING 1""",
            {**values, "token": self.lease.token, "id": self.backfill_id, "was": state},
        )
        if not rows:
            raise Overtaken


# --- what came -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """One message of a channel's history, and what it says."""

    inbound: Inbound
    happenings: Sequence[Happening]

    @property
    def sale(self) -> Sale | None:
        return next((h for h in self.happenings if isinstance(h, Sale)), None)

    def is_of(self, found: Backfill) -> bool:
        """Whether it is history: not a draft or the like, and sold in that time. One that cannot be understood
        is kept, and fails where everybody sees it."""
        if self.sale is not None:
            return found.since <= self.sale.placed_at < found.until
        said = [h for h in self.happenings if not isinstance(h, Ignored)]
        return bool(said) or not self.happenings

    def as_row(self, found: Backfill, region: str) -> dict[str, Any]:
        digest = hashlib.sha256(self.inbound.topic.encode() + b"\0" + self.inbound.body)
        sale = self.sale
        return {
            "topic": self.inbound.topic[:200],
            "key": f"{found.public_id}:{digest.hexdigest()}",
            "headers": kept_headers(self.inbound.headers),
            "body": self.inbound.body,
            "body_hash": hashlib.sha256(self.inbound.body).digest(),
            "received_at": self.inbound.received_at,
            "number": sale.number[:100] if sale else "",
            "placed_at": sale.placed_at if sale else None,
            "external_id": sale.external_id if sale else None,
            "who": _who(self.happenings),
            "about": " ".join(_about(self.happenings, found.channel_id, region)),
        }


def _happenings(connector: Connector, inbound: Inbound) -> Sequence[Happening]:
    try:
        return connector.normalise(inbound)
    except Fault:
        return ()


def _about(happenings: Sequence[Happening], channel_id: int, region: str) -> list[str]:
    """Digests of all keys of whom it is about, for when one of them is forgotten while it waits."""
    refs = [h.customer for h in happenings if isinstance(h, Sale | Customer) and h.customer is not None]
    found = [key for ref in refs for key in identities(ref, channel_id=channel_id, region=region)]
    return sorted({digest(*key) for key in found})


def _who(happenings: Sequence[Happening]) -> str:
    """A digest of whom it is about, alike for most messages about one person; "" where it says nothing."""
    for happening in happenings:
        ref: CustomerRef | None = None
        if isinstance(happening, Sale | Customer):
            ref = happening.customer
        if ref is None:
            continue
        named = [*(e.casefold() for e in ref.emails), *ref.phones, *ref.cards, ref.external_id or ""]
        first = next((one.strip() for one in named if one.strip()), "")
        return hashlib.sha256(first.encode()).hexdigest()[:32] if first else ""
    return ""


_ROW = {
    "topic": "text",
    "key": "text",
    "headers": "jsonb",
    "body": "bytea",
    "body_hash": "bytea",
    "received_at": "timestamptz",
    "number": "text",
    "placed_at": "timestamptz",
    "external_id": "text",
    "who": "text",
    "about": "text",
}


def _insert(session: Session, found: Backfill, channel: Channel, news: Sequence[_Told]) -> int:
    """Store what is news, set aside; a page that came before is there already. Returns how many are new."""
    if not news:
        return 0
    region = run(session, "SELECT region FROM programs WHERE id = :id", {"id": channel.program_id})[
        0
    ].region
    rows = {row["key"]: row for row in (one.as_row(found, region) for one in news)}
    stored = run(
        session,
        f"""WITH told AS (SELECT * FROM {unnest(_ROW)}), stored AS (
                INSERT INTO deliveries (program_id, channel_id, direction, topic, key, headers, body, body_hash,
                                        received_at, number, source, priority, state, outcome, reason)
                SELECT :program, :channel, 'inbound', topic, key, headers, body, body_hash, received_at, number,
                       :source, :later, 'waiting', 'waiting', :waits FROM told ORDER BY key
                ON CONFLICT (channel_id, direction, key) DO NOTHING RETURNING id, key)
            INSERT INTO backfill_items (backfill_id, delivery_id, placed_at, external_id, who, about)
            SELECT :backfill, s.id, t.placed_at, t.external_id, t.who, string_to_array(t.about, ' ')
            FROM stored s JOIN told t ON t.key = s.key
            RETURNING delivery_id""",
        {
            **arrays(_ROW, [rows[key] for key in sorted(rows)]),
            "program": channel.program_id, "channel": channel.id, "backfill": found.id, "source": SOURCE,
            "later": deliveries.LATER, "waits": WAITS,
        },
    )  # fmt: skip
    return len(stored)


_THERE_ALREADY = """
INSERT INTO backfill_items (backfill_id, delivery_id, placed_at, external_id, who)
SELECT b.id, max(c.delivery_id), t.placed_at, t.external_id, 'member:' || coalesce(t.member_id, 0)
FROM backfills b JOIN channels h ON h.id = b.channel_id
JOIN transactions t ON t.channel_id = b.channel_id AND t.placed_at < b.until
 AND t.placed_at >= least(b.since, h.history_from)
JOIN contributions c ON c.transaction_id = t.id AND c.kind = 'snapshot' AND c.delivery_id IS NOT NULL
WHERE b.id = :id AND NOT EXISTS (SELECT 1 FROM backfill_items i
                                 WHERE i.backfill_id = b.id AND i.external_id = t.external_id)
GROUP BY b.id, t.id, t.placed_at, t.external_id, t.member_id
ON CONFLICT DO NOTHING
"""
_PLACES = """
UPDATE backfill_items i SET place = o.place, group_place = o.group_place
FROM (SELECT delivery_id, row_number() OVER (ORDER BY placed_at NULLS FIRST, delivery_id) AS place,
             row_number() OVER (ORDER BY who, placed_at NULLS FIRST, delivery_id) AS group_place
      FROM backfill_items WHERE backfill_id = :id) o
WHERE i.backfill_id = :id AND i.delivery_id = o.delivery_id
"""


def _next_items(session: Session, found: Backfill) -> dict[int, int]:
    """Delivery -> its place, in the order of sale."""
    rows = run(
        session,
        """SELECT delivery_id, place FROM backfill_items WHERE backfill_id = :id AND place > :place
           ORDER BY place LIMIT :limit""",
        {"id": found.id, "place": found.place, "limit": BATCH},
    )
    return {row.delivery_id: row.place for row in rows}


def _claim(
    session: Session, found: Backfill, items: Mapping[int, int], lease: timedelta
) -> list[deliveries.Claimed]:
    """Those that wait still, and orders that the hub had; what a killed process had at hand comes back by itself,
    and what it had finished is not done twice."""
    own = f"{found.public_id}:"
    claimed = deliveries.claim_these(session, list(items), waiting_for=WAITS, own=own, lease=lease)
    return sorted(claimed, key=lambda one: items[one.id])


# --- beside the sweeper --------------------------------------------------------------------------

AT_ONCE = 2


class Backfiller:
    """One process's backfills, a thread each. `once` never waits for a shop."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._busy: dict[int, threading.Thread] = {}

    def once(self) -> None:
        """Begin what is due, as far as there are hands."""
        self._busy = {i: thread for i, thread in self._busy.items() if thread.is_alive()}
        with self.runtime.sessions() as session:
            due = backfills.due(session, self.runtime.clock())
        for backfill_id in _free(due, self._busy):
            thread = threading.Thread(
                target=advance_quietly, args=(self.runtime, backfill_id), daemon=True
            )
            self._busy[backfill_id] = thread
            thread.start()

    def wait(self, seconds: float = 30.0) -> None:
        """Until what was begun has ended, for tests and for the end of a process."""
        ends = time.monotonic() + seconds
        for thread in self._busy.values():
            thread.join(max(0.0, ends - time.monotonic()))


def _free(due: Sequence[int], busy: Mapping[int, threading.Thread]) -> Iterator[int]:
    yield from [i for i in due if i not in busy][: max(0, AT_ONCE - len(busy))]


def advance_quietly(
    runtime: Runtime, backfill_id: int, *, stopping: Callable[[], bool] = lambda: False
) -> None:
    """`advance` in a thread: what it cannot do now it does at another time."""
    try:
        advance(runtime, backfill_id, stopping=stopping)
    except (SQLAlchemyError, *AWAY, UnknownConnector, SecretsError) as error:
        log.warning("a backfill goes on later", backfill=backfill_id, error=type(error).__name__)
        _later(runtime, backfill_id)
    except Exception as error:
        # the one place for a failure of ours: other backfills go on all the same
        log.error("a backfill failed", backfill=backfill_id, exc_info=error)
        _later(runtime, backfill_id)


def _later(runtime: Runtime, backfill_id: int) -> None:
    later: datetime = runtime.clock() + timedelta(minutes=1)
    try:
        with runtime.sessions.begin() as session:
            run(
                session,
                "UPDATE backfills SET next_at = :at WHERE id = :id",
                {"at": later, "id": backfill_id},
            )
    except SQLAlchemyError:
        log.warning("the database is away; the backfill goes on later", backfill=backfill_id)
