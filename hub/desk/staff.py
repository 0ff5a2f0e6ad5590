"""Who of the staff is which member: named, named anew, removed, each told to the audit."""

from __future__ import annotations

from hub.desk.place import Desk
from hub.i18n import gettext as _
from hub.members import staff, view
from hub.members.search import EXACT, search

LONGEST = 64
"""Characters of a cashier's name."""


class NotNamed(Exception):
    """What was typed names nobody, or several; `field` (ref, member), and a sentence."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field, self.sentence = field, sentence


def name(desk: Desk, ref: str, text: str) -> str:
    """Say that tills call the member whom the text names (phone, e-mail, card, id, or a name that one alone
    has) so; returns their public id. Raises `NotNamed`."""
    ref = ref.strip()
    if not 0 < len(ref) <= LONGEST or not ref.isprintable():
        raise NotNamed("ref", _("a cashier's name has 1 to 64 characters"))
    member = view.by_id(desk.session, _only(desk, text))
    staff.put(desk.session, desk.program.id, ref, member.id, desk.runtime.clock())
    desk.note("staff.added", member.public_id, ref=ref)
    return str(member.public_id)


def remove(desk: Desk, ref: str, *, mistaken: bool) -> bool:
    """They are not of the staff any more, or never were; False when nobody is called so."""
    now = desk.runtime.clock()
    if not staff.drop(desk.session, desk.program.id, ref, now, mistaken=mistaken):
        return False
    desk.note("staff.removed", ref, mistaken=mistaken)
    return True


def _only(desk: Desk, text: str) -> int:
    hits = search(desk.session, desk.program.id, desk.program.region, text)
    if hits and hits[0].by in EXACT:
        hits = [hit for hit in hits if hit.by == hits[0].by]
    if not hits:
        raise NotNamed("member", _("no member is known as {text!r}", text=text[:LONGEST]))
    if len(hits) > 1:
        raise NotNamed("member", _("several members are found by that; enter a phone or an e-mail"))
    return hits[0].member_id
