"""Forgetting a member at the desk: what would go, and doing it."""

from __future__ import annotations

from hub.desk.place import Desk, rehearsal
from hub.sync import forgetting
from hub.sync.forgetting import Forgotten


def forget(desk: Desk, member_id: int) -> Forgotten:
    """Forget them: name, birthday, address, keys and messages go; orders and points stay, with nobody's
    name on them. A second time finds nothing more. There is no way back."""
    now = desk.runtime.clock()
    return forgetting.forget(desk.session, desk.program.id, member_id, actor=desk.actor, now=now)


def preview(desk: Desk, member_id: int) -> Forgotten:
    """What `forget` would come to."""
    with rehearsal(desk.session):
        return forget(desk, member_id)
