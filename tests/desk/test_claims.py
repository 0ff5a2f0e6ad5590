"""A guest's order is given to a member: once, safely, whatever comes after it, and taken back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hub.desk import claims, merging
from hub.desk.claims import NotClaimable
from hub.ledger.merging import NotMergeable
from tests.desk.conftest import Act, Sell
from tests.hubs import Hub

ANN = "+84912345678"


def member_of(hub: Hub, order: str) -> Any:
    (row,) = hub.rows("SELECT member_id, points, why FROM transactions WHERE public_id = :id", id=order)
    return row.member_id


def give(act: Act, order: str, phone: str = ANN) -> claims.Claimed:
    result: claims.Claimed = act(lambda desk: claims.claim(desk, order, claims.enrol(desk, phone)))
    return result


def audit(hub: Hub) -> list[tuple[str, Any]]:
    rows = hub.rows("SELECT action, detail FROM audit WHERE actor LIKE 'user:%' ORDER BY id")
    return [(row.action, row.detail) for row in rows]


def test_a_guests_order_is_given_with_its_points(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    assert hub.balance(phone=ANN) == 0
    done = give(act, order)
    assert (done.points, done.balance, done.debt) == (42, 42, 0)
    assert hub.balance(phone=ANN) == 42
    assert [a for a, _ in audit(hub)] == ["member.enrolled", "order.claimed"]
    assert audit(hub)[1][1] == {"member": done.member, "points": 42}
    hub.assert_clean()


def test_a_preview_changes_nothing_and_says_what_comes(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    shown = act(lambda desk: claims.preview(desk, order, claims.enrol(desk, ANN)))
    assert shown.points == 42
    assert (hub.balance(phone=ANN), member_of(hub, order)) == (0, None)
    assert give(act, order).points == shown.points


def test_claiming_twice_is_clean(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    give(act, order)
    entries, deeds = hub.rows("SELECT * FROM entries"), audit(hub)
    assert give(act, order).points == 0
    assert (hub.rows("SELECT * FROM entries"), audit(hub)) == (entries, deeds)


def test_two_clerks_at_once_give_once(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    with ThreadPoolExecutor(4) as crowd:
        done = list(crowd.map(lambda _: give(act, order).points, range(4)))
    assert sorted(done) == [0, 0, 0, 42]
    assert hub.balance(phone=ANN) == 42
    hub.assert_clean()


def test_a_later_message_keeps_the_claim_and_moves_its_points(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    give(act, order)
    sell(1, net=300_000, version=2)
    assert hub.balance(phone=ANN) == 30
    sell(1, net=300_000, version=3, state="cancelled")
    assert hub.balance(phone=ANN) == 0
    hub.assert_clean()


def test_a_message_that_names_somebody_later_does_not_undo_the_claim(
    hub: Hub, act: Act, sell: Sell
) -> None:
    order = sell(1)
    give(act, order)
    sell(1, "0987654321", version=2)
    assert (hub.balance(phone=ANN), hub.balance(phone="+84987654321")) == (42, 0)


def test_released_the_order_is_attributed_as_its_messages_say(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    give(act, order)
    back = act(lambda desk: claims.release(desk, order))
    assert (back.points, back.balance, member_of(hub, order)) == (-42, 0, None)
    give(act, order)
    sell(1, "0987654321", version=2)
    act(lambda desk: claims.release(desk, order))
    assert (hub.balance(phone=ANN), hub.balance(phone="+84987654321")) == (0, 42)
    with pytest.raises(NotClaimable):
        act(lambda desk: claims.release(desk, order))
    hub.assert_clean()


def test_spent_points_of_a_released_claim_are_owed_and_the_preview_says_so(
    hub: Hub, act: Act, sell: Sell
) -> None:
    from hub.desk import points

    order = sell(1)
    give(act, order)
    (ann,) = hub.rows("SELECT member_id AS id FROM identities WHERE value = :phone", phone=ANN)
    act(lambda desk: points.adjust(desk, ann.id, -40, reason="spent", key="1"))
    shown = act(lambda desk: claims.preview_release(desk, order))
    assert (shown.points, shown.balance, shown.debt) == (-42, -40, 40)
    assert act(lambda desk: claims.release(desk, order)) == shown
    hub.assert_clean()


def test_what_belongs_to_somebody_is_not_given_away(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1, "0987654321")
    with pytest.raises(NotClaimable, match="belongs to a member"):
        give(act, order)
    guest = sell(2)
    give(act, guest)
    with pytest.raises(NotClaimable, match="another member"):
        give(act, guest, "0987654321")
    with pytest.raises(LookupError):
        give(act, "txn_0000000000000000")
    assert (hub.balance(phone=ANN), hub.balance(phone="+84987654321")) == (42, 42)


def test_an_order_that_earns_nothing_can_be_given_and_gives_nothing(
    hub: Hub, act: Act, sell: Sell
) -> None:
    order = sell(1, state="pending")
    assert give(act, order).points == 0
    sell(1, version=2)  # now it is paid
    assert hub.balance(phone=ANN) == 42


def test_channels_that_show_balances_hear_of_it(hub: Hub, act: Act, sell: Sell) -> None:
    order = sell(1)
    before = hub.rows("SELECT count(*) AS n FROM deliveries WHERE topic = 'set_balance'")[0].n
    give(act, order)
    after = hub.rows("SELECT count(*) AS n FROM deliveries WHERE topic = 'set_balance'")[0].n
    assert (before, after) == (0, 1)


def test_a_merged_member_keeps_what_was_claimed(hub: Hub, act: Act, sell: Sell) -> None:
    guest = sell(1)
    give(act, guest)
    sell(2, "0987654321")
    ids = {r.value: r.member_id for r in hub.rows("SELECT value, member_id FROM identities")}
    one, other = ids[ANN], ids["+84987654321"]
    shown = act(lambda desk: merging.preview(desk, one, other))
    assert (shown.before, shown.brought, shown.after) == (42, 42, 84)
    assert act(lambda desk: merging.merge(desk, one, other)) == shown
    with pytest.raises(NotMergeable):
        act(lambda desk: merging.merge(desk, one, other))
    sell(1, net=100_000, version=2)
    assert hub.balance(phone="+84987654321") == 52
    act(lambda desk: merging.unmerge(desk, one, other))
    assert (hub.balance(phone=ANN), hub.balance(phone="+84987654321")) == (10, 42)
    hub.assert_clean()
