"""Store credit in a programme's terms: what brings it, when it can be used, how it is spent."""

from __future__ import annotations

from collections.abc import Iterator

from hub.i18n import gettext as _
from hub.program.clauses import amounts, days, exact, months, of_bill, of_lines
from hub.program.rules import Credit, EarnRule, Expiry, Rules


def credit(rules: Rules) -> Iterator[str]:
    """The sentences; none where the programme has no store credit."""
    own = rules.credit
    if own is None:
        return
    for rule in own.cashback:
        clauses = [*_what(rule), *of_lines(rule.lines), *of_bill(rule.when, rules)]
        said = _("{percent} % comes back as store credit", percent=exact(rule.percent))
        yield f"{said}: {'; '.join(clauses)}."
    yield {
        "half_up": _("Half a smallest unit or more is rounded up."),
        "down": _("What is less than the smallest unit is left out."),
        "up": _("What is less than the smallest unit is rounded up."),
    }[own.rounding]
    if own.most_per_order:
        yield _("One order brings at most {amount}.", amount=amounts(own.most_per_order))
    yield from _lasting(own)
    yield _("It becomes a code for money off in every shop.")
    if own.spent_at:
        yield _("It is taken as a payment too: {places}.", places=", ".join(sorted(own.spent_at)))
    if own.valid_days:
        yield _("Such a code is valid for {time}.", time=days(own.valid_days))


def _what(rule: EarnRule) -> Iterator[str]:
    yield _("of what is paid in money")
    if rule.tax == "in":
        yield _("tax counts too")
    if rule.shipping == "in":
        yield _("shipping counts too")
    if rule.per:
        yield _("for bills in {currencies}", currencies=", ".join(sorted(rule.per)))


def _lasting(own: Credit) -> Iterator[str]:
    yield {
        "at_once": _("It can be used at once."),
        "month": _("It can be used when the month is over."),
        "quarter": _("It can be used when the quarter is over."),
        "year": _("It can be used when the year is over."),
    }[own.paid_out]
    if own.available_after_days:
        yield _("{time} more pass before that.", time=days(own.available_after_days))
    yield from _ending(own.expiry)


def _ending(expiry: Expiry) -> Iterator[str]:
    if expiry.is_never:
        yield _("It does not expire.")
    if expiry.days:
        yield _("It expires {time} after it can be used.", time=days(expiry.days))
    if expiry.months:
        yield _("It expires {time} after it can be used.", time=months(expiry.months))
    if expiry.until_end_of:
        yield {
            "month": _("It lasts until the end of that month."),
            "quarter": _("It lasts until the end of that quarter."),
            "year": _("It lasts until the end of that year."),
        }[expiry.until_end_of]
