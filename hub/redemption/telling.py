"""What channels are told of a code: one row a voucher and channel; what is pushed follows from the voucher's
state by then."""

from __future__ import annotations

from collections.abc import Iterable

from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.outbox.deliveries import Push


def code_pushes(
    program_id: int, voucher: str, topic: str, channels: Iterable[Channel], *, urgent: bool = True
) -> list[Push]:
    """A push to each of these channels. Revoking goes ahead of all other pushes: as long as it is not
    done, the code can be used once more; one whose day has passed has time."""
    priority = deliveries.NORMAL
    if topic == "revoke_code":
        priority = deliveries.URGENT if urgent else deliveries.LATER
    return [
        Push(
            program_id,
            channel.id,
            topic=topic,
            key=f"code:{voucher}",
            subject=f"voucher:{voucher}",
            priority=priority,
            body={"action": topic, "voucher": voucher},
        )
        for channel in channels
        if channel.status != "disconnected"
    ]
