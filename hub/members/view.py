"""Members as the API, the dashboard and the CLI show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.members.identity import card, email, phone

_ROOT = """SELECT root.id, root.public_id, root.name, root.created_at
           FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)"""

_OWN = """(SELECT id FROM members WHERE id = :member UNION ALL SELECT id FROM members WHERE alias_of = :member)"""
"""The rows of one person: the member and what was merged into it."""

SOON = timedelta(days=30)
"""What expires within this is said to expire soon."""


def find(session: Session, program_id: int, public_id: str) -> Any | None:
    """The member with that id, or the one it was merged into."""
    rows = run(
        session,
        f"{_ROOT} WHERE m.program_id = :program AND m.public_id = :id",
        {"program": program_id, "id": public_id},
    )
    return rows[0] if rows else None


def find_with_available(session: Session, program_id: int, public_id: str, now: datetime) -> Any | None:
    """The same, with what the member may spend at that moment (`available`), and whether the account is `off`."""
    rows = run(
        session,
        """SELECT root.id, root.public_id, root.name, root.created_at, root.disabled_at IS NOT NULL AS off,
                  (SELECT CAST(coalesce(sum(l.remaining), 0) AS bigint)
                   FROM accounts a JOIN lots l ON l.account_id = a.id AND l.remaining > 0
                   WHERE a.member_id = root.id AND l.available_at <= :now
                     AND (l.expires_at IS NULL OR l.expires_at > :now)) AS available
           FROM members m JOIN members root ON root.id = coalesce(m.alias_of, m.id)
           WHERE m.program_id = :program AND m.public_id = :id""",
        {"program": program_id, "id": public_id, "now": now},
    )
    return rows[0] if rows else None


def by_id(session: Session, member_id: int) -> Any:
    """The member of that row, or the one it was merged into."""
    return run(session, f"{_ROOT} WHERE m.id = :id", {"id": member_id})[0]


def row(session: Session, member_id: int) -> Any:
    """The member of that very row, merged or not."""
    sql = "SELECT id, public_id, name, alias_of, created_at FROM members WHERE id = :id"
    return run(session, sql, {"id": member_id})[0]


def cards(session: Session, members: Sequence[int]) -> list[dict[str, Any]]:
    """A line for each of these members, in their order: name, one phone, one e-mail, balance."""
    rows = run(
        session,
        """SELECT m.id, m.public_id, m.name, m.created_at, coalesce(a.balance, 0) AS balance,
                  (SELECT min(value) FROM identities WHERE member_id = m.id AND kind = 'phone'
                     AND gone_at IS NULL) AS phone,
                  (SELECT min(value) FROM identities WHERE member_id = m.id AND kind = 'email'
                     AND gone_at IS NULL) AS email,
                  (SELECT count(*) FROM members alias WHERE alias.alias_of = m.id) AS aliases
           FROM members m LEFT JOIN accounts a ON a.member_id = m.id WHERE m.id = ANY(:ids)""",
        {"ids": list(members)},
    )
    by_member = {row.id: dict(row._mapping) for row in rows}
    return [by_member[member] for member in members if member in by_member]


def search(session: Session, program_id: int, region: str, *, kind: str, text: str) -> list[Any]:
    """Members with that phone (in any spelling), e-mail, card or channel customer id."""
    value = {"phone": lambda t: phone(t, region), "email": email, "card": card}.get(kind, str)(text)
    if not value:
        return []
    return list(
        run(
            session,
            f"""{_ROOT} JOIN identities i ON i.member_id = m.id AND i.gone_at IS NULL
                WHERE i.program_id = :program AND i.kind = :kind AND i.value = :value ORDER BY root.id LIMIT 20""",
            {"program": program_id, "kind": kind, "value": value},
        )
    )


def everybody(session: Session, program_id: int, *, before: int | None, limit: int) -> list[Any]:
    """Members who are nobody's alias, newest first, from behind the row `before`."""
    return list(
        run(
            session,
            """SELECT id, public_id, name, created_at FROM members
               WHERE program_id = :program AND alias_of IS NULL
                 AND id < coalesce(CAST(:before AS bigint), 9223372036854775807)
               ORDER BY id DESC LIMIT :limit""",
            {"program": program_id, "before": before, "limit": limit},
        )
    )


def identities(session: Session, member_id: int) -> list[dict[str, Any]]:
    """All keys of a member and its aliases."""
    return identities_of(session, [member_id])[member_id]


def identities_of(session: Session, members: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """All keys of several members (roots) and their aliases."""
    found: dict[int, list[dict[str, Any]]] = {member: [] for member in members}
    for row in run(
        session,
        """SELECT coalesce(m.alias_of, m.id) AS root, i.kind, i.value, c.public_id AS channel,
                  c.name AS channel_name, i.created_at
           FROM members m JOIN identities i ON i.member_id = m.id AND i.gone_at IS NULL
           LEFT JOIN channels c ON c.id = i.scope
           WHERE m.id = ANY(:ids) OR m.alias_of = ANY(:ids) ORDER BY i.id""",
        {"ids": list(members)},
    ):
        values = dict(row._mapping)
        found[values.pop("root")].append(values)
    return found


def balance(session: Session, member_id: int, now: datetime) -> dict[str, int]:
    """Points of a member: `balance` counts pending ones, `available` may be spent."""
    return balances(session, [member_id], now)[member_id]


def balances(session: Session, members: Sequence[int], now: datetime) -> dict[int, dict[str, int]]:
    """Points of several members (roots)."""
    nothing = {"balance": 0, "debt": 0, "available": 0, "pending": 0}
    found = {member: dict(nothing) for member in members}
    for row in run(
        session,
        """SELECT a.member_id, a.balance, a.debt,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at <= :now
                           AND (l.expires_at IS NULL OR l.expires_at > :now)), 0) AS available,
                  coalesce(sum(l.remaining) FILTER (WHERE l.available_at > :now), 0) AS pending
           FROM accounts a LEFT JOIN lots l ON l.account_id = a.id AND l.remaining > 0
           WHERE a.member_id = ANY(:ids) GROUP BY a.id""",
        {"ids": list(members), "now": now},
    ):
        found[row.member_id] = {name: int(getattr(row, name)) for name in nothing}
    return found


def outlook(session: Session, member_id: int, now: datetime) -> dict[str, Any]:
    """What becomes available next and when, and what expires within `SOON` and from when on; the
    times are None where there is nothing."""
    row = run(
        session,
        """SELECT min(l.available_at) FILTER (WHERE l.available_at > :now
                                               AND l.available_at < '9999-01-01Z') AS vests_at,
                  coalesce(sum(l.remaining) FILTER (WHERE l.expires_at <= :soon AND l.expires_at > :now), 0)
                      AS expiring,
                  min(l.expires_at) FILTER (WHERE l.expires_at <= :soon AND l.expires_at > :now) AS expires_at
           FROM accounts a JOIN lots l ON l.account_id = a.id AND l.remaining > 0
           WHERE a.member_id = :member""",
        {"member": member_id, "now": now, "soon": now + SOON},
    )[0]
    return {**row._mapping, "expiring": int(row.expiring)}


def lots(
    session: Session, member_id: int, *, after: str | None = None, limit: int = 500
) -> list[dict[str, Any]]:
    """Open lots, soonest expiry first; `key` and `transaction` say where they came from. `available_at` is
    None while an order is not handed over whose points wait for that. `after`: the key to go on from."""
    return [
        dict(row._mapping)
        for row in run(
            session,
            """SELECT l.granted, l.remaining, l.placed_at, nullif(l.available_at, '9999-01-01Z') AS available_at,
                      l.expires_at, l.key,
                      t.public_id AS transaction, t.number
               FROM lots l JOIN accounts a ON a.id = l.account_id
               LEFT JOIN transactions t ON t.program_id = a.program_id
                AND t.id = CASE WHEN l.key ~ '^sale:[0-9]+$' THEN CAST(substr(l.key, 6) AS bigint) END
               WHERE a.member_id = :member AND l.remaining > 0 AND (CAST(:after AS text) IS NULL OR
                   (coalesce(l.expires_at, 'infinity'), l.placed_at, l.key) > (
                       SELECT coalesce(b.expires_at, 'infinity'), b.placed_at, b.key
                       FROM lots b JOIN accounts own ON own.id = b.account_id
                       WHERE own.member_id = :member AND b.key = :after))
               ORDER BY coalesce(l.expires_at, 'infinity'), l.placed_at, l.key LIMIT :limit""",
            {"member": member_id, "after": after, "limit": limit},
        )
    ]


def entries(session: Session, member_id: int, *, before: int | None, limit: int) -> list[Any]:
    """Movements, newest first; `before` is the seq to go on from."""
    return list(
        run(
            session,
            """SELECT e.seq, e.amount, e.counter, e.balance_after, e.occurred_at, e.recorded_at, e.explanation,
                      e.reference, e.subject, e.actor, t.public_id AS transaction, t.number,
                      r.public_id AS redemption, r.reward_terms->>'name' AS reward, v.code
               FROM entries e JOIN accounts a ON a.id = e.account_id
               LEFT JOIN transactions t ON t.id = e.transaction_id
               LEFT JOIN redemptions r
                 ON r.id = CASE WHEN e.subject ~ '^red:[0-9]+$' THEN CAST(substr(e.subject, 5) AS bigint) END
               LEFT JOIN vouchers v ON v.redemption_id = r.id
               WHERE a.member_id = :member AND e.seq < coalesce(CAST(:before AS bigint), 9223372036854775807)
               ORDER BY e.seq DESC LIMIT :limit""",
            {"member": member_id, "before": before, "limit": limit},
        )
    )


def count_entries(session: Session, member_id: int) -> int:
    """How many movements there are in all: the account numbers them without a gap."""
    rows = run(session, "SELECT seq FROM accounts WHERE member_id = :id", {"id": member_id})
    return int(rows[0].seq) if rows else 0


def aliases(session: Session, member_id: int) -> list[Any]:
    """The members that were merged into this one."""
    return list(
        run(
            session,
            "SELECT id, public_id, name, created_at FROM members WHERE alias_of = :id ORDER BY id",
            {"id": member_id},
        )
    )


def suggestions(session: Session, member_id: int) -> list[Any]:
    """Members who may be the same person as this one, and why; nothing that was settled."""
    return list(
        run(
            session,
            f"""SELECT DISTINCT ON (other.id) other.id, other.public_id, other.name, s.reason, s.created_at
                FROM (SELECT other_id AS theirs, reason, created_at FROM merge_suggestions
                      WHERE member_id IN {_OWN} AND settled_at IS NULL
                      UNION ALL
                      SELECT member_id, reason, created_at FROM merge_suggestions
                      WHERE other_id IN {_OWN} AND settled_at IS NULL) AS s
                JOIN members m ON m.id = s.theirs
                JOIN members other ON other.id = coalesce(m.alias_of, m.id)
                WHERE other.id <> :member ORDER BY other.id, s.created_at""",
            {"member": member_id},
        )
    )


def consents(session: Session, member_id: int) -> list[Any]:
    """What the member agreed to, newest word of each channel on each matter."""
    return list(
        run(
            session,
            f"""SELECT DISTINCT ON (c.what, c.channel_id) c.what, c.given, c.at, c.wording, ch.name AS channel
                FROM consents c LEFT JOIN channels ch ON ch.id = c.channel_id
                WHERE c.member_id IN {_OWN} ORDER BY c.what, c.channel_id, c.at DESC""",
            {"member": member_id},
        )
    )


def root_of(session: Session, member_id: int) -> int:
    """Whom a member is an alias of, or itself."""
    sql = "SELECT coalesce(alias_of, id) AS root FROM members WHERE id = :id"
    return int(run(session, sql, {"id": member_id})[0].root)


def redemptions(session: Session, member_id: int) -> set[str]:
    """The public ids of what the member spent points on."""
    sql = f"SELECT r.public_id FROM redemptions r WHERE r.member_id IN {_OWN}"
    return {row.public_id for row in run(session, sql, {"member": member_id})}


def code_of(session: Session, member_id: int, redemption: str) -> str | None:
    """The code that a redemption (public id) of this member has; None where it has none."""
    rows = run(
        session,
        f"""SELECT v.code FROM redemptions r JOIN vouchers v ON v.redemption_id = r.id
            WHERE r.public_id = :redemption AND v.member_id IN {_OWN}""",
        {"member": member_id, "redemption": redemption},
    )
    return rows[0].code if rows else None


def vouchers(session: Session, member_id: int, *, limit: int = 50) -> list[dict[str, Any]]:
    """Codes the member bought, newest first, each with its state in every channel and its uses."""
    rows = run(
        session,
        f"""SELECT v.id, v.public_id, v.code, v.state, v.created_at, v.expires_at, v.uses, r.reward, r.points,
                   r.currency, r.reward_terms, r.public_id AS redemption
            FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
            WHERE v.member_id IN {_OWN} ORDER BY v.id DESC LIMIT :limit""",
        {"member": member_id, "limit": limit},
    )
    found = {row.id: {**row._mapping, "channels": [], "orders": []} for row in rows}
    for row in run(
        session,
        """SELECT vc.voucher_id, c.name, vc.state, d.id AS delivery
           FROM voucher_channels vc JOIN channels c ON c.id = vc.channel_id JOIN vouchers v ON v.id = vc.voucher_id
           LEFT JOIN deliveries d ON vc.state = 'failed' AND d.channel_id = vc.channel_id
                                 AND d.direction = 'outbound' AND d.key = 'code:' || v.public_id
           WHERE vc.voucher_id = ANY(:ids) ORDER BY c.id""",
        {"ids": list(found)},
    ):
        found[row.voucher_id]["channels"].append(row)
    for row in run(
        session,
        """SELECT u.voucher_id, t.public_id, t.number FROM voucher_uses u JOIN transactions t ON t.id = u.transaction_id
           WHERE u.voucher_id = ANY(:ids) AND u.present ORDER BY t.id""",
        {"ids": list(found)},
    ):
        found[row.voucher_id]["orders"].append(row)
    return list(found.values())
