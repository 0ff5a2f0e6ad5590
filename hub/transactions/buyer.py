"""Who bought an order, as it was judged: tier, groups, birthday; and whether it was told of too late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.i18n import gettext as _
from hub.program.rules import Rules

BIRTHDAY_WORDS: Mapping[str, str] = {
    "day": "It was the buyer's birthday.",
    "week": "It was the week of the buyer's birthday.",
    "month": "It was the month of the buyer's birthday.",
}


def judged_for(session: Session, transaction_id: int) -> dict[str, Any] | None:
    """What was so of the buyer when the order was placed; None where no rule asked."""
    rows = run(
        session,
        """SELECT c.tier, c.segments, c.birthday, c.late AS context_late, c.resolved_at
           FROM sale_contexts c JOIN transactions t ON t.id = c.transaction_id AND t.member_id = c.member_id
           WHERE c.transaction_id = :id""",
        {"id": transaction_id},
    )
    return dict(rows[0]._mapping) if rows else None


def in_words(session: Session, transaction_id: int, rules: Rules | None) -> list[str]:
    """The same in sentences."""
    found = judged_for(session, transaction_id)
    if found is None or rules is None:
        return []
    said = []
    if found["tier"] is not None:
        said.append(_("The buyer was in the tier {tier} then.", tier=_tier(rules, found["tier"])))
    names = {one.id: one.name for one in rules.segments}
    groups = [names.get(one, one) for one in sorted(found["segments"])]
    if groups:
        said.append(_("The buyer belonged to: {groups}.", groups=", ".join(groups)))
    said += [_(word) for when, word in BIRTHDAY_WORDS.items() if when in _narrowest(found["birthday"])]
    if found["context_late"]:
        said.append(
            _(
                "It was told of when a later order had its points already, which knew nothing of it; "
                "`hub program reassess` shows what that changes."
            )
        )
    return said


def _narrowest(occasions: list[str]) -> list[str]:
    return [one for one in BIRTHDAY_WORDS if one in occasions][:1]


def _tier(rules: Rules, tier: str) -> str:
    place = rules.tiers.place(tier) if rules.tiers else -1
    return rules.tiers.levels[place].name if rules.tiers and place >= 0 else tier
