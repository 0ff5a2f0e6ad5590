"""The hub's commands as signed callbacks to a till: `hub.code/1` and `hub.balance/1`."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.generic_pos.signing import signed_headers
from hub.connector import Command, CreateCode, CustomerKey, Receipt, RevokeCode, SetBalance
from hub.errors import BadPayload, ChannelDown, Misconfigured, Rejected
from hub.http import Answer, Http
from hub.money import from_minor
from hub.payload import parse_object

# What a till's answer means for whoever runs it; other 4xx are the till's word on this one command.
_REFUSALS: dict[int, tuple[str, str]] = {
    401: ("callback_unsigned", "the till refused the signature: give it this channel's webhook_secret"),
    403: ("callback_forbidden", "the till does not let the hub in: allow the hub's address there"),
    404: ("callback_not_found", "there is nothing at callback_url: correct the address"),
    405: ("callback_not_found", "callback_url does not take POST: correct the address"),
    410: ("callback_gone", "the till wants no callbacks any more: clear callback_url or correct it"),
}


def send(http: Http, url: str, secret: str, command: Command, now: datetime) -> Receipt:
    """POST one command. 2xx with an empty or JSON body is done. Raises `Misconfigured`,
    `Rejected` (with the till's own `code`), `ChannelDown`."""
    body = json.dumps(message_of(command), ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "loyalty-hub",
        **signed_headers(secret, message_id(command), now, body),
    }
    return _receipt(http.request("POST", url, headers=headers, body=body))


def message_id(command: Command) -> str:
    """The webhook-id: the same for every try of one command, from its natural key."""
    key = _natural_key(command)
    return f"msg_{hashlib.sha256(f'{command.action}|{key}'.encode()).hexdigest()[:32]}"


def _natural_key(command: Command) -> str:
    if isinstance(command, SetBalance):
        return f"{command.customer.member_id}|{_time(command.as_of)}"
    return command.code


def message_of(command: Command) -> dict[str, Any]:
    """The JSON of one command; fields that are not known are left out."""
    if isinstance(command, CreateCode):
        return _filled({"type": "hub.code/1", "state": "active", **_code(command)})
    if isinstance(command, RevokeCode):
        told = {"code": command.code, "voucher_id": command.voucher_id}
        return {"type": "hub.code/1", "state": "revoked", **told}
    return {
        "type": "hub.balance/1",
        "customer": _customer(command.customer),
        "points": command.points,
        "available": command.available,
        "pending": command.pending,
        "as_of": _time(command.as_of),
    }


def _code(command: CreateCode) -> dict[str, Any]:
    percent = None if command.percent is None else format(Decimal(command.percent).scaleb(-2), "f")
    return {
        "code": command.code,
        "voucher_id": command.voucher_id,
        "title": command.title,
        "customer": _customer(command.customer),
        "starts_at": _time(command.starts_at),
        "expires_at": None if command.expires_at is None else _time(command.expires_at),
        "currency": command.currency,
        "amount": _amount(command.amount, command.currency),
        "percent": percent,
        "minimum_total": _amount(command.minimum_total, command.currency),
        "at_most": _amount(command.most, command.currency),
        "skus": list(command.skus) or None,
        "pieces": command.pieces,
        "free_shipping": command.free_shipping or None,
    }


def _customer(key: CustomerKey) -> dict[str, str]:
    return _filled(
        {
            "member_id": key.member_id,
            "id": key.external_id,
            "email": key.email,
            "phone": key.phone,
            "card": key.card,
        }
    )


def _amount(minor: int | None, currency: str | None) -> str | None:
    return None if minor is None or currency is None else format(from_minor(minor, currency), "f")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _filled(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


def _receipt(answer: Answer) -> Receipt:
    if 300 <= answer.status < 400:
        raise Misconfigured("redirected", "callback_url answers with a redirect: enter where it leads")
    if answer.status in _REFUSALS:
        raise Misconfigured(*_REFUSALS[answer.status])
    if answer.status >= 400:
        raise _rejected(answer)
    if not answer.body.strip():
        return Receipt()
    told = answer.json()
    if not isinstance(told, dict):
        raise ChannelDown("not_an_object", "the till answered with JSON that is no object")
    name = told.get("external_id")
    return Receipt(
        external_id=name[:100] if isinstance(name, str) and name else None,
        changed=told.get("changed") is not False,
    )


def _rejected(answer: Answer) -> Rejected:
    try:
        told = parse_object(answer.body)
    except BadPayload:
        told = {}
    code, detail = told.get("code"), told.get("detail")
    return Rejected(
        code[:60] if isinstance(code, str) and code else f"http_{answer.status}",
        detail[:200] if isinstance(detail, str) and detail else f"the till answered {answer.status}",
    )
