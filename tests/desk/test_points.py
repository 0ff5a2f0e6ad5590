"""Points by hand and rewards at the desk: a preview that is true, a double submit that does it once."""

from __future__ import annotations

import pytest

from hub.desk import points, rewards
from hub.ledger.commands import NotEnoughPoints, ReferenceConflict
from hub.redemption.redeem import KeyReused, NoSuchReward
from tests.desk.conftest import Act, Sell
from tests.hubs import Hub


@pytest.fixture
def ann(hub: Hub, sell: Sell) -> int:
    """A member with 42 points."""
    sell(1, "0912345678")
    found: int = hub.rows("SELECT id FROM members")[0].id
    return found


def test_a_preview_is_what_happens(hub: Hub, act: Act, ann: int) -> None:
    def given(amount: int) -> tuple[points.Adjusted, points.Adjusted]:
        shown = act(lambda desk: points.preview(desk, ann, amount))
        done = act(lambda desk: points.adjust(desk, ann, amount, reason="sorry", key=f"k{amount}"))
        return shown, done

    for amount, after in ((50, 92), (-10, 82)):
        shown, done = given(amount)
        assert (shown, done.balance) == (done, after)
    hub.assert_clean()


def test_a_double_submit_gives_once(hub: Hub, act: Act, ann: int) -> None:
    first = act(lambda desk: points.adjust(desk, ann, 50, reason="sorry", key="form-1"))
    again = act(lambda desk: points.adjust(desk, ann, 50, reason="sorry", key="form-1"))
    assert (first.repeated, again.repeated, again.balance) == (False, True, 92)
    deeds = hub.rows("SELECT 1 FROM audit WHERE action = 'member.adjusted'")
    assert len(deeds) == 1
    with pytest.raises(ReferenceConflict):
        act(lambda desk: points.adjust(desk, ann, 60, reason="sorry", key="form-1"))


def test_more_than_is_available_is_not_taken(hub: Hub, act: Act, ann: int) -> None:
    with pytest.raises(NotEnoughPoints):
        act(lambda desk: points.preview(desk, ann, -43))
    with pytest.raises(NotEnoughPoints) as refused:
        act(lambda desk: points.adjust(desk, ann, -43, reason="x", key="k"))
    assert refused.value.available == 42
    assert hub.balance(phone="+84912345678") == 42


def test_the_channels_hear_of_every_change_by_hand(hub: Hub, act: Act, ann: int) -> None:
    def pushes() -> int:
        hub.work()
        return int(
            hub.rows("SELECT generation FROM deliveries WHERE topic = 'set_balance'")[0].generation
        )

    before = pushes()
    act(lambda desk: points.adjust(desk, ann, 1, reason="x", key="a"))
    adjusted = pushes()
    act(lambda desk: rewards.redeem(desk, ann, "coffee", key="b"))
    assert before < adjusted < pushes()


def test_offers_say_what_is_missing(hub: Hub, act: Act, ann: int) -> None:
    found = act(lambda desk: rewards.offers(desk, 42))
    assert [(o.reward.id, o.missing) for o in found] == [("coffee", 0), ("dinner", 458)]


def test_a_redemption_is_done_once_a_key(hub: Hub, act: Act, ann: int) -> None:
    first = act(lambda desk: rewards.redeem(desk, ann, "coffee", key="f"))
    again = act(lambda desk: rewards.redeem(desk, ann, "coffee", key="f"))
    assert (first.code, again.repeated) == (again.code, True)
    assert hub.balance(phone="+84912345678") == 37
    with pytest.raises(KeyReused):
        act(lambda desk: rewards.redeem(desk, ann, "no-such-reward", key="f"))
    with pytest.raises(NoSuchReward):
        act(lambda desk: rewards.redeem(desk, ann, "no-such-reward", key="g"))
