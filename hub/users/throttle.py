"""Guessing passwords is slowed down by rows: one a (hashed) account, one a (hashed) address.

A try is counted before the password is looked at, so that a hundred at once are a hundred tries.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.users.store import normal_email


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tries are free; each further one doubles the pause before the next, from `first`
    up to `longest`. After `forget` without a try the count begins anew."""

    free: int
    first: timedelta
    longest: timedelta
    forget: timedelta


ACCOUNT = Limit(5, timedelta(seconds=30), timedelta(minutes=15), timedelta(hours=1))
ADDRESS = Limit(30, timedelta(seconds=30), timedelta(minutes=15), timedelta(hours=1))
"""Many people may share one address: a shop, an office."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What a bucket knows."""

    count: int
    last: datetime
    blocked_until: datetime | None


def account(email: str) -> bytes:
    """The bucket of an account, whether it exists or not."""
    return bucket(f"account:{normal_email(email)}")


def address(remote: str) -> bytes:
    """The bucket of a sender; of IPv6 the network, since one sender has all addresses in it."""
    try:
        ip = ipaddress.ip_address(remote)
    except ValueError:
        return bucket("address:unknown")
    if isinstance(ip, ipaddress.IPv6Address) and not ip.ipv4_mapped:
        return bucket(f"address:{ipaddress.ip_network((ip, 64), strict=False)}")
    return bucket(f"address:{getattr(ip, 'ipv4_mapped', None) or ip}")


def judge(known: Tries | None, limit: Limit, now: datetime) -> tuple[Tries, timedelta | None]:
    """What becomes of the bucket when somebody tries now, and how long they must wait (None: the
    try may go on). Who must wait is not counted: waiting once is enough."""
    if known is None or now - known.last > limit.forget:
        return Tries(1, now, None), None
    if known.blocked_until and now < known.blocked_until:
        return known, known.blocked_until - now
    count = known.count + 1
    pause = None
    if count >= limit.free:
        pause = min(limit.first * 2 ** min(count - limit.free, 20), limit.longest)
    return Tries(count, now, now + pause if pause else None), None


def admit(session: Session, buckets: Mapping[bytes, Limit], now: datetime) -> timedelta | None:
    """Count a try in every bucket; the longest wait when one of them refuses. Commit before the
    password is looked at."""
    known = _locked(session, sorted(buckets), now)
    verdicts = {bucket: judge(known.get(bucket), limit, now) for bucket, limit in buckets.items()}
    waits = [wait for _, wait in verdicts.values() if wait]
    if waits:
        return max(waits)
    for bucket, (tries, _) in verdicts.items():
        _keep(session, bucket, tries)
    _forget_old(session, now)
    return None


def forgive(session: Session, bucket: bytes) -> None:
    """The right password was given: the account's count begins anew."""
    run(session, "DELETE FROM login_throttle WHERE bucket = :bucket", {"bucket": bucket})


def give_back(session: Session, bucket: bytes, limit: Limit) -> None:
    """A try of this sender was no guess: it does not count. Otherwise a team behind one address
    would shut itself out each morning by logging in."""
    run(
        session,
        """UPDATE login_throttle SET tries = tries - 1,
                  blocked_until = CASE WHEN tries - 1 >= :free THEN blocked_until END
           WHERE bucket = :bucket AND tries > 0""",
        {"bucket": bucket, "free": limit.free},
    )


def _locked(session: Session, buckets: Sequence[bytes], now: datetime) -> dict[bytes, Tries]:
    """The rows, made where they are missing (with no try yet) and locked in one order."""
    found: dict[bytes, Tries] = {}
    for bucket in buckets:
        row: Any = run(
            session,
            """INSERT INTO login_throttle (bucket, tries, last_try_at) VALUES (:bucket, 0, :now)
               ON CONFLICT (bucket) DO UPDATE SET tries = login_throttle.tries
               RETURNING tries, last_try_at, blocked_until""",
            {"bucket": bucket, "now": now},
        )[0]
        found[bucket] = Tries(row.tries, row.last_try_at, row.blocked_until)
    return found


def _forget_old(session: Session, now: datetime) -> None:
    """A few rows at a time, and none that somebody else is just using."""
    run(
        session,
        """DELETE FROM login_throttle WHERE bucket IN (
               SELECT bucket FROM login_throttle WHERE last_try_at < :oldest
               ORDER BY last_try_at LIMIT 100 FOR UPDATE SKIP LOCKED)""",
        {"oldest": now - max(ACCOUNT.forget, ADDRESS.forget)},
    )


def _keep(session: Session, bucket: bytes, tries: Tries) -> None:
    run(
        session,
        """UPDATE login_throttle SET tries = :tries, last_try_at = :last, blocked_until = :until
           WHERE bucket = :bucket""",
        {"bucket": bucket, "tries": tries.count, "last": tries.last, "until": tries.blocked_until},
    )


def bucket(text: str) -> bytes:
    """Hashed: the table needs to tell buckets apart, not to list who tried."""
    return hashlib.sha256(text.encode()).digest()
