"""Words for the stable codes that people meet, and numbers, money and days in their form.

What is stored is a code with its numbers; what is shown is chosen here, in the language in force
(`hub.i18n`). A table whose name ends in WORDS is collected for translation; a connector declares
the words of its own codes in `Connector.words`, handed in here as `own`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_decimal

from hub.i18n import gettext as _
from hub.i18n import language, ngettext
from hub.money import from_minor, minor_units

NO_WORDS: Mapping[str, str] = {}

JUST_NOW, A_DAY = 45, 86400
"""Seconds."""

STATE_WORDS: Mapping[str, str] = {
    "due": "Will be processed in a moment.",
    "working": "Is being processed.",
    "done": "Done.",
    "waiting": "Waits.",
    "failed": "Failed; a person has to look at it.",
    "parked": "Set aside; a person has to look at it.",
    "settled": "Settled by a person.",
}

OUTCOME_WORDS: Mapping[str, str] = {
    "posted": "Understood and recorded.",
    "ignored": "Understood; there is nothing to do.",
    "superseded": "A newer message about this sale was here already; that one counts.",
    "no_change": "It changed nothing.",
    "waiting": "Waits.",
    "pushed": "Sent; the channel has taken it.",
    "fetched": "The channel has answered; its answer came in as a message.",
}

WAITING_WORDS: Mapping[str, str] = {
    "sale": "It came before its sale. It waits for that, and is applied when it arrives.",
    "lookup": "The rules need to know more about its products. We have asked the shop and wait.",
    "fetch": "It only hints at a change. We have asked the shop for the rest and wait.",
    "history": "It is from before the channel was connected. It waits until somebody has seen what the channel's "
    "history would come to, and has it brought in.",
    "review": "It is much older than orders of this channel usually are when we are told of them. Approve "
    "it, and its points are given; decline it, and it earns nothing.",
}

REASON_WORDS: Mapping[str, str] = {
    "draft": "A cart or an unfinished checkout; it counts once it is an order.",
    "forgotten": "Whom it was about has been forgotten, and its text with them; what it said of orders is kept.",
    "test_order": "A test order earns nothing.",
    "copy_of_another_channel": "A copy of a sale made in another connected channel; it counts there.",
    "backdated": "No points: it was told of too late, and was declined.",
    "own_sale": "No points: whoever rang it up bought it, and the programme gives none for that.",
    "before_program_start": "It was bought before the programme began.",
    "history_for_tiers_only": "No points: it was bought before the channel was connected, and counts for tiers only.",
    "history_left_out": "It was from before the channel was connected, and was not brought in; its text is erased.",
    "guest": "No points: a guest order without a usable phone, e-mail or card.",
    "currency_earns_nothing": "No points: the programme gives none for sales in this currency.",
    "nothing_left_that_earns": "No points: nothing is left of the order that earns.",
    "less_than_one_point": "No points: the amount is too small for one.",
    "bill_too_small": "No points: the bill is smaller than the programme asks for.",
    "bill_discounted": "No points: the bill was discounted, and the programme excludes discounted bills.",
    "bill_paid_with_points": "No points: the bill was paid with points, and such bills earn none.",
    "other_channel": "No points: orders of this channel earn none.",
    "other_location": "No points: orders of this shop earn none.",
    "other_time": "No points: no rule applied at the time of the order.",
    "other_order": "No points: they are for another of the member's orders.",
    "earned_enough": "No points: the member has earned as much as the programme allows.",
    "other_tier": "No points: they are for members of another tier.",
    "other_segment": "No points: they are for another group of members.",
    "no_birthday": "No points: they are for birthdays.",
    "sale_unpaid": "No points yet: the order is not paid.",
    "sale_draft": "No points: the order is a draft.",
    "sale_cancelled": "No points: the order was cancelled.",
    "sale_refunded": "No points: the order was refunded.",
    "sale_deleted": "No points: the order was deleted in the shop.",
    "sale_test": "No points: it is a test order.",
    "no_account": "The member has never had points, so there is no balance to show.",
    "not_a_customer_of_this_channel": "The member is not known to this channel yet, so nothing was sent.",
    "used_here": "The code was used in this channel, so it is spent there anyway.",
    "not_here": "The code is not in this channel, so there is nothing to take back.",
    "handed_over_by_staff": "A perk takes no money off: staff hand it over, and the shop need not know.",
    "collected_at_the_hub": "A gift card becomes store credit once it is collected; shops need not know its code.",
    "no_amount_in_this_currency": "The reward has no amount in this channel's currency.",
    "not_for_this_channel": "The reward is not for this channel.",
    "terms_unknown_to_this_channel": "Codes of this channel cannot do what the reward says, so none was made.",
    "already_so": "The channel has it so already.",
}
"""Why a message was ignored or earned nothing, and why a push was not needed."""

FAULT_WORDS: Mapping[str, str] = {
    "amount_out_of_range": "The sale comes to more than the hub can count.",
    "bad_character": "The message holds a character that no text may hold.",
    "bad_settings": "The channel's settings are not complete or not valid.",
    "bad_url": "The channel's address in its settings is not a valid URL.",
    "conflict": "The channel sent another text under the key of a message we have; the first one stands.",
    "connect_timeout": "The channel did not accept a connection in time.",
    "cut_off": "The channel's answer was cut off.",
    "disconnected": "The channel was disconnected; add a new one.",
    "http_*": "The channel answered with an error.",
    "id_too_long": "An id in the message is longer than the hub can keep.",
    "invalid_field": "A field of the message is missing or not as it must be.",
    "kills_its_worker": "Each time it was processed the worker died; it is kept aside.",
    "name_taken": "Another channel has this name.",
    "needs_tls": "The shop calls https addresses only; whoever runs the hub sets PUBLIC_URL to one.",
    "no_connector": "The hub has no connector for this kind of channel.",
    "no_such_way": "A shop of this kind is not connected in that way.",
    "no_such_host": "The host name in the channel's address does not resolve.",
    "no_time_zone": "A time in the message has no time zone; set one in the channel's settings.",
    "not_a_time": "A time in the message cannot be read.",
    "not_an_object": "What was sent is no JSON object.",
    "not_json": "What was sent is not JSON.",
    "not_utf8": "The message is not UTF-8.",
    "number_out_of_range": "A number in the message is out of range.",
    "other_shop_named": "A channel keeps its shop; connect the other one as a new channel.",
    "private_address": "The channel's address is private; the operator may allow it.",
    "restored": "It was on its way out when a backup was restored; replay it if the channel has not got it.",
    "same_secret": "Enter a secret that is not the present one.",
    "said_no": "The shop was not let in.",
    "shop_taken": "This shop is connected already.",
    "time_out_of_range": "A time in the message cannot be right.",
    "timeout": "The channel did not answer in time.",
    "tls": "The channel's TLS certificate is not valid.",
    "too_deep": "The message is nested too deeply.",
    "too_many_values": "The message holds too many values.",
    "too_long": "The channel's answer is too long.",
    "unexpected": "The hub could not process it; it is kept. Replay it after an update, or report it.",
    "unreachable": "The connection to the channel failed.",
}
"""Faults that the core raises; a key that ends in * stands for all that begin so."""

OWNER_WORDS: Mapping[str, str] = {
    "merchant": "A setting or a permission of the channel has to be corrected.",
    "channel": "The channel had trouble.",
    "payload": "The message could not be understood.",
    "hub": "The channel refused it, or the hub could not process it.",
}
"""Whose move a fault is, where its code has no words (a platform's own codes are no closed list)."""

COUNTER_WORDS: Mapping[str, str] = {
    "issued": "Points earned.",
    "held": "Set aside for a reward.",
    "redeemed": "Spent on a reward.",
    "expired": "Expired.",
    "forgiven": "Let off.",
    "adjusted": "By hand.",
    "member": "Moved between two accounts of one person.",
}

STEP_WORDS: Mapping[str, str] = {
    "currency_earns_nothing": "no points: the programme gives none for sales in {currency}",
    "nothing_left_that_earns": "no points: nothing is left of the order that earns",
    "bill_too_small": "no points: the bill is smaller than the programme asks for",
    "bill_discounted": "no points: the bill was discounted",
    "bill_paid_with_points": "no points: the bill was paid with points",
    "other_channel": "no points: orders of this channel earn none",
    "other_location": "no points: orders of this shop earn none",
    "other_tier": "no points: they are for members of another tier",
    "other_segment": "no points: they are for another group of members",
    "no_birthday": "no points: they are for birthdays",
    "other_time": "no points: no rule applied at the time of the order",
    "action": "{action}: {points}",
    "referral": "for bringing a friend who has bought: {points}",
    "referral_share": "{percent} % of the friend's {amount}: {points}",
    "referral_credit": "{amount} of store credit for bringing a friend who has bought",
    "referred_credit": "{amount} of store credit for buying after a friend's recommendation",
    "referred": "for buying after a friend's recommendation: {points}",
    "bonus_taken_back": "taken back: what earned these points is not so any more",
    "per_order": "for the order: {points}",
    "per_quantity": "{each} for each piece: {pieces} pieces give {points}",
    "percent": "{percent} % of {amount} in points worth {per} each: {points}",
    "percent_worth": "{percent} % of {amount}, {each} points being worth {per}: {points}",
    "amount_factor": "{amount} by the factor of {currency}: {points}",
    "bracket": "{amount} over {over} at {each} for every {per}: {points}",
    "whole_steps": "{each} for every full {per}: {amount} give {points}",
    "multiplier": "{rule}: times {factor} gives {points} more",
    "most_per_order": "at most {most} for one order: {points}",
    "budget": "{rule}: all of its budget is given: {points}",
    "most_per_day": "at most {most} for one day: {points}",
    "most_per_week": "at most {most} for one week: {points}",
    "most_per_month": "at most {most} for one month: {points}",
    "most_per_year": "at most {most} for one year: {points}",
    "most_per_member": "at most {most} for one member: {points}",
    "other_order": "no points: they are for another of the member's orders",
    "refunded_share": "{left} of {amount} are left after refunds: {points}",
    "backdated": "not counted: told of too late, and declined",
    "draft": "not counted: a cart or an unfinished checkout",
    "test_order": "not counted: a test order",
    "copy_of_another_channel": "not counted: a copy of a sale made in another connected channel",
    "own_sale": "no points: whoever rang it up bought it",
    "before_program_start": "not counted: bought before the programme began",
    "history_for_tiers_only": "bought before the channel was connected: counts for tiers only (it would have earned "
    "{earned})",
    "sale_unpaid": "no points yet: the order is not paid",
    "sale_draft": "no points: the order is a draft",
    "sale_cancelled": "no points: the order was cancelled",
    "sale_refunded": "no points: the order was refunded",
    "sale_deleted": "no points: the order was deleted in the shop",
    "sale_test": "no points: it is a test order",
    "expired": "expired before they were spent",
    "expiry_taken_back": "given back: they had been counted as expired, and the order no longer earns them",
    "forgiven": "let off: these points had been spent when the order was refunded",
    "forgiven_reversed": "taken back again: they had been let off, and the order earns anew",
    "moved_away": "the order does not count for this member any more",
    "redeemed": "spent on the reward {reward}",
    "paid_with_points": "paid with points: {amount} off",
    "code_used_again": "the code was used {uses} times; each use costs the reward's points",
    "cashback": "{percent} % of {amount} comes back as store credit",
    "cashback_rounded": "rounded to the whole of {currency}'s smallest unit",
    "cashback_most": "at most {amount} for one order",
    "paid_with_credit": "paid with store credit",
    "credit_to_code": "turned into a code: {amount} off",
    "points_to_credit": "bought with points",
    "gift_card_collected": "a gift card was collected",
    "points_back_refunded": "the order that used the code was refunded; what it had cost comes back",
    "points_back_taken": "the code was taken back; what it had cost comes back",
    "hold_released": "it was not taken after all; the points are back where they were",
    "hold_expired": "it was not taken in time; the points are back where they were",
    "points_taken_again": "the order that used the code stands again; it costs its points",
    "adjusted": "by hand: {reason}",
    "imported": "brought over from {source}",
    "merged_in": "moved here from another account of the same person",
    "merged_out": "moved to another account of the same person",
    "unmerged": "the accounts were taken apart again; the sale counts here",
}

ACTION_WORDS: Mapping[str, str] = {
    "no_such_action": "No points: the programme gives none for this.",
    "often_enough": "No points: it has earned as often as the programme allows.",
    "account_disabled": "No points: the member's account is switched off.",
    "other_time": "No points: the programme gives none for it at that time.",
}
"""Why an event gave no points."""

PAYING_WORDS: Mapping[str, str] = {
    "currency_has_no_worth": "Points are not money in this currency.",
    "balance_too_small": "The balance is too small to pay with points.",
    "above_maximum": "So many points cannot be used at once.",
    "bill_too_small": "The bill is too small for so many points.",
    "below_minimum": "Too few points: the programme asks for more at once.",
    "whole_steps_only": "Points are used in whole steps only.",
    "limit_of_today_reached": "This member has paid with as many points today as anybody may in a day.",
    "account_disabled": "This member's account is switched off.",
}
"""Why points cannot pay, or not so many."""

OFFER_WORDS: Mapping[str, str] = {
    "not_valid_yet": "This reward cannot be had yet.",
    "no_longer_valid": "This reward cannot be had any more.",
    "sold_out": "None of this reward is left.",
    "other_tier": "This reward is for members of another tier.",
    "other_segment": "This reward is for another group of members.",
    "limit_reached": "This member has had as many of this reward as anybody may.",
    "account_disabled": "This member's account is switched off.",
    "comes_with_orders": "This reward comes with orders; nobody can ask for it.",
    "limit_of_today_reached": "This member has had as many of this reward today as anybody may in a day.",
}
"""Why a reward cannot be had."""

CHECK_WORDS: Mapping[str, str] = {
    "missing": "It should be usable there, and is not.",
    "usable": "It was taken back, and is still usable there.",
    "used_untold": "It was used there, and no order has told of it.",
}
"""What differs between a code and what its channel says."""

DOUBLE_USE_WORDS: Mapping[str, str] = {
    "take_again": "Each use costs the member its points.",
    "absorb": "The shop bears it.",
    "flag": "A person has to decide.",
}
"""What becomes of the further uses of a code."""

HOLD_WORDS: Mapping[str, str] = {
    "hold_expired": "The points were held too long ago; they are back. Begin anew.",
    "hold_released": "The points were let go; they are back. Begin anew.",
    "already_committed": "Its code is out; take the code back instead.",
}
"""Why something that was held cannot become a code, or cannot be let go."""

CODE_WORDS: Mapping[str, str] = {
    "belongs_to_another": "The code belongs to somebody else.",
    "code_used": "An order has used the code.",
    "code_taken_back": "The code was taken back.",
    "code_expired": "The code has expired.",
    "not_valid_yet": "The code is not valid yet.",
    "below_minimum": "The bill is smaller than the code asks for.",
    "nothing_it_is_for": "Nothing of what the code is for is in the cart.",
    "no_amount_in_this_currency": "The code has no amount in this currency.",
    "handed_over_by_staff": "Staff hand it over; it takes no money off.",
    "collect_it_first": "It is a gift card: collect it for a member, and pay with store credit.",
    "gift_card_collected": "Somebody has collected this gift card.",
    "account_disabled": "The member's account is switched off.",
}
"""Why a code takes nothing off a cart."""

EXCLUDED_WORDS: Mapping[str, str] = {
    "gift_card": "gift cards earn nothing ({amount})",
    "tip": "tips earn nothing ({amount})",
    "fee": "fees earn nothing ({amount})",
    "goods": "goods earn nothing ({amount})",
    "service": "services earn nothing ({amount})",
    "paid_with": "what was not paid in money earns nothing ({amount})",
    "sku": "excluded products earn nothing ({amount})",
    "category": "excluded categories earn nothing ({amount})",
    "tag": "goods with an excluded tag earn nothing ({amount})",
    "discounted": "discounted goods earn nothing ({amount})",
    "free": "what was free earns nothing",
    "not_named": "only other goods earn points ({amount})",
}

NUDGE_WORDS: Mapping[str, str] = {
    "reward_short": "{points} short of “{name}”",
    "bill_short": "{amount} more, and another rule of the programme applies",
}
"""What a buyer is short of."""

ROUNDING_WORDS: Mapping[str, str] = {
    "half_up": "rounded to the nearest whole point: {change}",
    "down": "rounded down: {change}",
    "up": "rounded up: {change}",
}

FIELD_WORDS: tuple[str, ...] = (
    "Field may not be null.",
    "Invalid input type.",
    "Invalid value.",
    "Length must be between {min} and {max}.",
    "Longer than maximum length {max}.",
    "Missing data for required field.",
    "Must be greater than or equal to {min} and less than or equal to {max}.",
    "Must be greater than or equal to {min}.",
    "Must be less than or equal to {max}.",
    "Must be one of: {choices}.",
    "Not a valid URL.",
    "Not a valid boolean.",
    "Not a valid datetime.",
    "Not a valid integer.",
    "Not a valid list.",
    "Not a valid mapping type.",
    "Not a valid number.",
    "Not a valid string.",
    "Shorter than minimum length {min}.",
    "String does not match expected pattern.",
    "Unknown field.",
    "a channel needs a name",
    "no such setting; there are {known}",
)
"""What marshmallow says of a field, and `hub.connect` of a setting. They say it in English with the
values filled in, so the values are taken out again to look the sentence up."""


# --- codes ---------------------------------------------------------------------------------------


def of_delivery(row: Mapping[str, Any], own: Mapping[str, str] = NO_WORDS) -> str:
    """What became of a message, in a sentence: from `state`, `outcome`, `reason`, `fault`, `code`
    and `detail` of its row."""
    if row["code"]:
        return of_fault(row["code"], row["fault"], row["detail"], own)
    if row["state"] == "waiting" and row["reason"] in WAITING_WORDS:
        return _(WAITING_WORDS[row["reason"]])
    if row["reason"]:
        return of_reason(row["reason"], own)
    if row["state"] == "done" and row["outcome"] in OUTCOME_WORDS:
        return _(OUTCOME_WORDS[row["outcome"]])
    return _(STATE_WORDS.get(row["state"], row["state"]))


def of_fault(
    code: str, fault: str | None, detail: str | None = None, own: Mapping[str, str] = NO_WORDS
) -> str:
    """A fault in a sentence; of a code that only the platform knows, the detail as it was stored."""
    words = _known(own, code) or _known(FAULT_WORDS, code)
    return _(words) if words else detail or _(OWNER_WORDS.get(fault or "hub", code))


def of_reason(reason: str, own: Mapping[str, str] = NO_WORDS) -> str:
    """Why a message was ignored, earned nothing, or needed no push; an unknown code is itself."""
    return _(own.get(reason) or REASON_WORDS.get(reason, reason))


def of_action(why: str) -> str:
    """Why an event gave no points."""
    return _(ACTION_WORDS.get(why, why))


def of_payment(why: str | None) -> str:
    """Why points cannot pay, or not so many."""
    reason = why or "whole_steps_only"
    return _(PAYING_WORDS[reason])


def of_offer(why: str) -> str:
    """Why a reward cannot be had."""
    return _(OFFER_WORDS[why])


def of_check(found: str) -> str:
    """What differs between a code and what its channel says; a fault's code where it said nothing."""
    return _(CHECK_WORDS[found]) if found in CHECK_WORDS else found


def of_double_use(done: str) -> str:
    """What became of the further uses of a code."""
    return _(DOUBLE_USE_WORDS[done])


def of_hold(why: str) -> str:
    """Why something that was held cannot become a code, or cannot be let go."""
    return _(HOLD_WORDS[why])


def of_code(why: str) -> str:
    """Why a code takes nothing off a cart."""
    return _(CODE_WORDS[why])


def of_field(sentence: str) -> str:
    """What is wrong with a field of a document, as a schema worded it; other sentences are looked up
    as they stand."""
    for template, pattern in _FIELD_PATTERNS:
        found = pattern.fullmatch(sentence)
        if found:
            return _(template, **found.groupdict())
    return _(sentence)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(template)), re.DOTALL)


_FIELD_PATTERNS = tuple((template, _pattern(template)) for template in FIELD_WORDS if "{" in template)


def _known(table: Mapping[str, str], code: str) -> str | None:
    exact = table.get(code)
    if exact:
        return exact
    return next((w for key, w in table.items() if key.endswith("*") and code.startswith(key[:-1])), None)


# --- explanations --------------------------------------------------------------------------------


def of_entry(counter: str, amount: int, steps: Sequence[Mapping[str, Any]]) -> str:
    """Why an entry moved that many points. The steps of a sale sum to what it is worth now; where
    the entry is only the difference to before, it says so."""
    if not steps:
        return _(COUNTER_WORDS.get(counter, counter))
    said = of_steps(steps)
    worth = sum((_exact(step.get("points")) for step in steps), Fraction(0))
    if counter != "issued" or worth == amount or not worth:
        return said
    return _("the sale is now worth {points}: {why}", points=points(int(worth)), why=said)


def of_steps(steps: Sequence[Mapping[str, Any]]) -> str:
    """An explanation as one line."""
    return "; ".join(of_step(step) for step in steps)


def of_nudge(nudge: Mapping[str, Any]) -> str:
    """What a buyer is short of, as a sentence."""
    template = NUDGE_WORDS.get(str(nudge.get("code")), "")
    if "currency" in nudge:
        return _(template, amount=money(nudge["amount"], nudge["currency"]))
    return _(template, points=points(nudge["points"]), name=nudge["name"]) if template else str(nudge)


def of_step(step: Mapping[str, Any]) -> str:
    """One step of an explanation, with its numbers; an unknown code is itself."""
    code = str(step.get("code"))
    if code == "rate":
        return _rate(step)
    if code == "rounding":
        template = ROUNDING_WORDS.get(str(step.get("mode")), ROUNDING_WORDS["half_up"])
        return _(template, change=_about(_exact(step.get("points")), signed=True))
    if code == "excluded" and str(step.get("what")) in EXCLUDED_WORDS:
        return _(EXCLUDED_WORDS[str(step["what"])], amount=money(step["amount"], step["currency"]))
    template = STEP_WORDS.get(code, "")
    return _(template, **_shown(step)) if template else code


_MONEY = {"amount", "per", "left", "over"}
_POINTS = {"points", "each", "earned", "pieces", "percent", "factor", "most"}


def _shown(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step's numbers in the reader's form; what is taken away has its sign."""
    shown = dict(step)
    for name in _POINTS & step.keys():
        shown[name] = _about(_exact(step[name]))
    if "currency" in step:
        for name in _MONEY & step.keys():
            shown[name] = money(step[name], step["currency"])
    return shown


def _rate(step: Mapping[str, Any]) -> str:
    """Points by amount: `each` points for every `per` of the basis."""
    each = _exact(step["each"])
    return ngettext(
        "{each} point for every {per}: {amount} give {points}",
        "{each} points for every {per}: {amount} give {points}",
        1 if each == 1 else 2,
        each=_about(each),
        per=money(step["per"], step["currency"]),
        amount=money(step["amount"], step["currency"]),
        points=_about(_exact(step["points"])),
    )


def _exact(text: object) -> Fraction:
    """The exact number of points of a step: "12.5" or "37/3"."""
    return Fraction(str(text or 0))


def exact_number(value: Fraction) -> str:
    """An exact number in the reader's form, or about it with two decimals."""
    return _about(value)


def _about(value: Fraction, *, signed: bool = False) -> str:
    """At most two decimals; a number that is cut says so."""
    near = (Decimal(value.numerator) / value.denominator).quantize(Decimal("0.01"), ROUND_HALF_UP)
    text = number(near.normalize(), signed=signed)
    return text if Fraction(near) == value else _("about {number}", number=text)


# --- numbers, money, days ------------------------------------------------------------------------


def number(value: int | Decimal, *, signed: bool = False) -> str:
    """1250 -> "1,250" in English, "1.250" in Vietnamese; `signed` shows a plus too."""
    text = str(format_decimal(value, locale=language()))
    return f"+{text}" if signed and value > 0 else text


def points(value: int) -> str:
    """An amount of points with its word: "1.250 điểm"."""
    return ngettext("{number} point", "{number} points", value, number=number(value))


def money(minor: int, currency: str) -> str:
    """Minor units in the reader's form ("1.250.000 ₫"), with the decimals of ISO 4217: CLDR's own
    differ for thirteen currencies."""
    locale = Locale.parse(language())
    pattern = copy.copy(locale.currency_formats["standard"])
    pattern.frac_prec = (minor_units(currency),) * 2
    amount = from_minor(minor, currency)
    text = str(pattern.apply(amount, locale, currency=currency, currency_digits=False))
    return re.sub(r"(?<=[A-Z])(?=\d)", "\N{NO-BREAK SPACE}", text)  # "KWD 1.250", but "$1.25"


def ago(moment: datetime, now: datetime, zone: str) -> str:
    """How long ago, or in how long: "3 minutes ago", "in 2 hours"; beyond a day the day and time."""
    seconds = (moment - now).total_seconds()
    if abs(seconds) < JUST_NOW:
        return _("just now") if seconds <= 0 else _("in a moment")
    if abs(seconds) < A_DAY:
        return str(format_timedelta(moment - now, add_direction=True, locale=language()))
    here = moment.astimezone(ZoneInfo(zone))
    pattern = _("d MMM, HH:mm") if here.year == now.astimezone(ZoneInfo(zone)).year else _("d MMM y")
    return str(format_datetime(here, format=pattern, locale=language()))


def clock(moment: datetime, now: datetime, zone: str) -> str:
    """The time of day in the programme's zone; with its day when that is not today."""
    here, today = moment.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone))
    pattern = _("HH:mm") if here.date() == today.date() else _("d MMM, HH:mm")
    return str(format_datetime(here, format=pattern, locale=language()))


def duration(value: timedelta) -> str:
    """About how long: "12 minutes", "3 hours"."""
    return str(format_timedelta(value, threshold=1.5, locale=language()))


def exact(moment: datetime, zone: str) -> str:
    """A moment to the second in the programme's time zone, which is named."""
    pattern = _("EEEE d MMMM y, HH:mm:ss")
    text = format_datetime(moment.astimezone(ZoneInfo(zone)), format=pattern, locale=language())
    return f"{text} ({zone})"


def day(moment: datetime, zone: str) -> str:
    """The day of a moment in the programme's time zone, as people write it."""
    pattern = _("d MMMM y")
    return str(format_date(moment.astimezone(ZoneInfo(zone)), format=pattern, locale=language()))


def moment(when: datetime, zone: str) -> str:
    """A moment in the programme's time zone: "24 November 2026, 00:00"."""
    local = when.astimezone(ZoneInfo(zone))
    clock = str(format_time(local, format="HH:mm", locale=language()))
    return _("{day}, {clock}", day=day(when, zone), clock=clock)
