"""Whose move a failure is: every fault carries a stable code for machines and a sentence for people."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

FaultName = Literal["merchant", "channel", "payload", "hub"]


class Fault(Exception):
    """A failure with an owner.

    `code` is stable and snake_case; `detail` is one sentence that names what to fix. Neither may
    hold a secret or personal data: both are stored on the delivery and shown in the dashboard.
    """

    fault: ClassVar[FaultName] = "hub"
    retryable: ClassVar[bool] = False

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class BadSignature(Fault):
    """The message does not prove that it comes from the channel."""

    fault = "merchant"


class Misconfigured(Fault):
    """A setting or credential of the channel has to be corrected by the merchant."""

    fault = "merchant"


class ChannelDown(Fault):
    """The channel did not answer, or asked us to come back later; retried with back-off.

    `retry_at` is the moment the channel asked us to wait for (aware UTC), None when it named none.
    """

    fault = "channel"
    retryable = True

    def __init__(self, code: str, detail: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(code, detail)
        self.retry_at = retry_at


class BadPayload(Fault):
    """The message cannot be understood; `path` is the JSON path of the first offending field."""

    fault = "payload"

    def __init__(self, code: str, detail: str, *, path: str = "$") -> None:
        super().__init__(code, f"{path}: {detail}")
        self.path = path


class Rejected(Fault):
    """The channel understood our request and refused it; trying again unchanged cannot help."""

    fault = "hub"


class Refusal(Exception):
    """What an operator asked for cannot be done as things are; the message is a sentence that names
    what to do. The command line shows it as `error: ...`, without a traceback."""
