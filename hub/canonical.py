"""What happened in a shop, in the hub's own words: the happenings a message can hold.

Money is an integer number of minor units of an ISO 4217 currency. Times are aware datetimes.
Standard library only: connectors and the core share these values and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Literal


class SaleState(StrEnum):
    """How far a sale has come; `draft` is a cart or an unfinished checkout and never counts."""

    DRAFT = "draft"
    PENDING = "pending"
    PAID = "paid"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


PAID_STATES = frozenset({SaleState.PAID, SaleState.FULFILLED, SaleState.REFUNDED})
"""States in which money was received; a refunded sale earns on what its refunds leave."""

_STATE_RANK = {
    SaleState.DRAFT: 0,
    SaleState.PENDING: 0,
    SaleState.PAID: 1,
    SaleState.FULFILLED: 1,
    SaleState.REFUNDED: 2,
    SaleState.CANCELLED: 2,
}


def state_rank(state: SaleState) -> int:
    """Rank for the total key of snapshots: unpaid < paid < void (rules.md A2)."""
    return _STATE_RANK[state]


class LineKind(StrEnum):
    """What a line is. Only goods and services are goods; the rest is excluded by name."""

    GOODS = "goods"
    SERVICE = "service"
    GIFT_CARD = "gift_card"
    TIP = "tip"
    FEE = "fee"


GOODS_KINDS = frozenset({LineKind.GOODS, LineKind.SERVICE})


class IdentityKind(StrEnum):
    """What kind of key names a member; `customer` is the channel's own customer id."""

    CUSTOMER = "customer"
    CARD = "card"
    PHONE = "phone"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to, as the channel tells it."""

    what: str
    """`email_marketing`, `sms_marketing` or `loyalty`."""
    given: bool
    at: datetime | None = None
    wording: str = ""


@dataclass(frozen=True, slots=True)
class CustomerRef:
    """Everything one message says about who bought. Values are as typed; the hub normalises them."""

    external_id: str | None = None
    """The channel's customer id; None for a guest."""
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()
    name: str = ""
    address: Mapping[str, str] = field(default_factory=dict)
    birthday: str | None = None
    """ISO date."""
    locale: str | None = None
    country: str | None = None
    """ISO 3166 code that helps to read a national phone number; None: the program's region."""
    staff_claim: str | None = None
    """A member id or card typed by staff for this sale: outranks all other identities (A3)."""
    consents: tuple[Consent, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sale was made."""

    location: str | None = None
    till: str | None = None
    staff: str | None = None
    source: str | None = None
    """The platform's own word: web, pos, checkout, rest-api..."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The sale is a copy of one in another system (rules.md A8)."""

    kind: str
    """Connector kind of the system where the sale was made first."""
    external_id: str
    shop: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sale as sold, after all discounts."""

    key: str
    """The channel's line id, stable within the sale."""
    kind: LineKind
    quantity: Decimal
    net: int
    """Minor units after line and order discounts, without tax."""
    tax: int
    sku: str | None = None
    product_id: str | None = None
    variant_id: str | None = None
    name: str = ""
    categories: tuple[str, ...] | None = None
    """None: the message does not say (the hub looks it up when a rule needs it)."""
    tags: tuple[str, ...] | None = None
    discounted: bool | None = None
    current_quantity: Decimal | None = None
    """What is left after edits, returns and refunds, where the platform says so (A5)."""


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received for a sale; `kind` separates real money from stored value."""

    kind: Literal["money", "gift_card", "store_credit", "points"]
    amount: int
    currency: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Goods that came back: values in minor units without tax.

    quantity > 0: that share of the line as sold came back, whatever was paid for it;
    quantity 0: only a part of its price did, `net` says how much.
    """

    line_key: str
    quantity: Decimal
    net: int
    tax: int
    kind: LineKind = LineKind.GOODS


@dataclass(frozen=True, slots=True)
class RefundMoney:
    """One movement of money of a refund; `failed` ones do not count (A5)."""

    status: Literal["success", "pending", "failed"]
    amount: int
    """Minor units, positive = paid back to the buyer, with tax and shipping."""
    currency: str


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund document: as part of a sale's own list, or as a message of its own."""

    kind: ClassVar[str] = "refund"
    external_id: str
    sale_external_id: str
    version: int
    """The source's version; a later state of the same refund (pending, then settled) is greater."""
    as_of: datetime
    created_at: datetime | None = None
    lines: tuple[RefundLine, ...] = ()
    money: tuple[RefundMoney, ...] = ()
    goods_money: int | None = None
    """Money of this refund that is for goods, without tax and shipping, when the source tells;
    None: the fold estimates it from the money, goods first."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sale:
    """A complete snapshot of one sale. A partial message is `Thin`, never a half-filled Sale (A3)."""

    kind: ClassVar[str] = "sale"
    external_id: str
    """The platform's immutable id, never the number a plugin may change."""
    number: str
    state: SaleState
    currency: str
    lines: tuple[Line, ...]
    placed_at: datetime
    version: int
    """Greater is newer where the platform has versions (microseconds of updated_at, a counter)."""
    as_of: datetime
    """The moment this state was true by the source's clock, never the time we received it (A2)."""
    shipping: int = 0
    """Minor units after discounts, without tax."""
    shipping_tax: int = 0
    total: int | None = None
    """What the buyer was asked to pay, with everything, as sold."""
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None
    customer: CustomerRef | None = None
    codes: tuple[str, ...] = ()
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    """The sale's own list, complete where the connector declares `lists_refunds = "complete"`."""
    place: Place = Place()
    origin: Origin | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class Traits:
    """What a connector declares about its platform (see `hub.connector.Connector`), for the merge fold."""

    payload_built: Literal["event", "delivery"] = "event"
    sale_is: Literal["gross", "net"] = "gross"
    lists_refunds: Literal["complete", "absent"] = "complete"
    refunds_deletable: bool = False


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer record of the channel was made or changed."""

    kind: ClassVar[str] = "customer"
    customer: CustomerRef
    version: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class CustomerMerged:
    """The channel merged two of its customers: the old id now means the kept one."""

    kind: ClassVar[str] = "customer_merged"
    kept_external_id: str
    gone_external_id: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Code:
    """A discount code of the channel was made, changed or removed there."""

    kind: ClassVar[str] = "code"
    code: str | None
    external_id: str
    change: Literal["created", "updated", "deleted"]
    active: bool | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """Facts about a product that lines do not carry (answer of a look-up)."""

    kind: ClassVar[str] = "product"
    external_id: str
    sku: str | None
    categories: tuple[str, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deleted:
    """Something is gone. `final` only where the platform never restores it (A6)."""

    kind: ClassVar[str] = "deleted"
    what: Literal["sale", "refund", "customer", "shop"]
    external_id: str
    final: bool
    as_of: datetime | None = None
    """None when the message carries no time and the deletion is final anyway."""


@dataclass(frozen=True, slots=True)
class Thin:
    """The message only hints that something changed: fetch it before judging."""

    kind: ClassVar[str] = "thin"
    what: Literal["sale", "refunds", "customer", "code", "product"]
    external_id: str
    reason: str = ""
    version: int | None = None
    """Of a list of what changed: the version of the sale there (as `Sale.version`)..."""
    state: SaleState | None = None
    """...its state..."""
    refunded: int | None = None
    """...and the money refunded, in minor units. A sale that is known in all three is no news and is not fetched: of
    two changes in the one second that a version tells apart, the second one shows in these."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Understood, and nothing to do; `reason` is a stable snake_case code."""

    kind: ClassVar[str] = "ignored"
    reason: str
    detail: str = ""


Happening = Sale | Refund | Customer | CustomerMerged | Code | Product | Deleted | Thin | Ignored
