"""What a till does when a customer pays with points: asks, holds, commits, all by the hub's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub_client import Client, HubAway, HubProblem

JSON = dict[str, Any]


def pay(client: Client, wish: Mapping[str, Any]) -> tuple[JSON, int]:
    """Turn points of the customer with that `phone` into a code for a `bill` (minor units): `points`, or as
    many as the hub allows of them. `one_time_code` when the hub asked for one, `send_code` to have it sent.
    `void` lets the points go again, as when the customer walks away."""
    try:
        found = client.find_members(phone=str(wish["phone"]))
        return _paid(client, found[0].id, wish) if found else ({"refused": "not_found"}, 404)
    except HubProblem as refused:
        return {"refused": refused.code, "said": refused.detail}, 409
    except HubAway:
        return {"refused": "hub_away"}, 503


def _paid(client: Client, member: str, wish: Mapping[str, Any]) -> tuple[JSON, int]:
    if wish.get("send_code"):
        return {"sent_to": client.send_code(member, till=str(wish.get("till", ""))).to}, 200
    quote = client.quote(member, int(wish["points"]), bill=wish.get("bill"))
    if not quote.points:
        return {"refused": quote.why}, 409
    more = {name: wish[name] for name in ("one_time_code", "cashier", "till", "bill") if name in wish}
    held = client.hold(member, points=quote.points, **more)
    if wish.get("void"):
        client.void(held.id)
        return {"let_go": quote.points}, 200
    return {"code": client.commit(held.id).code, "points": quote.points, "off": quote.off}, 200
