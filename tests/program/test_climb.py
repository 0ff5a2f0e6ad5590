"""Members climb and come down: by what, over which time, when, how far; whatever the order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.program import document as documents
from hub.program.climb import Climb, replay
from hub.program.history import Act, Fact, Movement, Purchase, in_order
from hub.program.ladder import Ladder

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
JOINED = datetime(2025, 1, 1, tzinfo=ZONE)
LEVELS = [
    {"id": "member", "name": "Member", "from": 0},
    {"id": "silver", "name": "Silver", "from": 1000},
    {"id": "gold", "name": "Gold", "from": 5000},
]


def ladder(levels: list[dict[str, Any]] | None = None, **change: Any) -> Ladder:
    tiers = {"by": "points_earned", "levels": levels or LEVELS, **change}
    if tiers["by"] == "spend":
        tiers["currency"] = "VND"
    rules = documents.rules(
        {"earn": {"per": {"VND": "1000"}}, "tiers": tiers},
        number=1, effective_from=JOINED, time_zone="Asia/Ho_Chi_Minh",
    )  # fmt: skip
    assert rules.tiers is not None
    return rules.tiers


def on(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def sale(day: str, points: int = 0, goods: int = 0, number: int = 1, **more: Any) -> Purchase:
    at = on(day)
    return Purchase(number, at, 1, f"{day}-{number}", frozenset({"till"}), more.pop("currency", "VND"),
                    goods, more.pop("bill", goods), points, **more)  # fmt: skip


def climbed(one: Ladder, *facts: Fact, until: str, joined: datetime = JOINED) -> Climb:
    return replay([(JOINED, one)], ZONE, joined, in_order(list(facts)), on(until))


def history(climb: Climb) -> list[tuple[str, str | None, str]]:
    return [(c.at.astimezone(ZONE).date().isoformat(), c.tier, c.why) for c in climb.changes]


# --- what is counted -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "tier"), [(999, "member"), (1000, "silver"), (4999, "silver"), (5000, "gold")]
)
def test_a_tier_begins_at_its_line_and_includes_it(points: int, tier: str) -> None:
    assert climbed(ladder(), sale("2025-02-01", points), until="2025-02-02").tier == tier


@pytest.mark.parametrize(
    ("by", "tier"),
    [
        ("spend", "silver"),
        ("points_earned", "gold"),
        ("points_balance", "silver"),
        ("orders", "member"),
        ("visits", "member"),
    ],
)
def test_a_ladder_counts_one_thing(by: str, tier: str) -> None:
    facts: list[Fact] = [
        sale("2025-02-01", points=5000, goods=1500),
        Movement(on("2025-02-02"), earned=0, balance=-3000),
    ]
    assert climbed(ladder(by=by, leave="at_once"), *facts, until="2025-03-01").tier == tier


def test_two_sales_of_one_day_are_one_visit_and_two_orders() -> None:
    two = [{"id": "regular", "name": "Regular", "from": 2}]
    facts: list[Fact] = [sale("2025-02-01T08:00", number=1), sale("2025-02-01T22:00", number=2)]
    assert climbed(ladder(two, by="orders"), *facts, until="2025-02-02").tier == "regular"
    assert climbed(ladder(two, by="visits"), *facts, until="2025-02-02").tier is None
    third = sale("2025-02-02T01:00", number=3)
    assert climbed(ladder(two, by="visits"), *facts, third, until="2025-02-03").tier == "regular"


def test_spend_is_of_goods_or_of_the_whole_bill_and_other_currencies_by_their_factor() -> None:
    bought = sale("2025-02-01", goods=900, bill=1000)
    assert climbed(ladder(by="spend"), bought, until="2025-02-02").tier == "member"
    assert climbed(ladder(by="spend", spend_of="bill"), bought, until="2025-02-02").tier == "silver"
    dollars = sale("2025-02-01", goods=4, currency="USD")  # 4 cents
    assert climbed(ladder(by="spend"), dollars, until="2025-02-02").tier == "member"
    by_factor = ladder(by="spend", other_currencies={"USD": "25000"})
    assert climbed(by_factor, dollars, until="2025-02-02").tier == "silver"
    assert (
        climbed(by_factor, sale("2025-02-01", goods=3, currency="USD"), until="2025-02-02").tier
        == "member"
    )


def test_gifts_count_as_earned_and_points_that_are_taken_do_not_take_a_tier() -> None:
    facts: list[Fact] = [Movement(on("2025-02-01"), 1000, 1000), Movement(on("2025-02-02"), 0, -900)]
    assert climbed(ladder(leave="at_once"), *facts, until="2025-03-01").tier == "silver"


# --- over which time -----------------------------------------------------------------------------


def test_a_rolling_window_lets_a_sale_go_after_its_months() -> None:
    rolling = ladder(over="rolling", rolling_months=12, leave="at_once")
    bought = sale("2025-02-15T23:00", 1000)
    assert climbed(rolling, bought, until="2026-02-14T23:59").tier == "silver"
    assert history(climbed(rolling, bought, until="2026-03-01"))[-1] == (
        "2026-02-15",
        "member",
        "lapsed",
    )


def test_a_tier_reached_in_a_year_stays_through_the_next_and_goes_when_that_was_too_little() -> None:
    yearly = ladder(over="calendar_year")
    facts: list[Fact] = [sale("2025-06-01", 1000)]
    assert climbed(yearly, *facts, until="2026-12-31T23:59").tier == "silver"
    assert history(climbed(yearly, *facts, until="2027-01-01")) == [
        ("2025-01-01", "member", "reached"), ("2025-06-01", "silver", "reached"), ("2027-01-01", "member", "reviewed"),
    ]  # fmt: skip
    kept = climbed(yearly, *facts, sale("2026-05-01", 1000, number=2), until="2027-12-31")
    assert kept.tier == "silver"


def test_a_count_of_a_year_that_is_lost_at_once_begins_at_nothing_every_year() -> None:
    yearly = ladder(over="calendar_year", leave="at_once")
    assert history(climbed(yearly, sale("2025-06-01", 1000), until="2026-06-01"))[-1] == (
        "2026-01-01", "member", "lapsed",
    )  # fmt: skip


def test_a_membership_year_ends_on_the_day_of_joining() -> None:
    """Joined on 4 March 2018, 550 spent that September: kept in 2019, lost in 2020."""
    joined = on("2018-03-04T15:00")
    one = ladder([{"id": "bronze", "name": "Bronze", "from": 0}, {"id": "gold", "name": "Gold", "from": 550}],
                 over="membership_year")  # fmt: skip
    bought = sale("2018-09-01", 550)
    for until, tier in (("2018-09-02", "gold"), ("2019-03-04", "gold"), ("2020-03-03T23:59", "gold"),
                        ("2020-03-04", "bronze")):  # fmt: skip
        assert climbed(one, bought, until=until, joined=joined).tier == tier


@pytest.mark.parametrize(("second", "tier"), [(150, "member"), (200, "bronze"), (500, "silver")])
def test_a_year_from_entry_asks_for_as_much_again(second: int, tier: str) -> None:
    """Bronze on 1 January 2024 with the sale that brought 200: what follows in twelve months decides."""
    levels = [{"id": "member", "name": "Member", "from": 0}, {"id": "bronze", "name": "Bronze", "from": 200},
              {"id": "silver", "name": "Silver", "from": 500}]  # fmt: skip
    one = ladder(levels, over="membership_year", year_from="entry")
    facts: list[Fact] = [sale("2024-01-01", 200), sale("2024-06-01", second, number=2)]
    assert climbed(one, *facts, until="2025-01-02", joined=on("2024-01-01")).tier == tier


def test_a_day_of_joining_that_is_stated_counts_also_where_something_was_bought_before() -> None:
    one = ladder(over="membership_year")
    begins, joined = on("2023-06-01"), on("2024-03-04")
    for until, tier in (("2025-03-03", "silver"), ("2025-03-04", "member")):
        climb = replay([(begins, one)], ZONE, begins, [sale("2023-06-01", 1000)], on(until), joined)
        assert climb.tier == tier


def test_leap_day_years_keep_their_day() -> None:
    one = ladder(over="membership_year")
    climb = climbed(one, sale("2024-03-01", 1000), until="2028-02-29T12:00", joined=on("2024-02-29"))
    assert history(climb)[-1] == ("2026-02-28", "member", "reviewed")
    climb = climbed(one, sale("2026-03-01", 1000), until="2028-12-01", joined=on("2024-02-29"))
    assert history(climb)[-1] == ("2028-02-29", "member", "reviewed")


# --- entering and leaving ------------------------------------------------------------------------


def test_a_tier_may_be_entered_at_the_review_only() -> None:
    one = ladder(enter="at_review", review="quarter")
    bought = sale("2025-02-01", 5000)
    assert climbed(one, bought, until="2025-03-31T23:59").tier == "member"
    assert history(climbed(one, bought, until="2025-04-01"))[-1] == ("2025-04-01", "gold", "reviewed")


def test_never_means_never() -> None:
    facts: list[Fact] = [Act(on("2025-02-01"), "set", "gold"), Movement(on("2025-02-02"), 0, 11)]
    assert climbed(ladder(by="points_balance", leave="never"), *facts, until="2030-01-01").tier == "gold"
    assert (
        climbed(ladder(by="points_balance", leave="at_once"), *facts, until="2025-02-03").tier
        == "member"
    )


def test_one_step_at_a_time() -> None:
    levels = [{"id": "vip5", "name": "VIP5", "keep": 500}, {"id": "vip10", "name": "VIP10", "keep": 1000},
              {"id": "vip20", "name": "VIP20", "keep": 2000}]  # fmt: skip
    one = ladder(levels, over="membership_year", year_from="entry", drop="one_step")
    facts: list[Fact] = [Act(on("2025-01-10"), "set", "vip20"), Movement(on("2025-06-01"), 100, 100)]
    assert climbed(one, *facts, until="2026-01-09T23:59").tier == "vip20"
    assert climbed(one, *facts, until="2026-01-11").tier == "vip10"
    assert climbed(one, *facts, until="2027-01-11").tier == "vip5"
    at_once = ladder(levels, over="membership_year", year_from="entry")
    assert climbed(at_once, *facts, until="2026-01-11").tier is None


def test_grace_puts_a_drop_off_and_a_sale_in_it_saves_the_tier() -> None:
    one = ladder(over="calendar_year", grace_days=30)
    first = sale("2025-06-01", 1000)
    assert climbed(one, first, until="2027-01-30T23:59").tier == "silver"
    assert history(climbed(one, first, until="2027-01-31"))[-1] == ("2027-01-31", "member", "reviewed")
    saved = climbed(one, first, sale("2027-01-20", 1000, number=2), until="2027-12-31")
    assert saved.tier == "silver"


def test_a_reset_counts_anew_from_each_change() -> None:
    one = ladder(reset=True, leave="never")
    climb = climbed(
        one, sale("2025-02-01", 4999), sale("2025-03-01", 4999, number=2), until="2025-04-01"
    )
    assert (climb.tier, climb.progress().count, climb.progress().missing) == ("silver", 4999, 1)
    assert (
        climbed(
            one, sale("2025-02-01", 4999), sale("2025-03-01", 5000, number=2), until="2025-04-01"
        ).tier
        == "gold"
    )


def test_a_balance_that_is_spent_takes_the_tier_with_it() -> None:
    one = ladder(by="points_balance", leave="at_once")
    facts: list[Fact] = [Movement(on("2025-02-01"), 1000, 1000), Movement(on("2025-02-02"), 0, -1)]
    assert [t for _, t, _ in history(climbed(one, *facts, until="2025-03-01"))] == [
        "member",
        "silver",
        "member",
    ]


def test_the_order_that_crosses_the_line_counts_itself_where_the_programme_says_so() -> None:
    before = Climb([(JOINED, ladder(by="spend"))], ZONE, JOINED)
    including = Climb([(JOINED, ladder(by="spend", this_order=True))], ZONE, JOINED)
    crossing = sale("2025-02-01", goods=1000)
    for climb in (before, including):
        climb.advance(crossing.at)
    assert (before.tier_with(crossing), including.tier_with(crossing)) == ("member", "silver")


# --- decisions and memberships -------------------------------------------------------------------


def test_a_guarantee_holds_whatever_is_counted_until_its_end() -> None:
    one = ladder(by="points_balance", leave="at_once")
    facts: list[Fact] = [
        Act(on("2025-02-01"), "guarantee", "gold", until=on("2025-06-01")),
        Movement(on("2025-03-01"), 0, 11),
    ]
    assert climbed(one, *facts, until="2025-05-31").tier == "gold"
    assert history(climbed(one, *facts, until="2025-06-01"))[-1] == (
        "2025-06-01",
        "member",
        "guarantee_ended",
    )
    released = climbed(one, *facts, Act(on("2025-04-01"), "release"), until="2025-04-02")
    assert released.tier == "member"


def test_a_paid_membership_lasts_its_time_and_renewing_it_goes_on_from_its_end() -> None:
    plan = {"tier": "gold", "skus": ["CARD"], "months": 12}
    one = ladder(memberships=[plan])
    bought = sale("2025-03-10T12:00", memberships=(("gold", 1),))
    assert history(climbed(one, bought, until="2027-01-01"))[1:] == [
        ("2025-03-10", "gold", "member_of"), ("2026-03-10", "member", "membership_ended"),
    ]  # fmt: skip
    again = sale("2026-02-01", number=2, memberships=(("gold", 1),))
    assert history(climbed(one, bought, again, until="2028-01-01"))[-1][0] == "2027-03-10"
    late = sale("2026-05-01", number=3, memberships=(("gold", 2),))
    assert history(climbed(one, bought, late, until="2029-01-01"))[-1][0] == "2028-05-01"


def test_what_was_bought_before_the_programme_can_be_stated() -> None:
    facts: list[Fact] = [Act(on("2025-02-01"), "count", amount=4500), sale("2025-02-02", 500)]
    assert climbed(ladder(), *facts, until="2025-02-03").tier == "gold"


def test_a_review_may_be_called() -> None:
    facts: list[Fact] = [
        Act(on("2025-02-01"), "set", "gold"),
        Act(on("2025-02-02"), "count", amount=1100),
    ]
    assert climbed(ladder(), *facts, until="2025-02-03").tier == "gold"
    assert (
        climbed(ladder(), *facts, Act(on("2025-02-02"), "review"), until="2025-02-03").tier == "silver"
    )


# --- versions ------------------------------------------------------------------------------------


def test_a_new_version_takes_nothing_before_its_review() -> None:
    higher = ladder([LEVELS[0], {**LEVELS[1], "from": 2000}])
    climb = replay([(JOINED, ladder()), (on("2025-06-01"), higher)], ZONE, JOINED,
                   [sale("2025-02-01", 1500)], on("2026-01-02"))  # fmt: skip
    assert history(climb)[1:] == [
        ("2025-02-01", "silver", "reached"),
        ("2026-01-01", "member", "reviewed"),
    ]


def test_a_first_ladder_counts_what_was_bought_before_it() -> None:
    climb = replay([(JOINED, None), (on("2025-06-01"), ladder())], ZONE, JOINED,
                   [sale("2025-02-01", 1500)], on("2025-06-02"))  # fmt: skip
    assert history(climb) == [("2025-06-01", "silver", "rules_changed")]


def test_what_was_stated_in_an_earlier_year_does_not_count_in_this_by_new_rules() -> None:
    yearly = ladder(over="calendar_year")
    facts: list[Fact] = [Act(on("2025-03-01"), "count", amount=900), sale("2026-02-01", 50)]
    climb = replay([(JOINED, yearly), (on("2026-06-01"), yearly)], ZONE, JOINED, facts, on("2026-07-01"))
    assert climb.progress().count == 50


def test_tiers_that_are_abolished_are_left() -> None:
    climb = replay([(JOINED, ladder()), (on("2025-06-01"), None)], ZONE, JOINED,
                   [sale("2025-02-01", 1500)], on("2025-07-01"))  # fmt: skip
    assert (climb.tier, climb.next_moment) == (None, None)


# --- how far -------------------------------------------------------------------------------------


def test_progress_says_what_is_missing_and_what_keeps() -> None:
    found = climbed(
        ladder(over="calendar_year"), sale("2025-06-01", 1200), until="2025-07-01"
    ).progress()
    assert (found.tier, found.count, found.next_tier, found.next_at, found.missing) == (
        "silver", 1200, "gold", 5000, 3800,
    )  # fmt: skip
    assert (found.keep_at, found.review_at) == (1000, on("2026-01-01").astimezone(UTC))
    top = climbed(ladder(), sale("2025-06-01", 9000), until="2025-07-01").progress()
    assert (top.next_tier, top.missing) == (None, None)


def test_a_guaranteed_tier_says_until_when_and_asks_for_no_count() -> None:
    one = ladder(over="calendar_year")
    facts: list[Fact] = [
        sale("2025-02-01", 1200),
        Act(on("2025-03-01"), "guarantee", "gold", until=on("2026-06-01")),
    ]
    held = climbed(one, *facts, until="2025-07-01").progress()
    assert (held.tier, held.held, held.held_until, held.keep_at) == (
        "gold",
        True,
        on("2026-06-01"),
        None,
    )
    for_good = climbed(
        one, *facts, Act(on("2025-04-01"), "guarantee", "gold"), until="2025-07-01"
    ).progress()
    assert (for_good.held, for_good.held_until) == (True, None)
    after = climbed(one, *facts, until="2026-06-01").progress()
    assert (after.tier, after.held, after.keep_at) == ("silver", False, 1000)


def test_nothing_has_to_be_looked_at_of_members_who_can_only_climb() -> None:
    assert climbed(ladder(over="calendar_year"), until="2025-07-01").next_moment is None
    climb = climbed(ladder(over="calendar_year"), sale("2025-06-01", 1200), until="2025-07-01")
    assert climb.next_moment == on("2026-01-01").astimezone(UTC)


# --- properties ----------------------------------------------------------------------------------

LADDERS = st.sampled_from([
    ladder(), ladder(over="calendar_year"), ladder(over="calendar_year", leave="at_once"),
    ladder(over="rolling", rolling_months=3, leave="at_once"), ladder(over="rolling", rolling_months=3),
    ladder(over="membership_year", year_from="entry", drop="one_step", grace_days=10),
    ladder(by="points_balance", leave="at_once"), ladder(reset=True), ladder(enter="at_review", review="month"),
    ladder(by="visits"),
])  # fmt: skip
DAYS = st.integers(0, 900).map(lambda n: JOINED + timedelta(days=n, hours=n % 24))
SALES = st.builds(
    lambda at, points, n: Purchase(n, at, n % 3, str(n), frozenset(), "VND", points, points, points),
    DAYS, st.integers(0, 3000), st.integers(1, 10**6),
)  # fmt: skip
MOVES = st.builds(lambda at, n: Movement(at, max(n, 0), n), DAYS, st.integers(-2000, 3000))
ACTS = st.builds(lambda at, tier: Act(at, "set", tier), DAYS, st.sampled_from(["silver", "gold"]))
FACTS = st.lists(
    st.one_of(SALES, MOVES, ACTS),
    max_size=15,
    unique_by=lambda fact: fact.transaction_id if isinstance(fact, Purchase) else id(fact),
)
"""No two sales are one: what a sale is worth is one number."""


@given(LADDERS, FACTS, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_are_told_does_not_matter(
    one: Ladder, facts: list[Fact], dice: Any
) -> None:
    shuffled = list(facts)
    dice.shuffle(shuffled)
    end = JOINED + timedelta(days=1500)
    first, second = (replay([(JOINED, one)], ZONE, JOINED, in_order(f), end) for f in (facts, shuffled))
    assert first.changes == second.changes
    assert first.progress() == second.progress()


@given(LADDERS, FACTS, DAYS)
def test_looking_earlier_sees_the_beginning_of_the_same_history(
    one: Ladder, facts: list[Fact], day: datetime
) -> None:
    known = in_order(facts)
    early = replay([(JOINED, one)], ZONE, JOINED, known, day)
    whole = replay([(JOINED, one)], ZONE, JOINED, known, JOINED + timedelta(days=1500))
    assert whole.changes[: len(early.changes)] == early.changes
    assert all(change.at > day for change in whole.changes[len(early.changes) :])


@given(LADDERS, FACTS, DAYS)
def test_stopping_on_the_way_changes_nothing(one: Ladder, facts: list[Fact], day: datetime) -> None:
    """What the sweeper does: look in between, at any moment that is due or not."""
    end = JOINED + timedelta(days=1500)
    climb = Climb([(JOINED, one)], ZONE, JOINED)
    for fact in in_order(facts):
        if fact.at >= day:
            climb.advance(min(fact.at, end))
        climb.take(fact)
        moment = climb.next_moment
        assert moment is None or moment > fact.at
    climb.advance(end)
    assert climb.changes == replay([(JOINED, one)], ZONE, JOINED, in_order(facts), end).changes


@given(LADDERS, FACTS)
def test_the_tier_changes_at_no_other_moment_than_the_next(one: Ladder, facts: list[Fact]) -> None:
    """Or the sweeper would come too late."""
    climb = Climb([(JOINED, one)], ZONE, JOINED)
    for fact in in_order(facts):
        known, moment = len(climb.changes), climb.next_moment
        climb.advance(fact.at)
        assert all(moment is not None and change.at >= moment for change in climb.changes[known:])
        climb.take(fact)


# --- every change says why -----------------------------------------------------------------------


def whys(climb: Climb) -> list[tuple[str | None, str]]:
    return [(c.tier, c.why) for c in climb.changes]


def test_decisions_are_told_in_the_history_by_their_names() -> None:
    facts: list[Fact] = [
        Act(on("2025-02-01"), "set", "silver"),
        Act(on("2025-03-01"), "guarantee", "gold"),
        Act(on("2025-04-01"), "release"),
        Act(on("2025-05-01"), "count", amount=5000),
    ]
    assert whys(climbed(ladder(), *facts, until="2025-06-01"))[1:] == [
        ("silver", "set"), ("gold", "guaranteed"), ("silver", "guarantee_ended"), ("gold", "reached"),
    ]  # fmt: skip


def test_a_guarantee_begins_when_it_is_given() -> None:
    one = ladder(by="points_balance", leave="at_once")
    promise = Act(on("2025-05-01"), "guarantee", "gold")
    assert climbed(one, promise, until="2025-04-30").tier == "member"
    assert climbed(one, promise, until="2025-05-01").tier == "gold"


def test_a_stated_count_replaces_what_was_counted() -> None:
    facts: list[Fact] = [sale("2025-02-01", 700), Act(on("2025-03-01"), "count", amount=900)]
    found = climbed(ladder(), *facts, until="2025-03-02").progress()
    assert (found.count, found.tier, found.missing) == (900, "member", 100)


def test_who_is_in_a_tier_that_stays_keeps_it_over_new_rules_and_who_is_in_one_that_goes_is_counted() -> (
    None
):
    silver_goes = ladder([LEVELS[0], LEVELS[2]])
    renamed = ladder([{"id": "new", "name": "New", "from": 0}, *LEVELS[1:]])
    for later, expected in ((silver_goes, ("member", "rules_changed")), (renamed, None)):
        climb = replay([(JOINED, ladder()), (on("2025-06-01"), later)], ZONE, JOINED,
                       [sale("2025-02-01", 1500)], on("2025-06-02"))  # fmt: skip
        assert whys(climb)[2:] == ([] if expected is None else [expected])
        assert climb.tier == ("silver" if expected is None else "member")


def test_progress_where_there_are_no_tiers_and_of_who_has_just_joined() -> None:
    gone = replay([(JOINED, ladder()), (on("2025-06-01"), None)], ZONE, JOINED,
                  [sale("2025-02-01", 1500)], on("2025-07-01")).progress()  # fmt: skip
    assert (gone.tier, gone.since, gone.count, gone.next_tier) == (None, on("2025-06-01"), 0, None)
    never = replay([(JOINED, None)], ZONE, JOINED, [], on("2025-07-01")).progress()
    assert (never.tier, never.since, never.count) == (None, None, 0)
    new = climbed(ladder(), until="2025-03-01").progress()
    assert (new.tier, new.since, new.missing, new.keep_at, new.review_at) == (
        "member",
        JOINED,
        1000,
        None,
        None,
    )
    exactly = climbed(ladder(), sale("2025-02-01", 1000), until="2025-03-01").progress()
    assert (exactly.since, exactly.missing) == (on("2025-02-01"), 4000)
