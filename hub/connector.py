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
from datetime import datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any, ClassVar, Literal, Protocol

from marshmallow import Schema

from hub.canonical import Happening, IdentityKind
from hub.http import Http

JSONObject = dict[str, Any]

HISTORY_PAGE = 100
"""Messages of a page of history, where the connector does not say otherwise."""


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
    changed_at: datetime | None = None
    """Of a message that `reconcile` yields: when the channel says that this last changed. Not stored."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A part of what a channel sold before it was connected."""

    messages: Sequence[Inbound]
    bookmark: str
    """Where the next page begins, in the connector's own words; handed back by who goes on later."""
    expected: int | None = None
    """How many messages all pages have together, where the channel says so."""
    note: str = ""
    """A code of `Connector.words` for what people should know of it: what the channel does not give."""


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

    def budget(self, name: str) -> Budget:
        """The channel's allowance of that name."""

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


@dataclass(frozen=True, slots=True)
class Installed:
    """What `install` found and did, in the platform's names of what is subscribed to."""

    made: tuple[str, ...] = ()
    """Subscribed now."""
    mended: tuple[str, ...] = ()
    """There already, but the platform had switched them off: on again."""
    kept: tuple[str, ...] = ()
    """There already, and well."""


class Budget(Protocol):
    """An allowance of a channel's platform, shared by all processes of the hub (`ChannelHandle.budget`)."""

    def take(self, cost: float, *, urgent: bool = False) -> timedelta:
        """Take so much out of it. Returns zero, or how long to wait before it holds as much; what is not
        urgent leaves a part of it to what is. An allowance that nothing is known of gives all."""

    def give_back(self, cost: float) -> None:
        """What was taken was not used, or nothing is known of it: the call failed."""

    def tell(self, available: float, *, rate: float, most: float, taken: float = 0.0) -> None:
        """What the platform says is left, what it gains a second, and the most it holds; `taken` is what was
        taken for the call that it says so in."""


# --- how a shop is connected -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One way to connect a shop of a kind."""

    name: str
    """Stable snake_case name; its words stand in `Connector.way_words`."""
    asks: tuple[str, ...]
    """The settings that a person enters for it, in the order of the form."""
    answered_by: Literal["nobody", "browser", "server"] = "nobody"
    """Who brings what the shop grants: nobody (all is entered), the person's browser on its way back
    from the shop, or the shop's own server before it sends the browser back."""
    needs_tls: bool = False
    """The platform calls https addresses only, so the hub's public address must be one."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """A shop is being asked to let the hub in."""

    way: str
    state: str
    """Unguessable and of use once; the shop hands it back unchanged."""
    settings: Mapping[str, Any]
    """What was entered for the way, loaded by `settings_schema` field by field."""
    return_url: str
    """Where the shop sends the person's browser back to."""
    callback_url: str
    """Where the shop's server may call."""
    app_name: str


@dataclass(frozen=True, slots=True)
class Brought:
    """What came back from the shop, by the browser (a query) or from its server (a body)."""

    query: tuple[tuple[str, str], ...]
    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """What a shop granted."""

    settings: Mapping[str, Any]
    """Settings beside those that were entered."""
    state: JSONObject
    """The channel's first memory (tokens); kept encrypted, like all of it."""


@dataclass(frozen=True, slots=True)
class PrivacyRequest:
    """A person, or a shop that left, asks through the platform what is kept, or to be forgotten."""

    what: Literal["report", "forget", "forget_shop"]
    external_id: str = ""
    """The person's customer id in the channel."""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()


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
    products_at_once: ClassVar[int] = 1
    """How many products one look-up may ask for; more than one: `Lookup.external_id` may be several ids with commas
    between them, and the answer says something of each."""
    refunds_deletable: ClassVar[bool] = False
    """Whether the platform can delete a refund afterwards (A4)."""
    words: ClassVar[Mapping[str, str]] = {}
    """The connector's own codes (faults, `Ignored` reasons, notes) -> an English sentence for people.
    A key that ends in * stands for all codes that begin so. The table is a dict named WORDS at the
    top of a module: there it is found and translated."""

    form: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Setting -> its label and a hint where to find it, in the order of the form. A setting with metadata
    `{"rare": True}`, or that is not named here, stands below the others, folded. A dict whose name ends in
    WORDS at the top of a module, so that it is translated."""
    guide: ClassVar[Sequence[str]] = ()
    """What a merchant does in the shop once the channel's address is known, a sentence a step; a
    tuple whose name ends in WORDS."""

    ways: ClassVar[Sequence[Way]] = ()
    """The ways to connect a shop, the one to recommend first; empty: all settings are entered."""
    way_words: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Way -> its name and a sentence on when to take it. A dict whose name ends in WORDS."""
    app_secrets: ClassVar[tuple[str, ...]] = ()
    """Settings that prove messages of the app itself (`app_shop`). They are kept when a channel is
    disconnected, because such messages come later still: privacy requests."""

    privacy_topics: ClassVar[frozenset[str]] = frozenset()
    """Topics whose messages are requests (`privacy`), besides whatever else they say."""

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

    def privacy(self, inbound: Inbound) -> PrivacyRequest:
        """What a message of one of the `privacy_topics` asks for. Pure, like `normalise`; raises
        `BadPayload`."""
        raise NotImplementedError

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

    # --- connecting: called before there is a channel ---

    @classmethod
    def leave_at(cls, handshake: Handshake) -> str:
        """The address in the shop at which a person lets the hub in. Pure. Raises `Misconfigured`."""
        raise NotImplementedError

    @classmethod
    def state_in(cls, brought: Brought) -> str:
        """The `Handshake.state` that came back; "" when there is none."""
        return ""

    @classmethod
    def says_no(cls, brought: Brought) -> bool:
        """Whether the person refused in the shop."""
        return False

    @classmethod
    def take(cls, handshake: Handshake, brought: Brought, http: Http) -> Granted:
        """Check what was brought, exchange or prove it by asking the shop that the handshake began
        with. I/O; no database transaction is open. Raises a `Fault`: then nothing is stored."""
        raise NotImplementedError

    @classmethod
    def app_shop(cls, headers: Mapping[str, str], body: bytes) -> str:
        """The `shop_identity` that a message to the app's own address is about
        (`POST /webhooks/app/<kind>`), for platforms with one address for all shops of an app. It is
        checked by `verify` of that shop's channel, like every other message."""
        raise NotImplementedError

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
        """Everything the channel changed at `since` or later, as inbound messages (topic `poll.<what>`,
        `changed_at` set), the oldest change first and a page at a time. The core stores as it goes, and may
        end anywhere: it begins anew from the last change that is stored. What has not changed must come
        with the same delivery key again."""
        raise NotImplementedError

    def history(self, since: datetime, bookmark: str = "") -> Iterator[HistoryPage]:
        """Customers, then sales placed or changed at `since` or later, whole (none that has to be looked up: it is
        tried before anything is posted), a page at a time. `bookmark`: of the last page that was stored; the
        core may end anywhere, and a page may come twice. The default asks as `reconcile` does, which is enough
        where that brings whole messages. A page may be empty, to keep a bookmark while the channel prepares."""
        begins = datetime.fromisoformat(bookmark) if bookmark else since
        told = self.reconcile(begins)
        while page := list(islice(told, HISTORY_PAGE)):
            begins = max([begins, *(m.changed_at for m in page if m.changed_at)])
            yield HistoryPage(page, begins.isoformat())

    def reread(self, external_ids: Sequence[str]) -> Iterator[Inbound]:
        """These sales as the channel has them now (at most 100 at once; topic `poll.sale`): for what leaves
        no trace among its changes. One that is gone does not come, and the core then fetches it alone; or it comes as
        the message of its deletion, where the channel is sure."""
        raise NotImplementedError

    def install(self) -> Installed:
        """Subscribe to what the hub needs; safe to repeat, and nothing is ever subscribed twice."""
        raise NotImplementedError

    def renew_secret(self) -> int:
        """Have the shop's subscriptions for the hub sign with the present `webhook_secret`; safe to
        repeat. Returns how many there are."""
        raise NotImplementedError

    def health(self) -> Health:
        """Ask the channel whether the connection is well."""
        raise NotImplementedError

    def drift(self, inbound: Inbound) -> Health | None:
        """What a message that came says about the connection, where somebody should know it (another
        version than the one that is asked for). No I/O."""
        raise NotImplementedError

    @classmethod
    def capabilities(cls) -> frozenset[str]:
        """Names of the optional methods this connector really has."""
        return frozenset(n for n in OPTIONAL if _is_own(cls, n))


OPTIONAL = (
    "fetch",
    "push",
    "read_code",
    "reconcile",
    "history",
    "reread",
    "install",
    "renew_secret",
    "health",
    "drift",
    "app_shop",
)
"""The methods that a connector may leave out."""


def _is_own(kind: type[Connector], name: str) -> bool:
    """Whether a connector overrides a method (of an instance, or of the class) of the contract."""
    ours, theirs = getattr(Connector, name), getattr(kind, name)
    return getattr(theirs, "__func__", theirs) is not getattr(ours, "__func__", ours)
