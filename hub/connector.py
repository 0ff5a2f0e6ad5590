"""The contract between the hub and a connector: what a channel can do, and the words they share.

A connector translates; it owns no thread, no table and no retry. What it can do is derived from
what it overrides (`capabilities`). Connectors may import this module, `hub.canonical`,
`hub.errors`, `hub.money` and `hub.http`, and nothing else of the hub.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Literal, Protocol

from marshmallow import Schema

from hub.canonical import Happening, IdentityKind
from hub.http import Http

JSONObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message from a channel, byte for byte. Header names are lower case."""

    topic: str
    """The platform's topic (`orders/paid`), or `fetch.<what>` for the answer of a look-up."""
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    url: str = ""
    """The public address it was sent to (some platforms sign it)."""


class Verdict(Enum):
    """What `verify` found when it did not raise."""

    VERIFIED = "verified"
    PING = "ping"
    """An unsigned ping of the platform: answered 2xx, not stored, never processed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The HTTP answer to a webhook."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease row held for a while; `token` only ever grows, so a late write can be refused."""

    name: str
    token: int


class ChannelHandle(Protocol):
    """What the core hands a connector: one channel's settings, memory and doors."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Decrypted and loaded by `settings_schema`; read only."""

    @property
    def http(self) -> Http:
        """HTTP with deadlines, bounded bodies and a record of each exchange."""

    @property
    def webhook_url(self) -> str:
        """The public address of this channel's webhook."""

    @property
    def time_zone(self) -> str:
        """IANA name used where the channel's times carry no zone."""

    @property
    def currency(self) -> str:
        """The program's currency, for channels whose messages name none."""

    def state(self) -> tuple[JSONObject, int]:
        """The connector's small memory (tokens, cursors) and its version."""

    def save_state(self, value: JSONObject, version: int) -> bool:
        """Compare and set; False when somebody else saved first."""

    def once(self, name: str, seconds: float) -> AbstractContextManager[Lease | None]:
        """A lease on `name` for this channel; yields None when another holds it."""

    def now(self) -> datetime:
        """The hub's clock, aware UTC."""


CodeFeature = Literal["products", "amount_of_products", "pieces", "cap", "free_shipping"]

# --- what the hub asks of a channel (outbound) -------------------------------------------------


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """How a channel knows a member."""

    member_id: str
    """The hub's public id (`mem_...`)."""
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    card: str | None = None
    """Of use to tills alone, which may know a member by nothing else."""


@dataclass(frozen=True, slots=True)
class CreateCode:
    """Make a discount code, usable once, by this customer only.

    Natural key: `code`. Repeating it must end with exactly one such code.
    """

    action: ClassVar[str] = "create_code"
    code: str
    voucher_id: str
    """`vch_...`; put where the platform keeps a title or note, so that a code is known as ours."""
    title: str
    customer: CustomerKey
    starts_at: datetime
    expires_at: datetime | None
    amount: int | None = None
    """Minor units of `currency`; None for a percentage."""
    currency: str | None = None
    percent: int | None = None
    """Hundredths of a percent (1250 = 12.5 %); None for an amount."""
    minimum_total: int | None = None
    """Minor units of `currency`."""
    skus: tuple[str, ...] = ()
    """The products it is about; none: the whole bill."""
    pieces: int | None = None
    """At most so many pieces of `skus` get it; a percentage of 100 makes them free."""
    most: int | None = None
    """The most that a percentage takes off, minor units of `currency`."""
    free_shipping: bool = False
    """Neither an amount nor a percentage: the buyer does not pay for shipping."""

    @property
    def features(self) -> frozenset[CodeFeature]:
        """What a channel must be able to do besides taking money off the bill."""
        asked: dict[CodeFeature, object] = {
            "products": self.skus,
            "amount_of_products": self.skus and self.amount is not None,
            "pieces": self.pieces,
            "cap": self.most,
            "free_shipping": self.free_shipping,
        }
        return frozenset(name for name, value in asked.items() if value)


@dataclass(frozen=True, slots=True)
class RevokeCode:
    """Make the code unusable. A code that is gone, or was never made, counts as revoked."""

    action: ClassVar[str] = "revoke_code"
    code: str
    voucher_id: str
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class CodeThere:
    """One of our codes, as its channel has it."""

    usable: bool
    """Nobody has used it, it has not ended, and nothing else keeps it from being used."""
    used: bool = False
    """Somebody has used it, as the channel counts; its own counters are no proof of anything."""


@dataclass(frozen=True, slots=True)
class SetBalance:
    """Show the member's balance in the channel. Idempotent by nature; the latest wins."""

    action: ClassVar[str] = "set_balance"
    customer: CustomerKey
    points: int
    available: int
    pending: int
    as_of: datetime


Command = CreateCode | RevokeCode | SetBalance


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the channel says it did."""

    external_id: str | None = None
    changed: bool = True
    """False: it was so already."""
    note: str = ""
    """A stable snake_case code that says more; its words stand in `Connector.words`."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Something to fetch: a thin message names it, or a rule needs what a message lacks."""

    what: Literal["sale", "refunds", "customer", "code", "product"]
    external_id: str


@dataclass(frozen=True, slots=True)
class Health:
    """One sentence on the connection, and whose move it is when it is not well."""

    ok: bool
    code: str
    detail: str


class Connector(ABC):
    """One kind of channel. Instantiated per use with the channel's handle; keeps no state itself."""

    kind: ClassVar[str]
    """Stable snake_case name, as in the registry."""
    label: ClassVar[str]
    """The name people know; where it is no proper name, out of a tuple whose name ends in WORDS."""
    settings_schema: ClassVar[type[Schema]]
    """Draws the form, validates and words the errors. Must hold `webhook_secret` (and, where the
    platform rotates, `previous_webhook_secret`). Fields with metadata `{"secret": True}` are
    stored encrypted and never shown."""
    normaliser_version: ClassVar[int] = 1
    """Raised when `normalise` changes its answer for the same bytes (A2)."""
    payload_built: ClassVar[Literal["event", "delivery"]] = "event"
    """When the platform serialises a message: fixed at the event, or when delivered (A2)."""
    sale_is: ClassVar[Literal["gross", "net"]] = "gross"
    """Whether a sale snapshot's lines are as sold, or already less the refunds (A4)."""
    lists_refunds: ClassVar[Literal["complete", "absent"]] = "complete"
    """Whether a sale snapshot lists all its refunds (A4)."""
    refunds_deletable: ClassVar[bool] = False
    """Whether the platform can delete a refund afterwards (A4)."""
    words: ClassVar[Mapping[str, str]] = {}
    """The connector's own codes (faults, `Ignored` reasons, notes) -> an English sentence for people.
    A key that ends in * stands for all codes that begin so. The table is a dict named WORDS at the
    top of a module: there it is found and translated."""

    form: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Setting -> its label and a hint where to find it, in the order of the form. A setting that is
    not named here stands below the others, folded, under its own name. A dict whose name ends in
    WORDS at the top of a module, so that it is translated."""
    guide: ClassVar[Sequence[str]] = ()
    """What a merchant does in the shop once the channel's address is known, a sentence a step; a
    tuple whose name ends in WORDS."""

    needs: ClassVar[Mapping[str, IdentityKind]] = {}
    """Command action -> the identity a member must have in this channel before it can be carried
    out (a code bound to an e-mail needs one). Commands that are not named need none."""

    code_features: ClassVar[frozenset[CodeFeature]] = frozenset()
    """What its codes can do besides an amount or a percentage off the bill. A code that asks for more is
    not made here, and says so: half of its terms would be another reward."""

    def __init__(self, channel: ChannelHandle) -> None:
        self.channel = channel

    # --- inbound: pure ---

    @abstractmethod
    def delivery_key(self, inbound: Inbound) -> str:
        """The key under which a repetition of this very message is the same delivery."""

    @abstractmethod
    def verify(self, inbound: Inbound) -> Verdict:
        """Check the signature on the raw bytes in constant time; raise `BadSignature`."""

    @abstractmethod
    def normalise(self, inbound: Inbound) -> Sequence[Happening]:
        """Translate. Pure: no I/O and no clock. Raises `BadPayload` naming the JSON path."""

    def topic(self, headers: Mapping[str, str], body: bytes) -> str:
        """The platform's topic of a raw message; the default says there is none."""
        return ""

    def describe(self, inbound: Inbound) -> str:
        """The human number of what the message is about, for lists; "" when it says none."""
        return ""

    @classmethod
    def message_schemas(cls) -> Mapping[str, bytes]:
        """JSON Schemas of messages that this connector defines itself, name -> document; served at
        /docs/<name>.schema.json."""
        return {}

    @classmethod
    def recorded_at(cls, headers: Mapping[str, str]) -> datetime | None:
        """When a recorded message says it was sent, for schemes that sign the time; else None."""
        return None

    @classmethod
    def suggested(cls) -> Mapping[str, str]:
        """Settings that the merchant does not have but make up: fresh secrets to enter on both
        sides."""
        return {}

    def reply(self, inbound: Inbound, verdict: Verdict) -> Reply | None:
        """A special HTTP answer to an accepted message (handshake echo); None: plain 200."""
        return None

    # --- outbound: I/O, no database transaction is open ---

    def shop_identity(self) -> str | None:
        """What makes two channels the same shop (a domain, a merchant id); from settings only."""
        return None

    def fetch(self, lookup: Lookup) -> list[Inbound]:
        """Ask the channel; the answers re-enter through the inbox (topic `fetch.<what>`)."""
        raise NotImplementedError

    def push(self, command: Command) -> Receipt:
        """Carry out one command. Idempotent by its natural key. Raises a `Fault`."""
        raise NotImplementedError

    def read_code(self, code: RevokeCode) -> CodeThere | None:
        """The code with that key as the channel has it now; None: it has none that is ours. Reads only."""
        raise NotImplementedError

    def reconcile(self, since: datetime) -> Iterator[Inbound]:
        """Everything the channel changed since then, as inbound messages."""
        raise NotImplementedError

    def install(self) -> None:
        """Subscribe to what the hub needs; safe to repeat."""
        raise NotImplementedError

    def health(self) -> Health:
        """Ask the channel whether the connection is well."""
        raise NotImplementedError

    @classmethod
    def capabilities(cls) -> frozenset[str]:
        """Names of the optional methods this connector really has."""
        optional = ("fetch", "push", "read_code", "reconcile", "install", "health")
        return frozenset(n for n in optional if getattr(cls, n) is not getattr(Connector, n))
