"""What a deed leaves behind beside itself, in one statement at its end: the audit, what channels are told, and the
answer under the caller's key. A till waits for each way to the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from hub import answers, audit
from hub.bulk import run
from hub.outbox import deliveries
from hub.outbox.deliveries import Push


@dataclass(slots=True)
class Ending:
    """Gathered while a deed is done; nothing of it is in the database before `write`."""

    program_id: int
    actor: str
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    """(action, subject, detail as JSON)."""
    pushes: list[Push] = field(default_factory=list)
    answer: tuple[str, int, str] | None = None
    """(key, status, response)."""

    def note(self, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        """A line for the audit."""
        self.notes.append((action, subject, json.dumps(dict(detail))))

    def write(self, session: Session) -> None:
        """In the transaction of the deed, as its last statement."""
        parts: list[str] = []
        given: dict[str, Any] = {}
        if self.notes:
            parts.append(audit.RECORDED)
            actions, subjects, details = (list(column) for column in zip(*self.notes, strict=True))
            given |= {"program": self.program_id, "actor": self.actor}
            given |= {"actions": actions, "subjects": subjects, "details": details}
        if self.pushes:
            parts.append(deliveries.ENQUEUED)
            given |= deliveries.pushed(self.pushes)
        if self.answer is not None:
            parts.append(answers.KEPT_UNDER)
            answered, status, response = self.answer
            given |= {
                "program": self.program_id,
                "answered": answered,
                "status": status,
                "response": response,
            }
        if parts:
            *first, last = parts
            before = ", ".join(f"part{number} AS ({sql})" for number, sql in enumerate(first))
            run(session, f"WITH {before} {last}" if before else last, given)
