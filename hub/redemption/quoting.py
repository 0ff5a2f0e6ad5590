"""What a code would take off a cart: asked before the bill is paid, and nothing is changed by it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hub.bulk import run
from hub.program.pricing import Cart, Priced, price
from hub.redemption.uses import code_key

_STATES = {"used": "code_used", "used_late": "code_used", "revoked": "code_taken_back",
           "revoking": "code_taken_back", "expiring": "code_expired", "expired": "code_expired"}  # fmt: skip


def quote_code(
    session: Session, program_id: int, code: str, cart: Cart, now: datetime, member_id: int | None = None
) -> Priced | None:
    """What the code takes off for that member (None: whoever shows it), or why it does not; None where
    there is no such code."""
    rows = run(
        session,
        """SELECT v.state, v.starts_at, v.expires_at, r.reward_terms,
                  coalesce(m.alias_of, m.id) AS owner,
                  (SELECT coalesce(alias_of, id) FROM members WHERE id = :member) AS asking
           FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id JOIN members m ON m.id = v.member_id
           WHERE v.program_id = :program AND v.code_key = :key""",
        {"program": program_id, "key": code_key(code), "member": member_id},
    )
    if not rows:
        return None
    why = refusal(rows[0], now) or _refusal(is_card=bool(rows[0].reward_terms.get("gift_card")))
    nothing = price({"percent": 0, "amounts": {}}, cart)
    if why is not None:
        return Priced(0, nothing.lines, 0, cart.total, why)
    return price(rows[0].reward_terms, cart)


def _refusal(*, is_card: bool) -> str | None:
    return "collect_it_first" if is_card else None


def refusal(voucher: Any, now: datetime) -> str | None:
    """Why a voucher (its row, with `asking` and `owner`) cannot be used at that moment, as a code of
    `hub.words.CODE_WORDS`; None: it can."""
    if voucher.asking is not None and voucher.asking != voucher.owner:
        return "belongs_to_another"
    if voucher.state in _STATES:
        return _STATES[voucher.state]
    if now < voucher.starts_at:
        return "not_valid_yet"
    if voucher.expires_at is not None and now >= voucher.expires_at:
        return "code_expired"
    return None
