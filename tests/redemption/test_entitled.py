"""Rewards for some members alone, and for fewer points by the tier."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.desk import rewards, tiers
from hub.desk.place import Desk, carry_out
from hub.desk.tiers import Decision
from hub.redemption.limits import NotOffered
from tests.counter import Counter
from tests.hubs import Hub, running_hub

DOCUMENT: dict[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "1000"}},
    "tiers": {
        "by": "points_earned",
        "levels": [
            {"id": "member", "name": "Member", "from": 0},
            {"id": "gold", "name": "Gold", "from": 5000, "reward_discount": "12.5"},
        ],
    },
    "segments": [{"id": "press", "tags": ["press"]}],
    "rewards": [
        {"id": "tea", "name": "Tea", "cost": 50, "perk": "A tea"},
        {"id": "card", "name": "Card", "cost": 0, "perk": "A card", "per_member": 1},
        {"id": "cake", "name": "Cake", "cost": 100, "perk": "A cake", "tiers": ["gold"]},
        {"id": "book", "name": "Book", "cost": 80, "perk": "A book", "segments": ["press"]},
    ],
}


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path, document=DOCUMENT) as hub:
        till = Counter(hub)
        till.sell(1, 1_000_000, "2026-11-02T03:00:00Z")
        till.work()
        yield hub


def at_desk(hub: Hub, deed: Any) -> Any:
    (ann,) = hub.rows("SELECT id FROM members")
    return carry_out(hub.runtime, hub.program, "test", lambda desk: deed(desk, ann.id))


def offered(hub: Hub) -> dict[str, int]:
    found = at_desk(hub, lambda desk, ann: rewards.offers(desk, 1000, ann))
    return {offer.reward.id: offer.reward.cost for offer in found}


def buy(hub: Hub, reward: str, key: str) -> int:
    done = at_desk(hub, lambda desk, ann: rewards.redeem(desk, ann, reward, key=key))
    return int(done.points)


def make_gold(hub: Hub) -> None:
    wish = Decision("set", tier="gold")
    at_desk(hub, lambda desk, ann: tiers.decide(desk, ann, wish, reason="r", key="gold"))


def test_others_are_not_offered_and_are_refused(hub: Hub) -> None:
    assert offered(hub) == {"card": 0, "tea": 50}
    for reward, why in (("cake", "other_tier"), ("book", "other_segment")):
        with pytest.raises(NotOffered) as refused:
            buy(hub, reward, reward)
        assert refused.value.why == why
    assert hub.balance(phone="+84912345678") == 1000
    assert hub.rows("SELECT 1 FROM redemptions") == []


def test_a_tier_opens_a_reward_and_makes_all_cheaper_rounded_up(hub: Hub) -> None:
    make_gold(hub)
    assert offered(hub) == {"card": 0, "tea": 44, "cake": 88}
    assert (buy(hub, "tea", "k1"), buy(hub, "cake", "k2")) == (44, 88)
    assert hub.balance(phone="+84912345678") == 1000 - 44 - 88
    assert buy(hub, "tea", "k1") == 44, "the same key again"
    assert hub.balance(phone="+84912345678") == 1000 - 44 - 88
    hub.assert_clean()


def test_a_tag_opens_a_reward(hub: Hub) -> None:
    def tag(desk: Desk, ann: int) -> None:
        tiers.tag(desk, ann, "press", on=True)

    at_desk(hub, tag)
    assert offered(hub) == {"card": 0, "tea": 50, "book": 80}
    assert buy(hub, "book", "k") == 80
