"""A thin client of the hub's API v1, for tills and other systems: typed answers, safe repetitions.

Needs `requests` and nothing else; the hub itself does not use it.

    with Client("https://points.example.com", "hubkey_...") as hub:
        (ann,) = hub.find_members(phone="0912 345 678")
        held = hub.hold(ann.id, points=200, bill=1_250_000)
        print(hub.commit(held.id).code)
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

import requests

__all__ = [
    "Client", "CodeSent", "Entry", "Event", "HubAway", "HubProblem", "Lot", "Member", "Points", "Quote",
    "Redemption", "Reward", "Transaction", "Voucher",
]  # fmt: skip

JSON = Mapping[str, Any]
Value = TypeVar("Value")
_MOMENTS = frozenset(
    {"available_at", "created_at", "expires_at", "hold_until", "occurred_at", "placed_at", "recorded_at"}
)
_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_PAUSE = 30.0


class HubProblem(Exception):
    """The hub refused: `code` is stable, `detail` a sentence for people, `more` holds the numbers."""

    def __init__(self, status: int, code: str, detail: str, more: JSON) -> None:
        super().__init__(f"{code}: {detail}")
        self.status, self.code, self.detail, self.more = status, code, detail, more


class HubAway(Exception):
    """The hub did not answer, however often it was asked; whether it did it is not known: ask again with the
    same key."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a member; `available` may be spent."""

    balance: int
    available: int
    pending: int
    debt: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member."""

    id: str
    name: str
    points: Points
    created_at: datetime
    identities: Sequence[JSON] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of points, with its explanation as step codes and numbers."""

    seq: int
    amount: int
    counter: str
    balance_after: int
    occurred_at: datetime
    recorded_at: datetime
    reference: str
    transaction: str | None
    explanation: Sequence[JSON]


@dataclass(frozen=True, slots=True)
class Lot:
    """One earned amount that has something left."""

    granted: int
    remaining: int
    placed_at: datetime
    available_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reward:
    """What points buy; amounts in minor units by currency."""

    id: str
    name: str
    cost: int
    amount: Mapping[str, int]
    percent: int | None = None
    perk: str = ""
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """How many points may be used now, and what they take off (minor units); `code_needed`: with a one-time
    code."""

    points: int
    off: int
    currency: str
    why: str | None
    code_needed: bool = False


@dataclass(frozen=True, slots=True)
class Redemption:
    """Points that are held, or were turned into a code; `code` is None as long as they are held."""

    id: str
    state: str
    reward: str
    points: int
    voucher: str | None = None
    code: str | None = None
    voucher_state: str | None = None
    expires_at: datetime | None = None
    hold_until: datetime | None = None
    currency: str | None = None
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Voucher:
    """A code; amounts in minor units by currency."""

    id: str
    code: str
    state: str
    member: str
    reward: str
    expires_at: datetime | None = None
    amount: Mapping[str, int] = field(default_factory=dict)
    percent: int | None = None
    channels: Sequence[JSON] = ()


@dataclass(frozen=True, slots=True)
class CodeSent:
    """A one-time code on its way to the member."""

    id: str
    way: str
    to: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A recorded event and what it gave."""

    id: str
    event: str
    points: int
    why: str | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Transaction:
    """The canonical state of one sale; money in minor units."""

    id: str
    channel: str
    external_id: str
    number: str
    state: str
    currency: str | None
    placed_at: datetime | None
    member: str | None
    eligible: int
    refunded: int
    points: int
    why: str | None
    explanation: Sequence[JSON]


class Client:
    """Asks a hub with an API key. Not for several threads at once: make one for each.

    What changes something carries a key of its own and is asked again, up to `attempts` times, when the
    answer was lost or the hub is busy: it happens once. Raises `HubProblem` and `HubAway`.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        language: str = "en",
        timeout: float = 10.0,
        attempts: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = f"{url.rstrip('/')}/api/v1"
        self._timeout, self._attempts, self._sleep = timeout, attempts, sleep
        self._http = requests.Session()
        self._http.headers.update({"Authorization": f"Bearer {key}", "Accept-Language": language})

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- members ---

    def find_members(self, **key: str) -> list[Member]:
        """Members with that `phone` (in any spelling), `email`, `card` or `customer`: at most 20."""
        return [_read(Member, one) for one in self._ask("GET", "/members", params=key).json()]

    def member(self, member: str) -> Member:
        """One member; an id that was merged answers with the member it belongs to now."""
        return _read(Member, self._ask("GET", f"/members/{member}").json())

    def entries(self, member: str) -> Iterator[Entry]:
        """All movements of points, newest first."""
        return (_read(Entry, one) for one in self._pages(f"/members/{member}/entries", "entries"))

    def lots(self, member: str) -> list[Lot]:
        """What is left of what was earned, soonest expiry first: at most 500."""
        return [_read(Lot, one) for one in self._ask("GET", f"/members/{member}/lots").json()]

    # --- spending ---

    def rewards(self) -> list[Reward]:
        """What points buy now."""
        return [_read(Reward, one) for one in self._ask("GET", "/rewards").json()]

    def quote(
        self, member: str, points: int, *, currency: str | None = None, bill: int | None = None
    ) -> Quote:
        """How many of these points may be used for a bill (minor units, with everything)."""
        wish = {"member": member, "points": points, "currency": currency, "bill": bill}
        return _read(Quote, self._ask("POST", "/redemptions/quote", wish).json())

    def quote_reward(self, member: str, reward: str) -> Quote:
        """What a reward costs a member now, or why they cannot have it."""
        wish = {"member": member, "reward": reward}
        return _read(Quote, self._ask("POST", "/redemptions/quote", wish).json())

    def redeem(self, member: str, *, key: str | None = None, **wish: Any) -> Redemption:
        """Spend `points` or `credit` (with `currency`, `bill`), or buy a `reward`; `one_time_code`, `cashier` and
        `till` as the programme asks. The same `key` does it once."""
        return self._redemption("/redemptions", {"member": member, **wish}, key)

    def hold(self, member: str, *, key: str | None = None, **wish: Any) -> Redemption:
        """Only hold the points, until `commit` or `void`, or the end of the hold."""
        return self._redemption("/redemptions", {"member": member, "hold": True, **wish}, key)

    def commit(self, redemption: str, *, key: str | None = None) -> Redemption:
        """Turn what is held into a code."""
        return self._redemption(f"/redemptions/{redemption}/commit", None, key)

    def void(self, redemption: str, *, key: str | None = None) -> Redemption:
        """Let what is held go."""
        return self._redemption(f"/redemptions/{redemption}/void", None, key)

    def take_back(self, redemption: str, *, key: str | None = None) -> Redemption:
        """Take an unused code back."""
        return self._redemption(f"/redemptions/{redemption}/take-back", None, key)

    def redemption(self, redemption: str) -> Redemption:
        """One redemption, as it is now."""
        return _read(Redemption, self._ask("GET", f"/redemptions/{redemption}").json())

    def redemptions(self, member: str | None = None) -> Iterator[Redemption]:
        """All redemptions, newest first."""
        found = self._pages("/redemptions", "redemptions", member=member)
        return (_read(Redemption, one) for one in found)

    def send_code(self, member: str, *, way: str | None = None, till: str = "") -> CodeSent:
        """Send the member a one-time code. It is asked once: a further call sends another code."""
        path, wish = f"/members/{member}/one-time-codes", {"way": way, "till": till}
        return _read(CodeSent, self._ask("POST", path, wish, attempts=1).json())

    def voucher(self, code: str) -> Voucher:
        """A code in any case: what a till asks before it gives the discount."""
        return _read(Voucher, self._ask("GET", f"/vouchers/{code}").json())

    def vouchers(self, member: str | None = None) -> Iterator[Voucher]:
        """All codes, newest first."""
        return (_read(Voucher, one) for one in self._pages("/vouchers", "vouchers", member=member))

    def price(self, code: str, lines: Sequence[JSON], **cart: Any) -> JSON:
        """What a code takes off a cart, line by line."""
        found: JSON = self._ask("POST", f"/vouchers/{code}/quote", {"lines": list(lines), **cart}).json()
        return found

    # --- events and sales ---

    def record(self, event: str, *, key: str, occurred_at: datetime | None = None, **who: str) -> Event:
        """Record what a member did (`member`, `phone`, `email` or `card`): once for each key."""
        wish = {"event": event, "occurred_at": occurred_at.isoformat() if occurred_at else None, **who}
        return _read(Event, self._ask("POST", "/events", wish, key=key).json())

    def transaction(self, transaction: str) -> Transaction:
        """What became of a sale, and why it earned what it did."""
        return _read(Transaction, self._ask("GET", f"/transactions/{transaction}").json())

    def transactions(self, **query: str) -> Iterator[Transaction]:
        """Sales, newest first; narrowed by `member`, `channel`, `state`, `since`, `until`."""
        found = self._pages("/transactions", "transactions", **query)
        return (_read(Transaction, one) for one in found)

    def claim(self, transaction: str, *, key: str | None = None, **who: str) -> Transaction:
        """Give a guest's order to a member (`member`, `phone` or `email`)."""
        path = f"/transactions/{transaction}/claim"
        return _read(Transaction, self._change(path, who, key))

    # --- how it asks ---

    def _redemption(self, path: str, wish: JSON | None, key: str | None) -> Redemption:
        return _read(Redemption, self._change(path, wish, key))

    def _change(self, path: str, wish: JSON | None, key: str | None) -> JSON:
        answer: JSON = self._ask("POST", path, wish, key=key or uuid.uuid4().hex).json()
        return answer

    def _pages(self, path: str, name: str, **query: str | None) -> Iterator[JSON]:
        wanted = {word: text for word, text in query.items() if text is not None}
        cursor: str | int | None = None
        while True:
            place = {"cursor": str(cursor)} if cursor is not None else {}
            page = self._ask("GET", path, params={**wanted, "limit": "200", **place}).json()
            yield from page[name]
            cursor = page["next"]
            if cursor is None:
                return

    def _ask(
        self,
        method: str,
        path: str,
        wish: JSON | None = None,
        *,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        attempts: int | None = None,
    ) -> requests.Response:
        """Ask, and again where that is safe: what has a key, and what only reads."""
        body = {name: value for name, value in (wish or {}).items() if value is not None}
        headers = {"Idempotency-Key": key} if key else {}
        most = attempts or self._attempts
        for number in range(1, most + 1):
            try:
                answer = self._http.request(
                    method, self._address + path, params=params, headers=headers, timeout=self._timeout,
                    json=body if wish is not None else None,
                )  # fmt: skip
            except requests.RequestException as lost:
                if number == most:
                    raise HubAway(
                        f"no answer from {self._address}{path}: {type(lost).__name__}"
                    ) from lost
                self._sleep(_pause(number, None))
                continue
            if answer.ok:
                return answer
            problem = _problem(answer)
            busy = answer.status_code in _AGAIN or problem.code == "in_progress"
            if not busy or number == most:
                raise problem
            self._sleep(_pause(number, answer.headers.get("Retry-After")))
        raise AssertionError("unreachable")


def _pause(number: int, told: str | None) -> float:
    """Seconds to wait: as long as the hub says, else longer each time."""
    wanted = float(told) if told and told.isdecimal() else 0.2 * 2 ** (number - 1)
    return min(wanted, _LONGEST_PAUSE)


def _problem(answer: requests.Response) -> HubProblem:
    try:
        told = answer.json()
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    code, detail = told.get("code", f"http_{answer.status_code}"), told.get("detail", answer.reason)
    return HubProblem(answer.status_code, code, detail, told)


def _read(kind: type[Value], told: JSON) -> Value:
    """The fields this client knows; a newer hub may tell more."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {name: value for name, value in told.items() if name in known}
    for name in _MOMENTS & values.keys():
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    if kind is Member:
        values["points"] = _read(Points, told["points"])
    return kind(**values)
