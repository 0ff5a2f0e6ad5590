"""What people decide about a member's tier, and what they note of a member: tags, the day of joining."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hub.bulk import run
from hub.desk.place import Desk, rehearsal
from hub.i18n import gettext as _
from hub.ledger import accounts
from hub.members import view
from hub.money import from_minor
from hub.program import store
from hub.program.history import ActKind
from hub.program.ladder import Ladder
from hub.program.rules import Rules, in_force
from hub.transactions import standing
from hub.transactions.standing import Standing

LONGEST_REASON = 200
LONGEST_TAG = 100
MOST = 2**53


class TierRefused(Exception):
    """This cannot be decided; the message is a sentence."""


class KeyConflict(Exception):
    """The key was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decides; which fields count follows from the kind (`hub.program.history.Act`)."""

    kind: ActKind
    tier: str | None = None
    until: datetime | None = None
    amount: int = 0
    """Of a count: in the ladder's unit, minor units for spend."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A member's tier before and after. `repeated`: it had been carried out before."""

    before: str | None
    standing: Standing
    repeated: bool = False

    @property
    def tier(self) -> str | None:
        """The tier now."""
        return self.standing.progress.tier


def of(desk: Desk, member_id: int, now: datetime | None = None) -> Standing:
    """Where a member stands now."""
    member = view.by_id(desk.session, member_id)
    return standing.of_member(
        desk.session, desk.program.id, _versions(desk), member.id, now or desk.runtime.clock()
    )


def decide(
    desk: Desk, member_id: int, decision: Decision, *, reason: str, key: str, now: datetime | None = None
) -> Decided:
    """Carry out a decision; the same key does it once. Raises `TierRefused` and `KeyConflict`."""
    moment = now or desk.runtime.clock()
    member = view.by_id(desk.session, member_id)
    _check(in_force(_versions(desk), moment), decision, moment)
    _lock(desk, member.id)
    before = of(desk, member.id, moment)
    if _known(desk, member.id, decision, key):
        return Decided(before.progress.tier, before, repeated=True)
    _write(desk, member.id, decision, reason, key, moment)
    _refresh(desk, member.id, moment)
    after = of(desk, member.id, moment)
    desk.note(f"tier.{decision.kind}", member.public_id, tier=decision.tier, amount=decision.amount)
    desk.tell_balances([member.id])
    return Decided(before.progress.tier, after)


def decisions(desk: Desk, member_id: int) -> list[dict[str, Any]]:
    """What was decided about a member and those merged into them, newest first."""
    rows = run(
        desk.session,
        """SELECT x.at, x.kind, x.tier, x.until, x.amount, x.reason, x.actor
           FROM tier_acts x JOIN members m ON m.id = x.member_id
           WHERE x.program_id = :program AND :member IN (m.id, m.alias_of) ORDER BY x.id DESC LIMIT 100""",
        {"program": desk.program.id, "member": member_id},
    )
    return [dict(row._mapping) for row in rows]


def preview(desk: Desk, member_id: int, decision: Decision) -> Decided:
    """What `decide` would come to; raises what it would raise."""
    with rehearsal(desk.session):
        return decide(desk, member_id, decision, reason="", key="preview")


def tag(desk: Desk, member_id: int, name: str, *, on: bool) -> frozenset[str]:
    """Put a tag on a member, or take it off; returns the tags they have then. Raises `TierRefused`."""
    member, name = view.by_id(desk.session, member_id), name.strip()
    if not 0 < len(name) <= LONGEST_TAG:
        raise TierRefused(_("A tag has 1 to {n} characters.", n=LONGEST_TAG))
    if on:
        changed = run(
            desk.session,
            """INSERT INTO member_tags (member_id, program_id, tag, actor)
               VALUES (:member, :program, :tag, :actor) ON CONFLICT DO NOTHING RETURNING tag""",
            {"member": member.id, "program": desk.program.id, "tag": name, "actor": desk.actor},
        )
    else:
        changed = run(
            desk.session,
            """DELETE FROM member_tags g USING members m
               WHERE g.tag = :tag AND g.member_id = m.id AND m.program_id = :program
                 AND :member IN (m.id, m.alias_of) RETURNING g.tag""",
            {"member": member.id, "program": desk.program.id, "tag": name},
        )
    if changed:
        desk.note("member.tagged" if on else "member.untagged", member.public_id, tag=name)
    return of(desk, member.id).tags


def join(desk: Desk, member_id: int, at: datetime) -> None:
    """State when a member joined, for membership years: the list that was imported knew better."""
    member = view.by_id(desk.session, member_id)
    now = desk.runtime.clock()
    if at > now:
        raise TierRefused(_("Nobody has joined yet on a day to come."))
    _lock(desk, member.id)
    run(desk.session, "UPDATE members SET joined_at = :at WHERE id = :id", {"at": at, "id": member.id})
    _refresh(desk, member.id, now)
    desk.note("member.joined", member.public_id, at=at.isoformat())


def _versions(desk: Desk) -> list[Rules]:
    return store.versions(desk.session, desk.program)


def _refresh(desk: Desk, member_id: int, now: datetime) -> None:
    standing.refresh(desk.session, desk.program.id, _versions(desk), [member_id], now)


def _lock(desk: Desk, member_id: int) -> None:
    key, actor = desk.runtime.chain_key, desk.actor
    accounts.lock(desk.session, desk.program.id, [member_id], chain_key=key, actor=actor)


def _check(rules: Rules, decision: Decision, now: datetime) -> None:
    if rules.tiers is None:
        raise TierRefused(_("The programme has no tiers."))
    if decision.kind in {"set", "guarantee"} and rules.tiers.place(decision.tier) < 0:
        names = ", ".join(level.id for level in rules.tiers.levels)
        raise TierRefused(
            _("There is no tier {tier}; there are {names}.", tier=decision.tier, names=names)
        )
    if decision.until is not None and decision.until <= now:
        raise TierRefused(_("A guarantee ends on a day to come."))
    if not 0 <= decision.amount <= MOST:
        raise TierRefused(_("A count is a whole number of at least 0."))


def _known(desk: Desk, member_id: int, decision: Decision, key: str) -> bool:
    """Asked under the account's lock, so that two callers with one key cannot both say no."""
    rows = run(
        desk.session,
        """SELECT member_id, kind, tier, until, amount FROM tier_acts
           WHERE program_id = :program AND reference = :key""",
        {"program": desk.program.id, "key": key},
    )
    asked: tuple[Any, ...] = (member_id, decision.kind, decision.tier, decision.until, decision.amount)
    if rows and tuple(rows[0]) != asked:
        raise KeyConflict(key)
    return bool(rows)


def _write(desk: Desk, member_id: int, decision: Decision, reason: str, key: str, now: datetime) -> None:
    run(
        desk.session,
        """INSERT INTO tier_acts (program_id, member_id, kind, tier, until, amount, reason, reference, actor, at)
           VALUES (:program, :member, :kind, :tier, :until, :amount, :reason, :key, :actor, :now)""",
        {
            "program": desk.program.id,
            "member": member_id,
            "kind": decision.kind,
            "tier": decision.tier,
            "until": decision.until,
            "amount": decision.amount,
            "reason": reason[:LONGEST_REASON],
            "key": key,
            "actor": desk.actor,
            "now": now,
        },
    )


def told(stands: Standing) -> dict[str, Any]:
    """Where somebody stands, for API and command line: tiers with their names, amounts of a count of
    spend as decimal texts in the ladder's currency."""
    ladder, progress = stands.ladder, stands.progress
    found: dict[str, Any] = {
        "tier": None,
        "since": None,
        "counts": None,
        "count": None,
        "next": None,
        "keep": None,
        "held": progress.held,
        "held_until": None,
        "segments": sorted(stands.segments),
        "tags": sorted(stands.tags),
        "joined_at": stands.joined,
    }
    if ladder is None:
        return found
    found |= {
        "tier": level_told(ladder, progress.tier),
        "since": progress.since if progress.tier else None,
        "counts": ladder.by,
        "count": counted(ladder, progress.count),
    }
    if progress.next_tier is not None:
        found["next"] = {
            **(level_told(ladder, progress.next_tier) or {}),
            "from": counted(ladder, progress.next_at),
            "missing": counted(ladder, progress.missing),
        }
    if progress.held:
        found["held_until"] = progress.held_until
    if progress.review_at is not None:
        keep = counted(ladder, progress.keep_at)
        found["keep"] = {"from": keep, "review_at": progress.review_at}
    return found


def counted(ladder: Ladder, count: int | None) -> str | None:
    """A count as text: money in whole units of the ladder's currency, else a number."""
    if count is None:
        return None
    return str(from_minor(count, ladder.currency)) if ladder.by == "spend" else str(count)


def level_told(ladder: Ladder, tier: str | None) -> dict[str, Any] | None:
    """One tier with what it brings; None where it is none of these."""
    place = ladder.place(tier)
    if place < 0:
        return None
    level = ladder.levels[place]
    return {
        "id": level.id,
        "name": level.name,
        "discount": str(Decimal(level.discount).scaleb(-2).normalize()),
        "reward_discount": str(Decimal(level.reward_discount).scaleb(-2).normalize()),
        "free_shipping": level.free_shipping,
        "perks": list(level.perks),
    }
