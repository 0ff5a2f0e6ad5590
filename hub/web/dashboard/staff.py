"""Staff: which member each cashier is, and what the programme lets one cashier do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import words
from hub.desk import staff as desk_
from hub.desk.place import carry_out
from hub.desk.staff import NotNamed
from hub.i18n import gettext as _
from hub.members import staff
from hub.program import store
from hub.program.rules import in_force
from hub.program.till import Till
from hub.web.dashboard.visit import action, page, runtime, visit

LIMIT_WORDS: Mapping[str, str] = {
    "redemptions_per_hour": "One cashier redeems at most {n} times in an hour.",
    "points_per_hour": "One cashier redeems at most {n} points in an hour.",
    "claims_per_hour": "One cashier gives at most {n} orders of guests to members in an hour.",
    "code_above": "Redeeming more than {n} points needs a one-time code.",
}
OWN_WORDS: Mapping[str, str] = {
    "redemptions_tell": "Who redeems points of their own is told of.",
    "redemptions_refuse": "Who redeems points of their own is stopped, and it is told.",
    "sales_tell": "A sale that somebody rings up for themselves gives points, and it is told.",
    "sales_refuse": "A sale that somebody rings up for themselves gives no points, and it is told.",
}
_LONGEST = 200


def _text(name: str) -> str:
    """A field of the form, without the NUL that no text of PostgreSQL can hold."""
    return request.form.get(name, "").replace("\x00", "")[:_LONGEST].strip()


@page("/programme/staff", "members")
def programme_staff() -> str:
    """Everybody, by the name tills have for them."""
    return _shown({"ref": request.args.get("ref", "")[:_LONGEST]}, {})


@action("/programme/staff", "own")
def programme_name_staff() -> Response | tuple[str, int]:
    """Name somebody; a name that is taken passes on."""
    wish = {"ref": request.form.get("ref", "")[:_LONGEST].strip(), "member": _text("member")}
    try:
        carry_out(
            runtime(),
            visit().program,
            visit().actor,
            lambda desk: desk_.name(desk, wish["ref"], wish["member"]),
        )
    except NotNamed as refused:
        return _shown(wish, {refused.field: refused.sentence}), 422
    flash(_("Saved: tills call this member {ref}.", ref=wish["ref"]), "success")
    return redirect(url_for("dashboard.programme_staff"), 303)


@action("/programme/staff/remove", "own")
def programme_remove_staff() -> Response:
    """Somebody is not of the staff any more, or never was."""
    ref, mistaken = _text("ref"), request.form.get("way") == "mistaken"
    removed = carry_out(
        runtime(),
        visit().program,
        visit().actor,
        lambda desk: desk_.remove(desk, ref, mistaken=mistaken),
    )
    if not removed:
        abort(404)
    said = _("Removed. Sales that were refused as their own are judged anew within half a minute.")
    flash(said if mistaken else _("Removed. What they rang up until now stays what it was."), "success")
    return redirect(url_for("dashboard.programme_staff"), 303)


def _shown(wish: dict[str, str], errors: dict[str, str]) -> str:
    with runtime().sessions() as session:
        program = visit().program
        people = staff.of_program(session, program.id)
        till = in_force(store.versions(session, program), runtime().clock()).till
    values: dict[str, Any] = {"ref": "", "member": "", **wish}
    return render_template(
        "programme/staff.html", people=people, limits=_limits(till), wish=values, errors=errors
    )


def _limits(till: Till) -> list[str]:
    """What the programme asks of cashiers, a sentence each."""
    asked = {name: getattr(till, name) for name in LIMIT_WORDS}
    found = [
        _(LIMIT_WORDS[name], n=words.number(most)) for name, most in asked.items() if most is not None
    ]
    found.append(_(OWN_WORDS[f"redemptions_{till.own_redemptions}"]))
    found.append(_(OWN_WORDS[f"sales_{till.own_sales}"]))
    return found
