"""`hub simulate`: what an order of the past or a cart would earn, by the rules in force or by a draft."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.commands.program import read_rules
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.show import json_option, show, show_one

if TYPE_CHECKING:
    from hub.desk.place import Desk
    from hub.desk.simulate import Cart, Simulated
    from hub.program.rules import Rules
    from hub.program.store import Program

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("simulate")
@click.argument("order", required=False)
@click.option("--cart", "cart_file", type=_FILE, help="A JSON file as POST /api/v1/simulate takes it.")
@click.option("--rules", "draft_file", type=_FILE, help="A draft (TOML); without: the rules in force.")
@click.option("--member", help="Whose cart it is, by any scrap; without: the file's, or a guest's.")
@program_option
@json_option
def command(
    order: str | None,
    cart_file: Path | None,
    draft_file: Path | None,
    member: str | None,
    program: str | None,
    as_json: bool,
) -> None:
    """Tell what an ORDER of the past (txn_ id or number) or a cart would earn, and why.

    Nothing is changed. With --rules an order shows what the draft would have given.
    """
    from hub.desk.place import carry_out
    from hub.desk.simulate import simulate_cart, simulate_order, told

    if (order is None) == (cart_file is None):
        raise click.UsageError(_("name an order, or a cart with --cart"))
    with ground() as runtime:
        with runtime.sessions() as session:
            found = find_program(session, program)
            order_id = _order_id(session, found, order) if order else ""
            buyer = _member_id(session, found, member) if member else None
        draft = _draft(found, draft_file) if draft_file else None
        cart = _cart(cart_file, buyer, runtime.clock()) if cart_file else None

        def deed(desk: Desk) -> Simulated:
            if cart is None:
                return simulate_order(desk, order_id, draft)
            return simulate_cart(desk, cart, draft)

        try:
            simulated = carry_out(runtime, found, ACTOR, deed)
        except LookupError as missing:
            raise Refusal(_("there is no {name!r} here", name=str(missing))) from None
    _show(told(simulated, is_draft=draft is not None), as_json=as_json)


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_one(told, as_json=True)
        return
    steps = told.pop("steps")
    show([{"what": s["text"], "points": s["points"]} for s in steps], as_json=False)
    nudges = [nudge["text"] for nudge in told.pop("nudges")]
    before, after = told.pop("before"), told.pop("after")
    plain = {name: value for name, value in told.items() if value is not None}
    if after:
        plain["balance"] = f"{before['balance']} → {after['balance']}"
    show_one(plain, as_json=False)
    for nudge in nudges:
        click.echo(nudge)


def _order_id(session: Any, program: Program, text: str) -> str:
    from hub.transactions import browse

    hits = browse.find(
        session, program.id, program.region, program.currency, browse.Wish(text=text)
    ).orders
    exact = [one for one in hits if one["by"] in {"id", "number"}]
    if len(exact) != 1:
        raise Refusal(_("{text!r} names no one order; give its txn_ id", text=text))
    found: str = exact[0]["public_id"]
    return found


def _member_id(session: Any, program: Program, text: str) -> str:
    from hub.commands.member import only_member

    found: str = only_member(session, program, text).public_id
    return found


def _draft(program: Program, file: Path) -> Rules:
    from hub.program import document

    return document.rules(
        read_rules(file), number=0, effective_from=program.starts_at, time_zone=program.time_zone
    )


def _cart(file: Path, buyer: str | None, now: Any) -> Cart:
    from hub.desk.carts import CartSchema, cart_of
    from hub.errors import BadPayload
    from hub.payload import load, parse_object

    try:
        data = load(CartSchema(), parse_object(file.read_bytes()), root="cart")
    except BadPayload as error:
        raise Refusal(f"{file}: {error.path}: {error.detail}") from None
    return cart_of(data | ({"member": buyer} if buyer else {}), now)
