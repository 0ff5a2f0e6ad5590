"""The way in: to the one program, or to the list of mine."""

from __future__ import annotations

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from hub.users import store
from hub.users.rights import may
from hub.web.dashboard.visit import everywhere, runtime, somebody


@everywhere("/", "login")
def front() -> str | Response:
    """Who has one program is there; others choose."""
    user = somebody()
    assert user is not None
    with runtime().sessions() as session:
        mine = store.memberships(session, user.id)
    if len(mine) == 1:
        return redirect(entrance(mine[0]))
    return render_template("front.html", mine=[(m, entrance(m)) for m in mine])


def entrance(membership: store.Membership) -> str:
    """Where a user begins in a program: a cashier among the members, all others at home."""
    first = "home" if may(membership.role, "look") else "members"
    return url_for(f"dashboard.{first}", program=membership.slug)
