"""Switching a member's account off and on again, noted with its reason."""

from __future__ import annotations

from hub.desk.place import Desk
from hub.members import view
from hub.members.switch import switch_off, switch_on


def switch(desk: Desk, member_id: int, *, on: bool, reason: str = "") -> bool:
    """Switch the account on or off; False: it was so already, and nothing is noted."""
    member = view.by_id(desk.session, member_id)
    now = desk.runtime.clock()
    changed = switch_on(desk.session, member.id) if on else switch_off(desk.session, member.id, now)
    if changed:
        desk.note("member.switched_on" if on else "member.switched_off", member.public_id, reason=reason)
    return changed
