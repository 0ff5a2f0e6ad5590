"""Shopify's Admin GraphQL API: one operation at a time, every failure with its owner."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.shopify.endpoint import base_url
from connectors.shopify.tokens import access_token
from hub.connector import ChannelHandle
from hub.errors import BadPayload, ChannelDown, Fault, Misconfigured, Rejected
from hub.http import Answer
from hub.payload import parse_json

_LONGEST_WAIT = timedelta(minutes=10)
_UNKNOWN_WAIT = timedelta(seconds=2)
BUDGET = "graphql"
"""The allowance of one app in one shop. https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits"""
_UNKNOWN_COST = 50.0
_costs: dict[str, float] = {}
"""What each document asks for, as Shopify said the last time: the same in every shop, by the schema alone."""
_LOCKED_WAIT = timedelta(hours=1)

# https://shopify.dev/docs/api/usage/response-codes
_REFUSALS: dict[int, tuple[str, str]] = {
    402: ("shop_frozen", "the shop is frozen: its owner has to settle an open bill with Shopify"),
    403: ("access_denied", "Shopify denies access: give the app the scopes that the README names"),
    404: ("no_such_shop", "Shopify knows no such shop or API version: check shop and api_version"),
}

# https://shopify.dev/docs/api/admin-graphql/latest#status_and_error_codes
_DENIED = frozenset({"ACCESS_DENIED", "SHOP_INACTIVE", "FORBIDDEN"})
_TROUBLE = frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"})


@dataclass(frozen=True, slots=True)
class Result:
    """One answer without errors."""

    data: dict[str, Any]
    answer: Answer

    def node(self, name: str) -> dict[str, Any] | None:
        """A field of the top level that is an object or null."""
        found = self.data.get(name)
        if found is not None and not isinstance(found, dict):
            raise bad_answer(name)
        return found


class Admin:
    """One shop's Admin API. Methods raise `ChannelDown`, `Misconfigured` or `Rejected`."""

    def __init__(self, channel: ChannelHandle, *, urgent: bool = False) -> None:
        """`urgent`: it may use the part of the allowance that is kept for it."""
        self._channel = channel
        self._urgent = urgent

    def run(self, document: str, **variables: Any) -> Result:
        """Send one operation, once the shop's allowance holds it. A 401 gets one other token and one other
        try."""
        budget, cost = self._channel.budget(BUDGET), _costs.get(document, _UNKNOWN_COST)
        if wait := budget.take(cost, urgent=self._urgent):
            retry_at = self._channel.now() + wait
            raise ChannelDown("throttled", "the shop's rate limit is used up for now", retry_at=retry_at)
        told = False
        try:
            answer = self._answer(document, variables)
            told = self._count(document, answer, cost)
        finally:
            if not told:
                budget.give_back(cost)
        return self._result(answer)

    def _answer(self, document: str, variables: Mapping[str, Any]) -> Answer:
        body = json.dumps({"query": document, "variables": variables}).encode()
        token = access_token(self._channel)
        answer = self._send(body, token)
        if answer.status == 401:
            answer = self._send(body, access_token(self._channel, refused=token))
        if answer.status == 401:
            raise Misconfigured(
                "token_refused", "Shopify refuses a token it has just granted: install the app again"
            )
        return answer

    def _count(self, document: str, answer: Answer, taken: float) -> bool:
        """Note what the shop says is left, and what such a document costs; False when it says nothing."""
        try:
            body = parse_json(answer.body)
        except BadPayload:
            return False
        cost = _dict(_dict(_dict(body).get("extensions")).get("cost"))
        status = _dict(cost.get("throttleStatus"))
        try:
            left, rate, most = (
                float(status[name]) for name in ("currentlyAvailable", "restoreRate", "maximumAvailable")
            )
            _costs[document] = float(cost["requestedQueryCost"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return False
        if rate <= 0 or most <= 0:
            return False
        self._channel.budget(BUDGET).tell(left, rate=rate, most=most, taken=taken)
        return True

    def change(self, name: str, document: str, **variables: Any) -> dict[str, Any]:
        """Run a mutation; `userErrors` become `Rejected` with the first error's code."""
        payload = self.run(document, **variables).node(name)
        if payload is None:
            raise bad_answer(name)
        if errors := payload.get("userErrors"):
            raise refusal(name, errors)
        return payload

    def _send(self, body: bytes, token: str) -> Answer:
        settings = self._channel.settings
        url = f"{base_url(settings)}/admin/api/{settings['api_version']}/graphql.json"
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "x-shopify-access-token": token,
        }
        try:
            return self._channel.http.request("POST", url, headers=headers, body=body)
        except ChannelDown as error:
            if error.code != "http_429":
                raise
            retry_at = error.retry_at or self._channel.now() + _UNKNOWN_WAIT
            raise ChannelDown("throttled", "Shopify asks to slow down", retry_at=retry_at) from None

    def _result(self, answer: Answer) -> Result:
        if answer.status != 200:
            raise self._refusal(answer.status)
        body = answer.json()
        if not isinstance(body, dict):
            raise bad_answer("the answer")
        if errors := body.get("errors"):
            raise self._error(errors, body.get("extensions"))
        data = body.get("data")
        if not isinstance(data, dict):
            raise bad_answer("data")
        return Result(data, answer)

    def _refusal(self, status: int) -> Fault:
        if status == 423:
            # Locked for too many requests or suspected fraud: not ours to mend, so ask again.
            retry_at = self._channel.now() + _LOCKED_WAIT
            return ChannelDown("shop_locked", "Shopify has locked the shop", retry_at=retry_at)
        if status in _REFUSALS:
            return Misconfigured(*_REFUSALS[status])
        if 300 <= status < 400:
            return Misconfigured("redirected", f"the shop answers {status}: check shop and api_base")
        return Rejected(f"http_{status}", f"Shopify answered {status}")

    def _error(self, errors: Any, extensions: Any) -> Fault:
        """Top-level errors come with HTTP 200 too."""
        first = errors[0] if isinstance(errors, list) and errors else errors
        first = first if isinstance(first, dict) else {"message": first}
        code = _dict(first.get("extensions")).get("code")
        message = str(first.get("message", ""))[:300]
        if code == "THROTTLED":
            cost = _dict(_dict(extensions).get("cost")) or _dict(_dict(first["extensions"]).get("cost"))
            retry_at = self._channel.now() + throttled_for(cost)
            return ChannelDown("throttled", "Shopify asks to slow down", retry_at=retry_at)
        if code in _DENIED:
            return Misconfigured(str(code).lower(), f"Shopify denies access: {message}")
        if code in _TROUBLE:
            return ChannelDown(str(code).lower(), f"Shopify has trouble: {message}")
        return Rejected(_code(code, "graphql_error"), f"Shopify refuses the request: {message}")


def throttled_for(cost: Mapping[str, Any]) -> timedelta:
    """How long the bucket takes to hold the requested cost, at least a second:
    https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits"""
    status = _dict(cost.get("throttleStatus"))
    try:
        lacking = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        seconds = lacking / float(status["restoreRate"])
        wait = timedelta(seconds=max(1.0, seconds))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return _UNKNOWN_WAIT
    return min(wait, _LONGEST_WAIT)


def refusal(name: str, errors: Any) -> Rejected:
    """The first of the `userErrors`, with code and field."""
    first = _dict(errors[0]) if isinstance(errors, Sequence) and errors else {}
    field = first.get("field")
    where = ".".join(str(step) for step in field) if isinstance(field, list) else "the input"
    message, code = str(first.get("message", ""))[:300], first.get("code")
    return Rejected(
        _code(code, "user_error"), f"Shopify refused {name}: {where}: {message} ({code or 'no code'})"
    )


def bad_answer(what: str) -> ChannelDown:
    """The answer does not have the shape the schema promises."""
    return ChannelDown("bad_answer", f"Shopify answered without {what:.60} as its schema has it")


def _code(code: object, otherwise: str) -> str:
    return code.lower() if isinstance(code, str) and code else otherwise


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
