"""Carrying rows over: what they would do, and doing it, a batch in a transaction.

Points are targets, as those of sales are: a row that comes again does nothing, a corrected one moves the
difference. So an import that was broken off is carried on by running it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hub.bulk import arrays, run, unnest
from hub.canonical import Customer
from hub.desk import tiers
from hub.desk.place import Desk
from hub.desk.tiers import Decision, KeyConflict, TierRefused
from hub.i18n import gettext as _
from hub.imports.rows import Row, Wrong
from hub.ledger.bonus import Bonus, post_bonuses, posted_points
from hub.members import profile
from hub.members.identity import Identity
from hub.members.resolve import Directory, Enrol, Mention, look_up, resolve
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.expiry import expires_at
from hub.program.rules import Rules
from hub.transactions import standing

BATCH = 200
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a foreign table's names and birthdays are from: what a shop says of a customer is newer."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from."""

    source: str
    """A short name; rows of one source and key are the same row."""
    channel: Channel | None = None
    """Whose customer ids the rows name."""
    only_known: bool = False
    """Nobody new becomes a member."""


@dataclass(slots=True)
class Tally:
    """What an import did, or would do."""

    rows: int = 0
    known: set[int] = field(default_factory=set)
    """Members that rows are about."""
    new: set[int] = field(default_factory=set)
    """Those who became members by it; before it is done, numbers below zero."""
    unknown: int = 0
    """Rows about nobody who is a member, where only those are wanted."""
    suggestions: int = 0
    """Pairs of members that one row says are one person; a person decides about them."""
    points: int = 0
    """Given, less what corrected rows took back."""
    unchanged: int = 0
    """Rows whose points were there already."""
    wrong: list[Wrong] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count the next batch in."""
        self.rows += other.rows
        self.unknown += other.unknown
        self.suggestions += other.suggestions
        self.points += other.points
        self.unchanged += other.unchanged
        self.wrong += other.wrong
        self.new |= other.new
        self.known = (self.known | other.known) - self.new


def bonus(origin: Origin, row: Row, member_id: int, rules: Rules, now: datetime) -> Bonus:
    """The points of a row. Without a last day of their own they end by the programme's rules, from the day on
    which they were earned, else from now."""
    earned = row.earned_at or now
    steps = ({"code": "imported", "points": str(row.points), "source": origin.source},)
    return Bonus(
        subject=subject(origin, row),
        member_id=member_id,
        points=row.points,
        occurred_at=earned,
        available_at=earned,
        expires_at=row.expires_at or expires_at(rules.expiry, earned, rules.time_zone),
        context="import",
        explanation=steps,
    )


def subject(origin: Origin, row: Row) -> str:
    """The grant of a row, the same whenever it comes."""
    return f"import:{origin.source}:{row.key}"


def sound(
    origin: Origin, rows: Iterable[Row], rules: Rules, now: datetime
) -> tuple[list[Row], list[Wrong]]:
    """The rows that can be carried over, and those that cannot for what they mean: people whom only a
    channel that was not named knows, and points that the rules ended before they came."""
    good: list[Row] = []
    bad: list[Wrong] = []
    for row in rows:
        known = replace(row, ref=replace(row.ref, external_id=None)) if origin.channel is None else row
        if not (known.ref.external_id or known.ref.cards or known.ref.phones or known.ref.emails):
            bad.append(
                Wrong(row.line, "customer", _("say which channel these customer ids are of (--channel)"))
            )
            continue
        end = row.expires_at or expires_at(rules.expiry, row.earned_at or now, rules.time_zone)
        if row.points and end is not None and end <= now:
            said = _(
                "by the programme's rules these points ended on {day}; give their last day",
                day=end.date(),
            )
            bad.append(Wrong(row.line, "expires", said))
            continue
        good.append(known)
    return good, bad


# --- beforehand ----------------------------------------------------------------------------------


def foresee(desk: Desk, origin: Origin, rows: Sequence[Row]) -> Tally:
    """What `carry` would do to the rows of a table; reads only, takes no locks."""
    tally, people = Tally(), _People()
    for batch in _batches(rows):
        mentions = [_mention(desk, origin, row) for row in batch]
        directory = look_up(desk.session, desk.program.id, mentions)
        posted = posted_points(desk.session, desk.program.id, [subject(origin, row) for row in batch])
        for row, mention in zip(batch, mentions, strict=True):
            tally.rows += 1
            if people.meet(directory, mention, origin.only_known) is None:
                tally.unknown += 1
                continue
            there = posted.get(subject(origin, row), 0)
            tally.points += row.points - there
            tally.unchanged += bool(row.points) and row.points == there
    tally.known, tally.new = people.known, {-number for number in range(1, people.new + 1)}
    tally.suggestions = len(people.conflicts)
    return tally


@dataclass(slots=True)
class _People:
    """Who the rows so far are: members, and people who are nobody's yet, by any of their keys."""

    known: set[int] = field(default_factory=set)
    new: int = 0
    conflicts: set[tuple[int, int]] = field(default_factory=set)
    _of: dict[Identity, int] = field(default_factory=dict)

    def meet(self, directory: Directory, mention: Mention, only_known: bool) -> int | None:
        """The member of a mention; a number below zero for one who would be new."""
        found = [
            directory.root(directory.members[k]) if k in directory.members else self._of.get(k)
            for k in mention.keys
        ]
        those = [one for one in found if one is not None]
        if not those and only_known:
            return None
        if not those:
            self.new += 1
        own = those[0] if those else -self.new
        self.conflicts |= {(min(own, other), max(own, other)) for other in those if other != own}
        for key in mention.keys:
            self._of.setdefault(key, own)
        if own > 0:
            self.known.add(own)
        return own


# --- for real ------------------------------------------------------------------------------------


def carry(desk: Desk, origin: Origin, rows: Sequence[Row]) -> Tally:
    """Carry a batch over in the caller's transaction; again: nothing. Raises `Collision` and `RootChanged`:
    begin the batch anew."""
    now, rules = desk.runtime.clock(), desk.rules()
    mentions = [_mention(desk, origin, row) for row in rows]
    directory = resolve(desk.session, desk.program.id, mentions)
    pairs = [
        (row, mention, directory.find(mention)) for row, mention in zip(rows, mentions, strict=True)
    ]
    taken = [(row, mention, member) for row, mention, member in pairs if member is not None]
    _know(desk, directory, [(mention, row) for row, mention, _member in taken])
    changes = post_bonuses(
        desk.session, desk.program.id,
        [bonus(origin, row, member, rules, now) for row, _mention, member in taken],
        chain_key=desk.runtime.chain_key, actor=desk.actor,
    )  # fmt: skip
    roots = {directory.root(member) for _row, _mention, member in taken}
    _note(desk, [(directory.root(member), row) for row, _mention, member in taken])
    wrong = [
        no for row, _mention, member in taken for no in _stand(desk, origin, directory.root(member), row)
    ]
    versions, then = (
        store.versions(desk.session, desk.program),
        desk.runtime.clock(),
    )  # after what was decided
    standing.refresh(desk.session, desk.program.id, versions, sorted(roots), then)
    desk.tell_balances(sorted(roots))
    desk.note("members.imported", desk.program.public_id, source=origin.source, rows=len(taken))
    new = set(directory.new_members)
    return Tally(
        rows=len(rows),
        known=roots - new,
        new=new,
        unknown=len(rows) - len(taken),
        suggestions=len(directory.conflicts),
        points=sum(changes.values()),
        unchanged=sum(
            bool(row.points) and not changes[subject(origin, row)] for row, _m, _member in taken
        ),
        wrong=wrong,
    )


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _mention(desk: Desk, origin: Origin, row: Row) -> Mention:
    enrol: Enrol = "existing" if origin.only_known else "anyone"
    channel = origin.channel.id if origin.channel else 0
    return Mention.of(row.ref, channel_id=channel, region=desk.program.region, enrol=enrol)


def _know(desk: Desk, directory: Directory, told: Iterable[tuple[Mention, Row]]) -> None:
    """Names, birthdays and consents, where nobody has said anything newer."""
    records = [(mention, Customer(mention.ref, 0, _LONG_AGO)) for mention, _row in told]
    profile.update(desk.session, desk.program.id, records, directory)


def _note(desk: Desk, those: Sequence[tuple[int, Row]]) -> None:
    """Since when they are members (the earliest day counts), and their tags."""
    joined = {"id": "bigint", "at": "timestamptz"}
    days = [{"id": member, "at": row.joined_at} for member, row in those if row.joined_at]
    if days:
        run(
            desk.session,
            f"""UPDATE members m SET joined_at = r.at FROM (SELECT id, min(at) AS at FROM {unnest(joined)}
                GROUP BY id) r WHERE m.id = r.id AND coalesce(m.joined_at, m.created_at) > r.at""",
            arrays(joined, days),
        )
    tagged = {"member": "bigint", "tag": "text"}
    tags = sorted({(member, tag) for member, row in those for tag in row.tags})
    if tags:
        run(
            desk.session,
            f"""INSERT INTO member_tags (member_id, program_id, tag, actor)
                SELECT r.member, :program, r.tag, :actor FROM {unnest(tagged)} ON CONFLICT DO NOTHING""",
            {
                **arrays(tagged, [dict(zip(tagged, one, strict=True)) for one in tags]),
                "program": desk.program.id,
                "actor": desk.actor,
            },
        )


def _stand(desk: Desk, origin: Origin, member: int, row: Row) -> Iterator[Wrong]:
    """The tier somebody had there, and what they had spent: decisions of a person, made once."""
    decisions: Mapping[str, Decision | None] = {
        "tier": Decision("guarantee" if row.tier_until else "set", row.tier, row.tier_until)
        if row.tier
        else None,
        "spent": Decision("count", amount=row.spent) if row.spent is not None else None,
    }
    for name, decision in decisions.items():
        if decision is None:
            continue
        try:
            tiers.decide(
                desk, member, decision, reason=origin.source, key=f"{subject(origin, row)}:{name}"
            )
        except KeyConflict:
            yield Wrong(
                row.line, name, _("an earlier import said something else; decide on the member's page")
            )
        except TierRefused as refused:
            yield Wrong(row.line, name, str(refused))
