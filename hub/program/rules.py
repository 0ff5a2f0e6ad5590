"""The rules of one version of a program, and what they look at: values alone (rules.md B).

No session, no clock, standard library only. `hub.program.earn` judges sales by them; the same
functions serve live posting, replay, simulation and the dashboard's "why these points".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from fractions import Fraction
from typing import Any, Literal

from hub.program.actions import Action
from hub.program.brackets import Bracket, Reach
from hub.program.ladder import Ladder
from hub.program.notices import Notice
from hub.program.numbers import Rounding
from hub.program.referral import Referral
from hub.program.rewards import Reward
from hub.program.segments import Segment
from hub.program.till import Till
from hub.program.windows import Period, Window

__all__ = ["Rounding", "Window"]

Standing = Literal["paid", "unpaid", "draft", "cancelled", "refunded", "deleted", "test"]
EarnKind = Literal["per_amount", "percent", "brackets", "per_order", "per_quantity"]
PeriodEnd = Literal["month", "quarter", "year"]
Occasion = Literal["day", "week", "month"]
"""Of a birthday: the day, the week from Monday to Sunday that holds it, the month."""

MAX_POINTS = 2**53
NOT_GOODS = frozenset({"gift_card", "tip", "fee"})


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines of a sale something is about. An empty set of wanted ones means: any."""

    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    exclude_kinds: frozenset[str] = NOT_GOODS
    exclude_categories: frozenset[str] = frozenset()
    exclude_skus: frozenset[str] = frozenset()
    exclude_tags: frozenset[str] = frozenset()
    discounted: Literal["in", "out", "only"] = "in"
    """Whether lines sold at a discount belong to it."""
    free: Literal["in", "out"] = "in"
    """Whether lines that cost nothing belong to it."""

    @property
    def picks(self) -> bool:
        """Whether it names lines it wants, rather than only ones it does not."""
        return bool(self.categories or self.skus or self.products or self.tags) or (
            self.discounted == "only"
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies to a sale; what is not said does not matter."""

    minimum: Mapping[str, int] = field(default_factory=dict)
    """Currency -> the least bill in minor units, with tax and shipping after discounts, inclusive. A
    currency that is not named never meets a minimum that others have."""
    channels: frozenset[str] = frozenset()
    """Connector kinds, or ids of channels."""
    locations: frozenset[str] = frozenset()
    windows: tuple[Window, ...] = ()
    """One of them must hold the moment the sale was placed; none: any time."""
    weekdays: frozenset[int] = frozenset()
    """ISO: 1 Monday to 7 Sunday, in the program's time zone."""
    hours: tuple[time, time] | None = None
    """From, until (half-open) in the program's time zone; over midnight where until is earlier."""
    discounted_bills: bool = True
    """False: a bill with any discount on it does not count."""
    paid_with_points: bool = True
    """False: a bill paid with points, in part or in full, does not count."""
    tiers: frozenset[str] = frozenset()
    """The buyer is in one of these tiers when the sale is placed."""
    segments: frozenset[str] = frozenset()
    """The buyer belongs to one of these segments then."""
    birthday: Occasion | None = None
    """The sale is placed on the buyer's birthday, or in its week or month."""

    orders: frozenset[int] = frozenset()
    """It is the buyer's first, tenth ... order, counted from 1 in the order in which orders are placed."""
    every_nth: int | None = None
    """It is every so many-th order of the buyer."""

    @property
    def asks_who(self) -> bool:
        """Whether it depends on the buyer, and not on the bill alone."""
        return bool(self.tiers or self.segments or self.birthday or self.is_ordinal)

    @property
    def is_ordinal(self) -> bool:
        """Whether it depends on which order of the buyer it is (rules.md B3)."""
        return bool(self.orders or self.every_nth)


ANYTIME = Condition()


@dataclass(frozen=True, slots=True)
class Budget:
    """How many points a rule gives at most, over all sales; at least one of them is set (rules.md B4)."""

    total: int | None = None
    per_member: int | None = None


@dataclass(frozen=True, slots=True)
class EarnRule:
    """One way points come about."""

    id: str = "earn"
    kind: EarnKind = "per_amount"
    points: Fraction = Fraction(1)
    """per_amount: for each `per`; percent: so many are worth `per`; per_order: for the bill;
    per_quantity: for each piece."""
    per: Mapping[str, int] = field(default_factory=dict)
    """per_amount: currency -> minor units a step. percent: currency -> what `points` are worth in minor
    units. A currency that is not named earns nothing."""
    factors: Mapping[str, Fraction] = field(default_factory=dict)
    """per_amount, instead of `per`: currency -> points for each minor unit."""
    brackets: tuple[Bracket, ...] = ()
    reach: Reach = "part"
    percent: Fraction = Fraction(0)
    """percent: the bill's share that comes back as points, in percent."""
    whole_steps: bool = False
    """per_amount: only full steps of `per` count; else the exact share."""
    rounding: Rounding | None = None
    """How this rule's own points are rounded before rules are put together; None: not at all."""
    tax: Literal["in", "out"] = "out"
    shipping: Literal["in", "out"] = "out"
    lines: LineFilter = LineFilter()
    not_paid_with: frozenset[str] = frozenset()
    """Kinds of payments: the share of the bill that was paid with them earns nothing."""
    when: Condition = ANYTIME
    alone: bool = False
    """It applies only where no earlier rule did, and then no later one does."""
    last: bool = False
    """Where it applies, no later rule does."""
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Multiplier:
    """More points for some sales or lines."""

    id: str
    factor: Fraction
    lines: LineFilter | None = None
    """None: all points of the bill; else those that its lines bring."""
    when: Condition = ANYTIME
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Discount:
    """A share of the price that is taken off some lines, without points."""

    id: str
    percent: Fraction
    lines: LineFilter
    when: Condition = ANYTIME


@dataclass(frozen=True, slots=True)
class Expiry:
    """How long points live, counted from availability in the program's time zone; the last day counts in
    full unless it is excluded."""

    days: int | None = None
    months: int | None = None
    until_end_of: PeriodEnd | None = None
    """Rounded up to the end of this period."""
    on_day: tuple[int, int] | None = None
    """(month, day): the next one of each year, that day included."""
    last_day: Literal["included", "excluded", "same_time"] = "included"
    """`same_time`: there until the time of day at which they became available, that moment included;
    whole periods and fixed days end when the day begins."""

    @property
    def is_never(self) -> bool:
        """Points without an end."""
        return not (self.days or self.months or self.until_end_of or self.on_day)


@dataclass(frozen=True, slots=True)
class PointsAsMoney:
    """Paying with points: `points` take `worth` off."""

    points: int
    worth: Mapping[str, int]
    """Currency -> minor units; in a currency that neither this nor `rates` names points are not money."""
    rates: Mapping[str, Fraction] = field(default_factory=dict)
    """Currency -> its minor units for one minor unit of the one currency that `worth` names."""
    step: int = 1
    """Only whole steps of so many points."""
    least: int = 1
    most: int | None = None
    most_per_day: int | None = None
    """Of one member, in the program's time zone."""
    least_balance: int = 0
    percent_of_bill: Fraction = Fraction(100)
    least_off: Mapping[str, int] = field(default_factory=dict)
    most_off: Mapping[str, int] = field(default_factory=dict)
    valid_days: int | None = None
    over_balance: Literal["refuse", "clamp"] = "refuse"
    """More points than there are: refused, or as many as there are."""

    def worth_in(self, currency: str) -> Fraction | None:
        """What `points` take off there, exact minor units; None: points are not money there."""
        if currency in self.worth:
            return Fraction(self.worth[currency])
        if currency in self.rates:
            return self.rates[currency] * next(iter(self.worth.values()))
        return None


@dataclass(frozen=True, slots=True)
class Credit:
    """Store credit: money of the programme's own that members collect and pay with."""

    cashback: tuple[EarnRule, ...] = ()
    """Shares of what was paid that come back; their `percent` counts, a point is a minor unit."""
    rounding: Rounding = "half_up"
    most_per_order: Mapping[str, int] = field(default_factory=dict)
    """Currency -> minor units."""
    paid_out: Literal["at_once", "month", "quarter", "year"] = "at_once"
    """Cashback can be used at once, or when the period in which it was earned is over."""
    available_after_days: int = 0
    expiry: Expiry = Expiry()
    spent_at: frozenset[str] = frozenset()
    """Connector kinds, or ids, of the channels whose payments with store credit are paid out of this."""
    valid_days: int | None = None
    """How long a code lives that store credit was turned into."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One immutable version of a program, in force from `effective_from` on."""

    number: int
    effective_from: datetime
    time_zone: str
    earn: tuple[EarnRule, ...]
    multipliers: tuple[Multiplier, ...] = ()
    combine: Literal["sum", "best"] = "sum"
    """Points of several rules: all of them, or the rule that gives most."""
    stacking: Literal["multiply", "add", "best"] = "multiply"
    """Two multipliers x2 and x3: six times, four times (each adds its surplus), or three times."""
    rounding: Rounding = "half_up"
    """At the bill, once, the last step."""
    most_per_order: int | None = None
    """No sale earns more points than this."""
    caps: Mapping[Period, int] = field(default_factory=dict)
    """What all sales of a member earn at most in a day, week, month, year, or ever (rules.md B3)."""
    partial_refund: Literal["recompute", "share"] = "recompute"
    minimum_after_refund: Literal["recheck", "as_at_sale"] = "recheck"
    available_from: Literal["placed", "fulfilled"] = "placed"
    """Whether points wait until the order is handed over."""
    available_after_days: int = 0
    expiry: Expiry = Expiry()
    spend_first: Literal["expiry", "earned"] = "expiry"
    """Which points a redemption takes first: those that expire soonest, or those earned first."""
    idle_days: int | None = None
    """All points are lost after so many days without a purchase, a grant or a spend."""
    idle_year: bool = False
    """All points are lost at the end of a calendar year without a purchase."""
    negative: Literal["debt", "forgive"] = "debt"
    earn_date: Literal["placed", "paid"] = "placed"
    enrol: Literal["anyone", "customers", "existing"] = "anyone"
    hold_minutes: int = 15
    code_prefix: str = "HUB"
    """What the codes begin with, so that a merchant of several programmes knows whose they are (F1)."""
    double_use: Literal["take_again", "absorb", "flag"] = "take_again"
    """A code used more than once: each use costs the member its points, the shop bears it, or a person
    decides (rules.md E2)."""
    unused: Literal["points_back", "lost"] = "points_back"
    """Points of a code that nobody used, when its day has passed or it was taken back."""
    points_back: Literal["full", "share", "never"] = "full"
    """When the order that used a code is refunded, the points that bought it come back: once nothing of
    the order is left, in proportion, or not at all."""
    when_cancelled: Literal["reopen", "points_back"] = "reopen"
    """A code whose order was cancelled can be used again, or is taken back everywhere for its points
    (rules.md E3: exactly one of the two)."""
    grace_days: int = 30
    """How long points that come back live at least, where their own day has passed (D5)."""
    rewards: Mapping[str, Reward] = field(default_factory=dict)
    paying: PointsAsMoney | None = None
    """None: points buy rewards only."""
    credit: Credit | None = None
    """None: no store credit."""
    actions: Mapping[str, Action] = field(default_factory=dict)
    referral: Referral | None = None
    discounts: tuple[Discount, ...] = ()
    tiers: Ladder | None = None
    segments: tuple[Segment, ...] = ()
    notices: tuple[Notice, ...] = ()
    till: Till = field(default_factory=Till)
    budgets: Mapping[str, Budget] = field(init=False, compare=False, default_factory=dict)
    """Rule -> its budget."""
    has_ordinals: bool = field(init=False, compare=False, default=False)
    """Whether a rule asks which order of the buyer it is."""
    needed: frozenset[str] = field(init=False, compare=False, default=frozenset())
    """What `needs` says of these rules, found once."""

    def __post_init__(self) -> None:
        conditions = [r.when for r in self.earn] + [m.when for m in self.multipliers]
        object.__setattr__(self, "has_ordinals", any(when.is_ordinal for when in conditions))
        own = {r.id: r.budget for r in self.earn if r.budget is not None}
        own |= {m.id: m.budget for m in self.multipliers if m.budget is not None}
        object.__setattr__(self, "budgets", own)
        object.__setattr__(self, "needed", needs(self))


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, as the rules look at it: what was so of the member when the sale was placed, resolved
    once at its first credit and stored with it (rules.md B2)."""

    tier: str | None = None
    segments: frozenset[str] = frozenset()
    birthday: frozenset[Occasion] = frozenset()
    """On which occasions of the birthday the sale was placed."""
    ordinal: int | None = None
    """Which of the buyer's orders it is, from 1; None: it is none, or nobody asks."""
    earned: Mapping[Period, int] = field(default_factory=dict)
    """What earlier sales of the day, week ... earn; only as far as the rules cap it."""
    allowed: Mapping[str, int] = field(default_factory=dict)
    """Rule -> what is left of its budget for this sale; a rule that is not named may give any number."""


NOBODY = Buyer()
"""A guest, or whoever buys where the rules do not ask."""


@dataclass(frozen=True, slots=True)
class BasketLine:
    """One line as sold and what is left of it after refunds, in minor units."""

    kind: str
    left: int
    left_tax: int
    sku: str | None = None
    categories: tuple[str, ...] | None = None
    product: str | None = None
    tags: tuple[str, ...] = ()
    discounted: bool = False
    quantity: Fraction | int = 1
    """Pieces that are left."""
    sold: int = 0
    sold_tax: int = 0
    sold_quantity: Fraction | int = 1


@dataclass(frozen=True, slots=True)
class Basket:
    """What is left of a sale, and what it was: all that the rules may look at."""

    standing: Standing
    currency: str
    lines: tuple[BasketLine, ...]
    shipping_left: int = 0
    shipping_tax_left: int = 0
    shipping: int = 0
    shipping_tax: int = 0
    placed_at: datetime | None = None
    channels: frozenset[str] = frozenset()
    """The kind and the id of the channel it came through."""
    location: str | None = None
    discounted: bool = False
    paid_with_points: bool = False
    paid_with: Mapping[str, int] = field(default_factory=dict)
    """Points, gift card, store credit -> minor units of the bill that were paid with it."""
    paid_with_credit: int = 0
    """Minor units paid with store credit: cashback is on what is paid in money."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Target points of a sale, and how they came about."""

    points: int
    steps: tuple[Mapping[str, Any], ...]
    """Ordered; each has a `code`, its numbers, and `points` as an exact text; they sum to `points`."""
    why: str | None = None
    """When there are no points: the stable code of the reason."""
    campaigns: Mapping[str, int] = field(default_factory=dict)
    """Rule with a budget -> the points it gives, rounded up."""


def in_force(known: Sequence[Rules], at: datetime) -> Rules:
    """The version a sale placed at that moment is judged by; before the first, the first."""
    return next((r for r in reversed(known) if r.effective_from <= at), known[0])


def needs(rules: Rules) -> frozenset[str]:
    """What the rules look at beyond the message. `categories`: of products; a sale whose message lacks
    them waits for a look-up. `member`: who buys; such a sale is judged under the account's lock.
    `history`: what they bought before. `windows`: the member's other sales (rules.md B3).
    `budgets`: what campaigns have given to everybody (B4)."""
    earn = (*rules.earn, *(rules.credit.cashback if rules.credit else ()))
    filters = [rule.lines for rule in earn]
    filters += [m.lines for m in rules.multipliers if m.lines is not None]
    conditions = [r.when for r in earn] + [m.when for m in rules.multipliers]
    found = set()
    if any(f.categories or f.exclude_categories for f in filters):
        found.add("categories")
    if any(when.asks_who for when in conditions):
        found.add("member")
    if any(when.tiers or when.segments for when in conditions):
        found.add("history")
    if rules.caps or rules.has_ordinals:
        found |= {"member", "windows"}
    if rules.budgets:
        found |= {"member", "budgets"}
    return frozenset(found)
