"""What is asked of a redemption and what it answers: values, and what it is refused with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.ledger.entry import input_hash
from hub.program.paying import Quote

CREDIT = "credit"
"""What a redemption of store credit is called where rewards have their ids."""
POINTS = "points"
"""The same of points as money."""


class NoSuchReward(LookupError):
    """The program in force has no such reward."""


class NotPayable(Exception):
    """So many points cannot be paid with here; `quote` says how many could, and why."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"{quote.points} points could be used")
        self.quote = quote


class KeyReused(Exception):
    """The idempotency key was used for another request."""


class NoSuchRedemption(LookupError):
    """The program has no redemption of that id."""


class HoldEnded(Exception):
    """The points are not held any more; `why` is `hold_released` or `hold_expired`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class AlreadyCommitted(Exception):
    """Its code is out: taking that back is what gives the points back."""


@dataclass(frozen=True, slots=True)
class Payment:
    """So many points off a bill of this currency (minor units, with everything; None: not known)."""

    points: int
    currency: str
    bill: int | None = None
    credit: bool = False
    """Store credit is paid with instead: `points` are minor units of the currency."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants what, and under which key."""

    program_id: int
    member_id: int
    reward: str
    actor: str
    chain_key: bytes
    key: str | None = None
    now: datetime | None = None
    payment: Payment | None = None
    """Points paid as money; `reward` is then `points`."""
    quantity: int = 1
    """How many are bought together: part of what a key stands for."""
    brought_at: datetime | None = None
    """When the order was placed that brings it (`every_order`); None: somebody wants it."""

    @property
    def credit(self) -> Payment | None:
        """The payment, where it is one with store credit."""
        return self.payment if self.payment is not None and self.payment.credit else None

    def digest(self, *, held: bool = False) -> str:
        """What a key stands for: the same key with anything else is an error."""
        hold = ("hold",) if held else ()
        if self.payment is None:
            many = (self.quantity,) if self.quantity > 1 else ()
            return input_hash(self.member_id, self.reward, *many, *hold)
        paid = self.payment
        name = CREDIT if paid.credit else POINTS
        return input_hash(self.member_id, name, paid.points, paid.currency, paid.bill, *hold)


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does with one redemption, by its public id (`red_...`)."""

    program_id: int
    redemption: str
    actor: str
    chain_key: bytes
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A redemption and its voucher, as the API shows them."""

    id: str
    state: str
    """`held`, `committed` or `released`."""
    reward: str
    points: int
    voucher: str = ""
    """Its public id; "" as long as the points are only held."""
    code: str = ""
    voucher_state: str = ""
    expires_at: datetime | None = None
    """Of the code."""
    currency: str | None = None
    """Of store credit that was spent: `points` are its minor units."""
    hold_until: datetime | None = None
    """When points that are held are let go, unless they are committed before."""
    repeated: bool = False
