"""The terms' other sections: returns, how long points last, what they buy, tiers, what else earns."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hub import words
from hub.i18n import gettext as _
from hub.money import minor_units
from hub.program.actions import Action
from hub.program.clauses import PERIOD_WORDS, amounts, days, exact, listed, months, of_groups, of_window
from hub.program.ladder import Ladder, Level
from hub.program.referral import Referral
from hub.program.rewards import Reward
from hub.program.rules import Expiry, PointsAsMoney, Rules
from hub.program.windows import Window


def returning(rules: Rules) -> Iterator[str]:
    """What a refund takes back, and what it gives back."""
    if rules.partial_refund == "recompute":
        yield _("What is given back earns nothing: points are counted anew for what is kept.")
    else:
        yield _("When a part is given back, points go back in the same share.")
    if rules.minimum_after_refund == "as_at_sale":
        yield _("Whether a bill was large enough is decided when it is bought.")
    if rules.negative == "debt":
        yield _("Points that were spent meanwhile are owed; the next ones pay for that first.")
    else:
        yield _("Points that were spent meanwhile are let off.")
    yield {
        "full": _("When an order paid with points is given back in full, its points come back."),
        "share": _(
            "When an order paid with points is given back, its points come back in the same share."
        ),
        "never": _("Points that paid for an order do not come back."),
    }[rules.points_back]
    if rules.points_back != "never" and rules.grace_days and not rules.expiry.is_never:
        yield _("Such points live at least {time} more.", time=days(rules.grace_days))
    if rules.unused == "lost":
        yield _("Points of a code that nobody used in time are lost.")


def lasting(rules: Rules) -> Iterator[str]:
    """From when points can be used, and until when."""
    time = days(rules.available_after_days)
    if rules.available_from == "fulfilled" and rules.available_after_days:
        yield _("Points can be used {time} after the order is handed over.", time=time)
    elif rules.available_from == "fulfilled":
        yield _("Points can be used once the order is handed over.")
    elif rules.available_after_days:
        yield _("Points can be used {time} after the purchase.", time=time)
    else:
        yield _("Points can be used at once.")
    yield from _expiry(rules.expiry)
    if rules.idle_days is not None:
        yield _("All points are lost after {time} without an order.", time=days(rules.idle_days))
    if rules.idle_year:
        yield _("All points are lost at the end of a calendar year without an order.")
    if rules.spend_first == "earned":
        yield _("The oldest points are used first.")


def _expiry(expiry: Expiry) -> Iterator[str]:
    if expiry.is_never:
        yield _("Points do not expire.")
        return
    if expiry.days:
        yield _("Points expire {time} after they can be used.", time=days(expiry.days))
    if expiry.months:
        yield _("Points expire {time} after they can be used.", time=months(expiry.months))
    if expiry.until_end_of:
        yield {
            "month": _("They last until the end of that month."),
            "quarter": _("They last until the end of that quarter."),
            "year": _("They last until the end of that year."),
        }[expiry.until_end_of]
    if expiry.on_day:
        month, day = expiry.on_day
        yield _("Points expire on {day}/{month} of each year.", day=day, month=month)
    yield {
        "included": _("The last day counts in full."),
        "excluded": _("They are gone when the last day begins."),
        "same_time": _("They last until the same time of day."),
    }[expiry.last_day]


def rewards(rules: Rules) -> Iterator[str]:
    """What points buy, and how one pays with them."""
    for reward in rules.rewards.values():
        yield _reward(reward, rules)
    if rules.paying is not None:
        yield from _paying(rules.paying)
    least = rules.till.code_above
    if least is not None:
        yield (
            _(
                "Using more than {points} at once needs a code that is sent to the member.",
                points=words.points(least),
            )
            if least
            else _("Using points needs a code that is sent to the member.")
        )


def _reward(reward: Reward, rules: Rules) -> str:
    zone = rules.time_zone
    points = words.points(reward.cost)
    said = _("{points}: {name} ({what})", points=points, name=reward.name, what=_what(reward))
    who = [*of_groups(reward.tiers, reward.segments, rules)]
    if reward.automatic:
        who.append(_("by itself, as soon as the points are enough"))
    if reward.every_order:
        who.append(_("each order brings one"))
    if reward.order_minimum:
        who.append(_("orders of {amount} and more", amount=amounts(reward.order_minimum)))
    clauses = [*who, *_reward_use(reward, zone), *_reward_limits(reward, zone)]
    return f"{said}: {'; '.join(clauses)}." if clauses else f"{said}."


def _what(reward: Reward) -> str:
    """What one gets."""
    products = ", ".join(reward.skus)
    if reward.pieces:
        what = _("{n} × {names}", n=reward.pieces, names=products)
        if reward.percent is not None:
            what += " " + _("{percent} % off", percent=words.number(Decimal(reward.percent) / 100))
        return what
    if reward.percent is not None:
        what = _("{percent} % off", percent=words.number(Decimal(reward.percent) / 100))
    elif reward.free_shipping:
        what = _("free shipping")
    elif reward.perk:
        return reward.perk
    elif reward.credit:
        return _("{amount} store credit", amount=amounts(reward.credit))
    elif reward.gift_card:
        return _("a gift card of {amount}, for whoever collects it", amount=amounts(reward.gift_card))
    else:
        what = _("{amount} off", amount=amounts(reward.amounts))
    if reward.most:
        what += ", " + _("at most {amount}", amount=amounts(reward.most))
    return f"{what}, {products}" if products else what


def _reward_use(reward: Reward, zone: str) -> Iterator[str]:
    """Where and until when its code can be used."""
    if reward.minimum:
        yield _("bills of {amount} and more", amount=amounts(reward.minimum))
    if reward.channels:
        yield _("to be used in {names}", names=listed(reward.channels))
    if reward.valid_days:
        yield _("to be used within {time}", time=days(reward.valid_days))
    if reward.valid_until is not None:
        yield _("to be used {when}", when=of_window(Window(None, reward.valid_until), zone))


def _reward_limits(reward: Reward, zone: str) -> Iterator[str]:
    """When it can be had, and how often."""
    if reward.starts is not None or reward.ends is not None:
        yield _("to be had {when}", when=of_window(Window(reward.starts, reward.ends), zone))
    if reward.stock is not None:
        yield _("as long as the {n} last", n=words.number(reward.stock))
    if reward.per_member is not None:
        yield _("at most {n} for each member", n=words.number(reward.per_member))
    if reward.per_day is not None:
        yield _(
            "at most {n} times {period}", n=words.number(reward.per_day), period=_(PERIOD_WORDS["day"])
        )


def _paying(terms: PointsAsMoney) -> Iterator[str]:
    off = amounts(terms.worth)
    yield _("{points} take {amount} off the bill.", points=words.points(terms.points), amount=off)
    for currency, rate in terms.rates.items():
        (own,) = terms.worth
        one, other = 10 ** minor_units(own), 10 ** minor_units(currency)
        yield _(
            "In {currency} at {rate} for 1 {own}.",
            currency=currency,
            rate=exact(rate * one / other),
            own=own,
        )
    if terms.step > 1:
        yield _("Only whole steps of {points}.", points=words.points(terms.step))
    if terms.least > 1:
        yield _("At least {points} at a time.", points=words.points(terms.least))
    if terms.most is not None:
        yield _("At most {points} at a time.", points=words.points(terms.most))
    if terms.most_per_day is not None:
        yield _("At most {points} on one day.", points=words.points(terms.most_per_day))
    if terms.least_balance:
        yield _("From a balance of {points} on.", points=words.points(terms.least_balance))
    if terms.percent_of_bill != 100:
        yield _("At most {percent} % of the bill.", percent=exact(terms.percent_of_bill))
    if terms.least_off:
        yield _("At least {amount} off.", amount=amounts(terms.least_off))
    if terms.most_off:
        yield _("At most {amount} off.", amount=amounts(terms.most_off))
    if terms.over_balance == "clamp":
        yield _("Who wants to use more points than there are uses all there are.")
    if terms.valid_days:
        yield _("To be used within {time}.", time=days(terms.valid_days))


# --- what else earns -----------------------------------------------------------------------------


def actions(rules: Rules) -> Iterator[str]:
    """Points for what members do besides buying, and for friends."""
    for action in rules.actions.values():
        yield _action(action, rules.time_zone)
    if rules.referral is not None:
        yield from _referral(rules.referral)


def _action(action: Action, zone: str) -> str:
    said = _("{points} for: {name}", points=words.points(action.points), name=action.name)
    limits = [
        _("at most {n} times {period}", n=most, period=_(PERIOD_WORDS[period]))
        for period, most in action.limits.items()
    ]
    clauses = [*limits, *(of_window(window, zone) for window in action.windows)]
    return f"{said} ({'; '.join(clauses)})." if clauses else f"{said}."


def _referral(referral: Referral) -> Iterator[str]:
    if referral.referrer:
        yield _("{points} for bringing a friend.", points=words.points(referral.referrer))
    if referral.percent:
        percent, worth = exact(referral.percent), amounts(referral.worth)
        yield _(
            "{percent} % of the friend's order for bringing them ({worth} a point).",
            percent=percent,
            worth=worth,
        )
    if referral.friend:
        yield _("{points} for the friend.", points=words.points(referral.friend))
    if referral.referrer_credit:
        yield _(
            "{amount} of store credit for bringing a friend.", amount=amounts(referral.referrer_credit)
        )
    if referral.friend_credit:
        yield _("{amount} of store credit for the friend.", amount=amounts(referral.friend_credit))
    first = referral.order == "first"
    yield (
        _("The friend's first order counts.")
        if first
        else _("The friend's first order that suffices counts.")
    )
    if referral.minimum:
        yield _("It has to come to {amount} or more.", amount=amounts(referral.minimum))
    if referral.within_days is not None:
        yield _("It has to be placed within {time}.", time=days(referral.within_days))


# --- tiers ---------------------------------------------------------------------------------------


def tiers(rules: Rules) -> Iterator[str]:
    """What tiers there are, how one gets there and stays, and what they bring."""
    ladder = rules.tiers
    if ladder is None:
        return
    for level in ladder.levels:
        yield _level(level, ladder)
    yield from _counting(ladder)
    for membership in ladder.memberships:
        lasts = months(membership.months) if membership.months else days(membership.days or 0)
        what = ", ".join(sorted(membership.skus | membership.products))
        name = next(level.name for level in ladder.levels if level.id == membership.tier)
        yield _("Who buys {what} is {tier} for {time}.", what=what, tier=name, time=lasts)


def _level(level: Level, ladder: Ladder) -> str:
    if level.least is None:
        line = _("{tier}: by membership or by our decision", tier=level.name)
    elif level.least:
        line = _("{tier}: from {count}", tier=level.name, count=_count(level.least, ladder))
    else:
        line = _("{tier}: for everybody", tier=level.name)
    if level.keep is not None and level.keep != level.least:
        line += ", " + _("kept with {count}", count=_count(level.keep, ladder))
    brings = [*level.perks]
    if level.discount:
        brings.insert(0, _("{percent} % off", percent=words.number(Decimal(level.discount) / 100)))
    if level.reward_discount:
        percent = words.number(Decimal(level.reward_discount) / 100)
        brings.append(_("rewards cost {percent} % fewer points", percent=percent))
    if level.free_shipping:
        brings.append(_("free shipping"))
    return f"{line}. {'; '.join(brings)}." if brings else f"{line}."


def _count(count: int, ladder: Ladder) -> str:
    if ladder.by == "spend":
        return words.money(count, ladder.currency)
    number = words.number(count)
    return {
        "points_earned": _("{n} points earned", n=number),
        "points_balance": _("a balance of {n} points", n=number),
        "orders": _("{n} orders", n=number),
        "visits": _("{n} days with an order", n=number),
    }[ladder.by]


def _counting(ladder: Ladder) -> Iterator[str]:
    if ladder.by == "spend":
        goods = ladder.spend_of == "goods"
        yield _("Goods after discounts count.") if goods else _("All that was paid counts.")
        for currency, factor in ladder.factors.items():
            yield _("{currency} counts × {factor}.", currency=currency, factor=exact(factor))
    yield {
        "lifetime": _("All purchases count."),
        "rolling": _("Purchases of the last {time} count.", time=months(ladder.rolling_months)),
        "calendar_year": _("Purchases of the calendar year count."),
        "membership_year": _year(ladder),
    }[ladder.over]
    if ladder.enter == "at_review":
        yield _("One enters a tier at the review.")
    yield from _leaving(ladder)
    if ladder.reset:
        yield _("Each change of tier begins the count anew.")
    if ladder.this_order:
        yield _("The order that reaches a tier is judged by it already.")


def _year(ladder: Ladder) -> str:
    lasts = days(ladder.year_days) if ladder.year_days else months(ladder.year_months)
    if ladder.year_from == "entry":
        return _("Purchases since the last change of tier count, for {time}.", time=lasts)
    return _("Purchases of the membership year ({time}) count.", time=lasts)


def _leaving(ladder: Ladder) -> Iterator[str]:
    if ladder.leave == "never":
        yield _("A tier that was reached stays.")
        return
    if ladder.leave == "at_once":
        yield _("A tier is lost as soon as the count no longer suffices.")
    else:
        yield {
            "month": _("It is looked at each month whether the tier stays."),
            "quarter": _("It is looked at each quarter whether the tier stays."),
            "year": _("It is looked at each year whether the tier stays."),
            "membership_year": _("It is looked at each membership year whether the tier stays."),
        }[ladder.review]
    if ladder.drop == "one_step":
        yield _("One tier down at most.")
    if ladder.grace_days:
        yield _("A drop waits {time}.", time=days(ladder.grace_days))
