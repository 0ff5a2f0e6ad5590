"""What is asked of tills: one-time codes for large redemptions, an end to what one cashier may do in an hour,
and nothing for the staff's own accounts from their own hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub import alerts, i18n, sending
from hub.desk.place import Desk
from hub.i18n import gettext as _
from hub.members import one_time, staff, view
from hub.members.one_time import Try
from hub.program.store import Program
from hub.redemption import cashiers
from hub.redemption.cashiers import Act
from hub.redemption.orders import Redeemed
from hub.runtime import Runtime
from hub.sending import Message, NotSent, Way
from hub.users import throttle
from hub.users.throttle import Limit

OF_MEMBER = Limit(3, timedelta(seconds=30), timedelta(minutes=15), timedelta(hours=1))
OF_TILL = Limit(30, timedelta(seconds=10), timedelta(minutes=5), timedelta(hours=1))
OF_ADDRESS = Limit(60, timedelta(seconds=10), timedelta(minutes=5), timedelta(hours=1))
"""How many codes may be sent, to a member, from a till and from an address, before each further one has to
wait twice as long."""


class NoContact(Exception):
    """The member has no phone or e-mail, or the hub cannot send there."""


class MustWait(Exception):
    """Too many codes were sent; `wait` tells how long until the next."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"{wait.total_seconds():.0f} s")
        self.wait = wait


class CodeNeeded(Exception):
    """So many points are spent only with a one-time code."""


class WrongCode(Exception):
    """It is not the member's code; `left` tries remain, 0: ask for another code."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} left")
        self.left = left


class CashierLimit(Exception):
    """A cashier did enough for an hour; `what` (redemptions, points, claims) is above `limit`."""

    def __init__(self, act: Act, what: str, limit: int) -> None:
        super().__init__(f"{what} above {limit}")
        self.act, self.what, self.limit = act, what, limit


class OwnAccount(Exception):
    """A cashier would give a sale to themselves, or redeem for themselves where that is refused."""

    def __init__(self, act: Act, subject: str) -> None:
        super().__init__(subject)
        self.act, self.subject = act, subject


@dataclass(frozen=True, slots=True)
class Sent:
    """A code that is on its way."""

    id: str
    way: Way
    to: str
    """Enough of the address to know it again."""
    expires_at: datetime


# --- one-time codes ------------------------------------------------------------------------------


def send_code(
    runtime: Runtime,
    program: Program,
    member_id: int,
    way: Way | None,
    *,
    actor: str,
    till: str,
    address: str,
    through: sending.Sender | None = None,
) -> Sent:
    """Send a member a code for their next large redemption, by the operator's sender unless one is named. No
    transaction is open while it is sent. Raises `NoContact`, `MustWait` and `NotSent`."""
    now = runtime.clock()
    with runtime.sessions.begin() as session:
        found_way, to, found = _contact(Desk(runtime, session, program, actor), member_id, way, through)
        wait = throttle.admit(session, _buckets(program, member_id, f"{actor} {till}", address), now)
    if wait is not None:
        raise MustWait(wait)
    with runtime.sessions.begin() as session:
        desk = Desk(runtime, session, program, actor)
        code = one_time.open_code(
            session, program.id, member_id, way=found_way, actor=actor, key=runtime.chain_key, now=now
        )
        desk.note("one_time_code.made", code.public_id, way=found_way)
    try:
        found.send(_message(program, to, code.digits))
    except NotSent:
        with runtime.sessions.begin() as session:
            one_time.close(session, code.id, sent=False)
        raise
    with runtime.sessions.begin() as session:
        one_time.close(session, code.id, sent=True)
    return Sent(code.public_id, found_way, masked(to), code.expires_at)


def prove(runtime: Runtime, program: Program, member_id: int, digits: str) -> Try:
    """Count a try at a member's code, then look whether it fits. Raises `WrongCode`. The code is used up by
    `finish`."""
    with runtime.sessions.begin() as session:
        counted = one_time.count_try(session, program.id, member_id, runtime.clock())
    if counted is None:
        raise WrongCode(0)
    if not counted.fits(digits, runtime.chain_key):
        raise WrongCode(counted.left)
    return counted


def masked(to: str) -> str:
    """ "+84…678", "a…@example.com"."""
    name, at, host = to.partition("@")
    return f"{name[:1]}…@{host}" if at else f"{to[:3]}…{to[-3:]}"


def _contact(
    desk: Desk, member_id: int, way: Way | None, through: sending.Sender | None
) -> tuple[Way, str, sending.Sender]:
    """Where to, and by whom: the way that was asked for, else a phone before an e-mail."""
    known = view.identities(desk.session, member_id)
    for one in [way] if way else sending.WAYS:
        kind = "phone" if one == "sms" else "email"
        values = [identity["value"] for identity in known if identity["kind"] == kind]
        found = through or sending.sender(desk.runtime.settings, one)
        if values and found is not None:
            return one, values[0], found
    raise NoContact


def _buckets(program: Program, member_id: int, till: str, address: str) -> dict[bytes, Limit]:
    return {
        throttle.bucket(f"code-member:{program.id}:{member_id}"): OF_MEMBER,
        throttle.bucket(f"code-till:{program.id}:{till}"): OF_TILL,
        throttle.bucket(f"code-from:{address}"): OF_ADDRESS,
    }


def _message(program: Program, to: str, digits: str) -> Message:
    with i18n.speaking(program.locale):
        name = " ".join(program.name.split())
        text = _(
            "{code} is your code at {program}. It is valid for 5 minutes. Tell it only to the cashier who "
            "redeems your points.",
            code=digits,
            program=name,
        )
        return Message(to, _("Your code at {program}", program=name), text, digits)


# --- what cashiers do ----------------------------------------------------------------------------


def redeeming(
    desk: Desk, act: Act, member_id: int, deed: Callable[[], Sequence[Redeemed]], *, proof: Try | None = None,
    named: bool = False, credit: bool = False, excused: bool = False,
) -> Sequence[Redeemed]:  # fmt: skip
    """Redeem as the programme asks of tills. `named`: the till told who the cashier is, which is written down
    also where nothing is limited. `excused`: whoever answers for it needs no one-time code. Raises
    `CodeNeeded`, `WrongCode`, `CashierLimit`, `OwnAccount`, and what the deed raises."""
    till, now = desk.rules().till, desk.runtime.clock()
    before = (
        cashiers.lock(desk.session, desk.program.id, act, now)
        if named or till.counts_redemptions
        else None
    )
    own = named and staff.is_own(desk.session, desk.program.id, act.cashier, member_id)
    if own and till.own_redemptions == "refuse":
        raise OwnAccount(act, act.cashier)
    done = deed()
    fresh = [one for one in done if not one.repeated]
    if not fresh:
        return done
    points = 0 if credit else sum(one.points for one in fresh)
    if proof is not None:
        if not one_time.use(desk.session, proof.id, fresh[0].id):
            raise WrongCode(0)
    elif not excused and till.needs_code(points, credit=credit):
        raise CodeNeeded
    if before is not None:
        what = till.excess(before.times + len(fresh), before.points + points)
        if what is not None:
            limit = till.redemptions_per_hour if what == "redemptions" else till.points_per_hour
            raise CashierLimit(act, what, limit or 0)
        for one in fresh:
            cost = 0 if credit else one.points
            cashiers.note(desk.session, desk.program.id, act, member_id, cost, one.id, now)
    if own:
        detail = {"cashier": act.cashier, "points": points}
        alerts.tell(desk.session, desk.program.id, "own_redemption", fresh[0].id, detail, now)
    return done


def claiming(desk: Desk, act: Act, transaction: str, who: Callable[[], int], *, named: bool) -> int:
    """Before a guest's order is given to a member: `who` finds or makes them, after the cashier's turn has
    come. Raises `OwnAccount`, `CashierLimit`, and what `who` raises."""
    till, now = desk.rules().till, desk.runtime.clock()
    counts = named or till.claims_per_hour is not None
    before = cashiers.lock(desk.session, desk.program.id, act, now) if counts else None
    member_id = who()
    if staff.is_own(desk.session, desk.program.id, act.cashier, member_id):
        raise OwnAccount(act, transaction)
    if before is not None:
        if till.claims_per_hour is not None and before.times >= till.claims_per_hour:
            raise CashierLimit(act, "claims", till.claims_per_hour)
        cashiers.note(desk.session, desk.program.id, act, member_id, 0, transaction, now)
    return member_id


def tell(runtime: Runtime, program: Program, refused: CashierLimit | OwnAccount) -> None:
    """Let a person know of a refusal, in a transaction of its own: that of the deed was rolled back."""
    now = runtime.clock()
    with runtime.sessions.begin() as session:
        if isinstance(refused, CashierLimit):
            detail = {"what": refused.what, "limit": refused.limit, "till": refused.act.till or ""}
            alerts.tell(session, program.id, "cashier_limit", refused.act.cashier, detail, now)
        else:
            detail = {"cashier": refused.act.cashier}
            kind = "own_claim" if refused.act.kind == "claim" else "own_refused"
            alerts.tell(session, program.id, kind, refused.subject, detail, now)
