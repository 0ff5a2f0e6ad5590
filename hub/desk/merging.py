"""Two members who are one person: merged, taken apart again, or a suggestion set aside."""

from __future__ import annotations

from dataclasses import dataclass

from hub.bulk import run
from hub.desk.anew import lock_sales, post_anew, settle_idle
from hub.desk.place import Desk, rehearsal
from hub.ledger import merging
from hub.members import view
from hub.outbox import channels
from hub.program import store
from hub.redemption import uses
from hub.transactions import standing


@dataclass(frozen=True, slots=True)
class Merged:
    """Balances of the one who stays, before and after, and what the other brings."""

    before: int
    brought: int
    after: int
    debt: int


def merge(desk: Desk, gone: int, kept: int) -> Merged:
    """Make `gone` an alias of `kept`. Raises `NotMergeable`."""
    now = desk.runtime.clock()
    before, brought = (view.balance(desk.session, m, now)["balance"] for m in (kept, gone))
    order = merging.Merge(desk.program.id, gone, kept, desk.actor, desk.runtime.chain_key)
    sales = lock_sales(desk, [gone, kept])
    merging.merge(desk.session, order)
    touched = post_anew(desk, sales)
    settle_idle(desk, [gone, kept])
    standing.forget(desk.session, gone)
    _stand(desk, kept)
    _settle(desk, gone, kept)
    one, other = (view.row(desk.session, m).public_id for m in (gone, kept))
    desk.note("member.merged", one, into=other)
    desk.note("member.merged_in", other, member=one)
    desk.tell_balances({kept, *touched})
    known = channels.of_program(desk.session, desk.program.id)
    uses.plan_where_known(desk.session, desk.program.id, [kept], known)
    after = view.balance(desk.session, kept, desk.runtime.clock())
    return Merged(before, brought, after["balance"], after["debt"])


def unmerge(desk: Desk, gone: int, kept: int, *, accept_shortfall: bool = False) -> Merged:
    """Take `gone` out of `kept` again. Raises `NotMergeable`, and `Shortfall` unless accepted."""
    before = view.balance(desk.session, kept, desk.runtime.clock())["balance"]
    order = merging.Merge(desk.program.id, gone, kept, desk.actor, desk.runtime.chain_key)
    sales = lock_sales(desk, [gone, kept])
    merging.unmerge(desk.session, order, accept_shortfall=accept_shortfall)
    touched = post_anew(desk, sales)
    settle_idle(desk, [gone, kept])
    _stand(desk, gone, kept)
    one, other = (view.row(desk.session, m).public_id for m in (gone, kept))
    desk.note("member.unmerged", one, **{"from": other})
    desk.note("member.unmerged_from", other, member=one)
    desk.tell_balances({gone, kept, *touched})
    now = desk.runtime.clock()
    back, after = view.balance(desk.session, gone, now), view.balance(desk.session, kept, now)
    return Merged(before, back["balance"], after["balance"], after["debt"])


def preview(desk: Desk, gone: int, kept: int) -> Merged:
    """What `merge` would come to."""
    with rehearsal(desk.session):
        return merge(desk, gone, kept)


def preview_unmerge(desk: Desk, gone: int, kept: int) -> Merged:
    """What `unmerge` would come to, a shortfall as the debt it would leave."""
    with rehearsal(desk.session):
        return unmerge(desk, gone, kept, accept_shortfall=True)


def dismiss(desk: Desk, one: int, other: int) -> None:
    """Set the suggestions about these two aside: they are two people."""
    _settle(desk, one, other)
    ids = [view.row(desk.session, m).public_id for m in (one, other)]
    desk.note("merge.dismissed", ids[0], other=ids[1])


def _stand(desk: Desk, *members: int) -> None:
    """Their tiers follow from what each has bought now."""
    versions = store.versions(desk.session, desk.program)
    standing.refresh(desk.session, desk.program.id, versions, members, desk.runtime.clock())


def _settle(desk: Desk, one: int, other: int) -> None:
    low, high = sorted((one, other))
    run(
        desk.session,
        """UPDATE merge_suggestions SET settled_at = clock_timestamp()
           WHERE program_id = :program AND member_id = :low AND other_id = :high AND settled_at IS NULL""",
        {"program": desk.program.id, "low": low, "high": high},
    )
