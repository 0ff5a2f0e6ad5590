"""Who brought whom, and what both get for it: targets over the friend's sales (rules.md B3).

Nothing here commits. Transactions are locked before accounts by the caller (C4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.ids import new_id
from hub.ledger.bonus import Bonus, post_bonuses
from hub.program.expiry import availability
from hub.program.referral import Order, Reward, reward
from hub.program.rules import Rules, in_force

COUNTS = """t.state IN ('paid', 'fulfilled') AND NOT t.test AND t.waiting_for IS NULL
            AND coalesce(t.why, '') NOT IN ('copy_of_another_channel', 'before_program_start', 'backdated',
                                                'own_sale')
            AND coalesce(t.total, t.goods_net + t.goods_tax + t.shipping) > t.refunded"""
"""A sale that counts as an order of its member: paid, looked at, and not all of it given back."""


class NotReferable(Exception):
    """This friend cannot be brought by this member; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Referred:
    """A stored referral. `repeated`: it had been told before, nothing happened now."""

    id: str
    referrer_id: int
    friend_id: int
    referred_at: datetime
    repeated: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """A referral whose friend's sales may have changed; members are roots."""

    id: int
    referrer: int
    friend: int
    referred_at: datetime
    transaction_id: int | None


def refer(
    session: Session, program_id: int, referrer: int, friend: int, *, at: datetime, actor: str
) -> Referred:
    """Note that a member brought a friend. A friend is brought once; telling it again changes nothing.
    Raises `NotReferable`: themselves, or somebody else brought the friend before."""
    if referrer == friend:
        raise NotReferable("own_friend")
    rows = run(
        session,
        """INSERT INTO referrals (public_id, program_id, referrer_id, friend_id, referred_at, actor)
           VALUES (:public_id, :program, :referrer, :friend, :at, :actor)
           ON CONFLICT (program_id, friend_id) DO NOTHING
           RETURNING public_id AS id, referrer_id, friend_id, referred_at""",
        {
            "public_id": new_id("ref"),
            "program": program_id,
            "referrer": referrer,
            "friend": friend,
            "at": at,
            "actor": actor,
        },
    )
    if rows:
        return Referred(**rows[0]._mapping, repeated=False)
    known: Any = run(
        session,
        """SELECT r.public_id AS id, coalesce(m.alias_of, m.id) AS referrer_id, r.friend_id, r.referred_at
           FROM referrals r JOIN members m ON m.id = r.referrer_id
           WHERE r.program_id = :program AND r.friend_id = :friend""",
        {"program": program_id, "friend": friend},
    )[0]
    if known.referrer_id != referrer:
        raise NotReferable("friend_of_another")
    return Referred(**known._mapping, repeated=True)


def of_friends(session: Session, program_id: int, members: Collection[int]) -> list[Pending]:
    """The referrals whose friend is one of these members, or was merged with one of them."""
    rows = run(
        session,
        """SELECT r.id, coalesce(a.alias_of, a.id) AS referrer, coalesce(f.alias_of, f.id) AS friend,
                  r.referred_at, r.transaction_id
           FROM referrals r JOIN members f ON f.id = r.friend_id JOIN members a ON a.id = r.referrer_id
           WHERE r.program_id = :program AND r.friend_id IN (
               SELECT b.id FROM members m JOIN members b
                 ON coalesce(b.alias_of, b.id) = coalesce(m.alias_of, m.id)
               WHERE m.id = ANY(:members) AND b.program_id = :program)
           ORDER BY r.id""",
        {"program": program_id, "members": sorted(members)},
    )
    return [Pending(**row._mapping) for row in rows]


def settle(
    session: Session,
    program_id: int,
    referrals: Sequence[Pending],
    versions: Sequence[Rules],
    *,
    chain_key: bytes,
    actor: str,
    now: datetime | None = None,
) -> set[int]:
    """Bring what these referrals gave in line with their friends' present sales, whose accounts and the
    referrers' the caller has locked. Returns the members whose points changed."""
    bonuses: dict[str | None, list[Bonus]] = defaultdict(list)
    for referral in referrals:
        found = reward(_terms(versions), referral.referred_at, _orders(session, referral.friend))
        bonuses[None] += _bonuses(referral, found, versions)
        for money in _currencies(versions):
            bonuses[money] += _credits(referral, found, versions, money)
        _note(session, referral, found)
    touched: set[int] = set()
    for currency in sorted(bonuses, key=lambda one: one or ""):  # points are locked before credit
        changes = post_bonuses(
            session,
            program_id,
            bonuses[currency],
            chain_key=chain_key,
            actor=actor,
            now=now,
            currency=currency,
        )
        touched |= {b.member_id for b in bonuses[currency] if changes[b.subject]}
    return touched


def has_terms(versions: Iterable[Rules]) -> bool:
    """Whether any version of a programme rewards referrals."""
    return any(rules.referral is not None for rules in versions)


def _terms(versions: Sequence[Rules]) -> Callable[[datetime], Any]:
    return lambda at: in_force(versions, at).referral


def _orders(session: Session, friend: int) -> list[Order]:
    rows = run(
        session,
        f"""SELECT t.id AS transaction_id, t.placed_at, t.currency,
                   coalesce(t.total, t.goods_net + t.goods_tax + t.shipping) - t.refunded AS bill,
                   coalesce(c.history_counts = 'tiers' AND t.placed_at >= c.history_from
                            AND t.placed_at < c.history_until, false) AS for_tiers
            FROM transactions t JOIN channels c ON c.id = t.channel_id
            WHERE t.member_id IN (SELECT id FROM members WHERE id = :friend OR alias_of = :friend)
              AND {COUNTS}
            ORDER BY t.placed_at, t.channel_id, t.external_id COLLATE "C\"""",
        {"friend": friend},
    )
    return [Order(**row._mapping) for row in rows]


def _note(session: Session, referral: Pending, found: Reward) -> None:
    """Which order it is, for people: the points say it in the ledger."""
    order = found.order.transaction_id if found.order else None
    if order != referral.transaction_id:
        run(
            session,
            "UPDATE referrals SET transaction_id = :order WHERE id = :id",
            {"order": order, "id": referral.id},
        )


def _bonuses(referral: Pending, found: Reward, versions: Sequence[Rules]) -> list[Bonus]:
    at = found.order.placed_at if found.order else referral.referred_at
    rules = in_force(versions, at)
    available_at, expires_at = availability(rules, at)
    sides = (
        ("referrer", referral.referrer, found.referrer, found.steps),
        ("friend", referral.friend, found.friend, _friend_steps(found)),
    )
    return [
        Bonus(
            subject=f"referral:{referral.id:016d}:{side}",
            member_id=member,
            points=points,
            occurred_at=at,
            available_at=available_at,
            expires_at=expires_at,
            context=f"program version {rules.number}, order {found.order}",
            explanation=steps,
        )
        for side, member, points, steps in sides
    ]


def _credits(referral: Pending, found: Reward, versions: Sequence[Rules], currency: str) -> list[Bonus]:
    """Both sides' store credit in one currency: that of the order, or one they had it in before."""
    at = found.order.placed_at if found.order else referral.referred_at
    here = found.order is not None and found.order.currency == currency
    sides = (
        ("referrer", referral.referrer, found.referrer_credit if here else 0),
        ("friend", referral.friend, found.friend_credit if here else 0),
    )
    return [
        Bonus(
            subject=f"referral:{referral.id:016d}:{side}:{currency}",
            member_id=member,
            points=amount,
            occurred_at=at,
            available_at=at,
            expires_at=None,
            context=f"program version {in_force(versions, at).number}, order {found.order}",
            explanation=_credit_steps(side, amount, currency),
        )
        for side, member, amount in sides
    ]


def _credit_steps(side: str, amount: int, currency: str) -> tuple[dict[str, Any], ...]:
    if not amount:
        return ()
    money = {"amount": amount, "currency": currency}
    if side == "friend":
        return ({"code": "referred_credit", "points": str(amount), **money},)
    return ({"code": "referral_credit", "points": str(amount), **money},)


def _currencies(versions: Sequence[Rules]) -> list[str]:
    """The currencies in which a referral of this programme may have given credit."""
    terms = [rules.referral for rules in versions if rules.referral is not None]
    return sorted({c for one in terms for c in (*one.referrer_credit, *one.friend_credit)})


def _friend_steps(found: Reward) -> tuple[dict[str, Any], ...]:
    return ({"code": "referred", "points": str(found.friend)},) if found.friend else ()
