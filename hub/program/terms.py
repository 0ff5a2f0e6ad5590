"""A programme's terms for its customers, written out of the rules themselves, in the language in force.

What the rules do is said in full; what concerns only the shop's people (how long a hold lasts, what a
double use costs) is left out: `INTERNAL`, and a test finds a setting that is in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hub import words
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.money import minor_units
from hub.program import terms_credit, terms_more
from hub.program.brackets import Bracket
from hub.program.clauses import PERIOD_WORDS, amounts, exact, of_bill, of_budget, of_lines, of_payment
from hub.program.rules import NOT_GOODS, EarnRule, Multiplier, Rules

INTERNAL = frozenset(
    {"hold_minutes", "code_prefix", "double_use", "enrol", "when_cancelled", "segments", "notices"}
)
"""Settings that customers are told nothing of; segments are told where a rule names them."""

ROUNDING_WORDS = {
    "half_up": "Points are whole: a half or more is rounded up.",
    "down": "Points are whole: what is left over is rounded down.",
    "up": "Points are whole: what is left over is rounded up.",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One heading with its sentences."""

    title: str
    lines: Sequence[str]


def terms(rules: Rules) -> list[Section]:
    """The terms, section by section; one without a sentence is left out."""
    parts: Iterable[tuple[str, Iterable[str]]] = (
        (_("How points are earned"), _earning(rules)),
        (_("More points"), _more(rules)),
        (_("When something is given back"), terms_more.returning(rules)),
        (_("When points count and end"), terms_more.lasting(rules)),
        (_("What points buy"), terms_more.rewards(rules)),
        (_("Store credit"), terms_credit.credit(rules)),
        (_("Tiers"), terms_more.tiers(rules)),
    )
    sections = [Section(title, list(lines)) for title, lines in parts]
    return [section for section in sections if section.lines]


# --- earning -------------------------------------------------------------------------------------


def _earning(rules: Rules) -> Iterator[str]:
    for rule in rules.earn:
        clauses = [*of_lines(rule.lines), *of_payment(rule.not_paid_with), *of_bill(rule.when, rules)]
        yield sentence(_rate(rule), [*clauses, *of_budget(rule.budget), *_alone(rule)])
    if any(rule.lines.exclude_kinds == NOT_GOODS for rule in rules.earn):
        yield _("Gift cards, tips and fees earn nothing.")
    if len(rules.earn) > 1:
        best = rules.combine == "best"
        yield _("Of these, the one that gives most counts.") if best else _("These add up.")
    yield _(ROUNDING_WORDS[rules.rounding])
    if rules.most_per_order is not None:
        yield _("At most {points} for one order.", points=words.points(rules.most_per_order))
    for period, most in rules.caps.items():
        points, period_words = words.points(most), _(PERIOD_WORDS[period])
        yield _("At most {points} {period} for all orders.", points=points, period=period_words)
    if rules.earn_date == "paid":
        yield _("The day of payment counts.")


def _alone(rule: EarnRule) -> Iterator[str]:
    if rule.alone:
        yield _("where none of the above applies")
    if rule.last:
        yield _("nothing below applies then")
    if rule.rounding is not None:
        yield {
            "half_up": _("rounded to whole points"),
            "down": _("rounded down"),
            "up": _("rounded up"),
        }[rule.rounding]


def _rate(rule: EarnRule) -> str:
    if rule.kind == "per_order":
        return _("{points} for each order", points=_points(rule.points))
    if rule.kind == "per_quantity":
        return _("{points} for each piece", points=_points(rule.points))
    if rule.kind == "percent":
        worth = _("{points} worth {amount}", points=_points(rule.points), amount=amounts(rule.per))
        said = _(
            "{percent} % of the amount in points ({worth})", percent=exact(rule.percent), worth=worth
        )
    elif rule.kind == "brackets":
        said = "; ".join(_bracket(bracket) for bracket in rule.brackets)
        said += "" if rule.reach == "part" else " " + _("(for the whole bill)")
    else:
        said = _per_amount(rule)
    return f"{said} {_basis(rule)}"


def _per_amount(rule: EarnRule) -> str:
    if rule.factors:
        each = [f"{exact(f * 10 ** minor_units(c))} × {c}" for c, f in rule.factors.items()]
        return _("points for each unit of money: {list}", list=", ".join(each))
    template = (
        _("{points} for every full {amount}") if rule.whole_steps else _("{points} for every {amount}")
    )
    return template.format(points=_points(rule.points), amount=amounts(rule.per))


def _bracket(bracket: Bracket) -> str:
    rate = _("{points} for every {amount}", points=_points(bracket.points), amount=amounts(bracket.per))
    if bracket.over and bracket.up_to:
        over, up_to = amounts(bracket.over), amounts(bracket.up_to)
        return _("over {start} up to {end}: {rate}", start=over, end=up_to, rate=rate)
    if bracket.over:
        return _("over {start}: {rate}", start=amounts(bracket.over), rate=rate)
    if bracket.up_to:
        return _("up to {end}: {rate}", end=amounts(bracket.up_to), rate=rate)
    return rate


def _basis(rule: EarnRule) -> str:
    """What the amount is."""
    return {
        ("out", "out"): _("after discounts, without tax and shipping"),
        ("in", "out"): _("after discounts, with tax, without shipping"),
        ("out", "in"): _("after discounts, with shipping, without tax"),
        ("in", "in"): _("after discounts, with tax and shipping"),
    }[rule.tax, rule.shipping]


def _points(value: Fraction) -> str:
    if value.denominator == 1:
        return words.points(int(value))
    return ngettext("{number} point", "{number} points", 2, number=exact(value))


def sentence(said: str, clauses: Sequence[str]) -> str:
    """What is said, with its conditions behind it."""
    return f"{said}: {'; '.join(clauses)}." if clauses else f"{said}."


# --- more ----------------------------------------------------------------------------------------


def _more(rules: Rules) -> Iterator[str]:
    for multiplier in rules.multipliers:
        yield _multiplied(multiplier, rules)
    if len(rules.multipliers) > 1:
        yield {
            "multiply": _("Several at once are multiplied."),
            "add": _("Several at once are added: double and triple make four times."),
            "best": _("Of several at once the highest counts."),
        }[rules.stacking]
    for discount in rules.discounts:
        clauses = [*of_lines(discount.lines), *of_bill(discount.when, rules)]
        yield sentence(_("{percent} % off", percent=exact(discount.percent)), clauses)
    yield from terms_more.actions(rules)


def _multiplied(multiplier: Multiplier, rules: Rules) -> str:
    lines = [] if multiplier.lines is None else list(of_lines(multiplier.lines))
    clauses = [*lines, *of_bill(multiplier.when, rules), *of_budget(multiplier.budget)]
    return sentence(_("{factor} times the points", factor=exact(multiplier.factor)), clauses)
