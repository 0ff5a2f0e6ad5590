"""The desk itself: who acts, in which program, in whose transaction; and rehearsing a deed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from hub.audit import record
from hub.desk.ending import Ending
from hub.outbox import channels, deliveries
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.rules import Rules, in_force
from hub.program.store import Program
from hub.runtime import Runtime
from hub.sync.again import again
from hub.sync.process import balance_pushes

Result = TypeVar("Result")

_SECONDS = 5.0
"""After which no further attempt is begun: whoever asks waits for an answer."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one deed is done; the caller owns the session's transaction."""

    runtime: Runtime
    session: Session
    program: Program
    actor: str
    """As noted on entries and in the audit."""

    ending: Ending | None = None
    """Where a till waits for the deed: what is written down and told beside it comes in one statement at its
    end, by whoever gave this. None: each at once."""

    _known: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def rules(self) -> Rules:
        """The programme's rules in force now; looked up once for the deed."""
        if "rules" not in self._known:
            versions = store.history(self.session, self.program)
            self._known["rules"] = in_force(versions, self.runtime.clock())
        found: Rules = self._known["rules"]
        return found

    def channels(self) -> list[Channel]:
        """The programme's channels that are not disconnected; looked up once for the deed."""
        if "channels" not in self._known:
            self._known["channels"] = channels.of_program(self.session, self.program.id)
        found: list[Channel] = self._known["channels"]
        return found

    def note(self, action: str, subject: str, **detail: Any) -> None:
        """Write a deed into the audit; the detail holds no personal data."""
        if self.ending is not None:
            self.ending.note(action, subject, detail)
            return
        record(self.session, self.program.id, self.actor, action, subject, detail)

    def tell_balances(self, members: Iterable[int]) -> None:
        """Make the balances of these members due in every channel that shows balances."""
        pushes = balance_pushes(self.runtime, self.program.id, self.channels(), members)
        if self.ending is not None:
            self.ending.pushes += pushes
            return
        deliveries.enqueue(self.session, pushes)


def carry_out(runtime: Runtime, program: Program, actor: str, deed: Callable[[Desk], Result]) -> Result:
    """A deed in a transaction of its own, tried again when another process came between (a lock that
    was not to be had in time, a member merged meanwhile); whatever it refuses with is raised."""
    return again(runtime, lambda session: deed(Desk(runtime, session, program, actor)), seconds=_SECONDS)


@contextmanager
def rehearsal(session: Session) -> Iterator[None]:
    """Whatever is done inside the block is undone at its end: a preview is the deed itself, so it
    cannot show anything else than what would happen."""
    point = session.begin_nested()
    try:
        yield
    finally:
        point.rollback()


def changed(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """By how many points a balance moved."""
    return after["balance"] - before["balance"]
