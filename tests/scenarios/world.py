"""One scenario's world: a program of its own, tills that send real messages, a clock that is moved.

Orders and refunds are rung up at the project's till (it does the arithmetic of a bill), and go as its
signed messages through the connector, the inbox and the worker's own batch. Grants, debits and
redemptions are the product's commands. Nothing here counts points or money.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.generic_pos.push import message_of
from connectors.generic_pos.sandbox import TillSandbox
from hub.actions.occasions import due
from hub.actions.record import Deed, record_action
from hub.actions.referrals import refer
from hub.bulk import run
from hub.canonical import CustomerRef, Sale
from hub.connect import add_channel
from hub.connector import CreateCode, Inbound
from hub.desk import discounts, notices
from hub.desk.discounts import Quoted
from hub.desk.place import Desk
from hub.desk.points import bring_to
from hub.desk.quotes import Quoted as QuotedPoints
from hub.desk.quotes import of_payment
from hub.desk.rewards import offers, take_back
from hub.desk.simulate import Cart
from hub.ledger import commands
from hub.ledger.commands import Command, NotEnoughPoints
from hub.ledger.verify import verify
from hub.members import expiring, view
from hub.members.resolve import Mention, resolve
from hub.members.switch import switch_off
from hub.money import from_minor, to_minor_exact
from hub.outbox.channels import Channel, connector_of
from hub.program import store
from hub.program.expiry import expires_at
from hub.program.paying import quote
from hub.redemption.limits import NotOffered
from hub.redemption.redeem import (
    POINTS,
    NoSuchReward,
    NotPayable,
    Order,
    Payment,
    Redeemed,
    redeem_several,
)
from hub.runtime import Runtime
from hub.sync import process
from hub.sync.bringing_codes import ACTOR as ORDERS
from hub.sync.bringing_codes import bring_in_line
from hub.sync.process import Batch
from hub.sync.push import code_order
from hub.sync.receive import Message, insert
from tests.scenarios.carts import Carts
from tests.scenarios.reading import Unsupported
from tests.scenarios.standings import JOINING, Standings
from tests.scenarios.translate import action_id, document, labels, reward_id

Event = Mapping[str, Any]

OWN_REWARD = "points: "
"""How the rewards begin that stand for points taken where the scenario names no reward."""

REFUSALS = {
    "sold_out": "limit_exceeded",
    "limit_reached": "limit_exceeded",
    "limit_of_today_reached": "limit_exceeded",
    "not_valid_yet": "not_valid_yet",
    "no_longer_valid": "coupon_invalid",
}
"""The product's word -> the scenarios'."""

STEP = timedelta(seconds=1)
"""Between two events of which the scenario does not say when they happen."""


class QuietTill(TillSandbox):
    """A till whose messages are kept to be handed over, rather than sent."""

    def emit(self, topic: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        del url
        self.kept = getattr(self, "kept", [])
        self.kept.append((topic, dict(headers), body))

    def take_code(self, message: dict[str, Any]) -> None:
        """A callback of the hub, handed over."""
        self._take_code(message)


class World(Standings, Carts):
    """A program made of a scenario's rules, and what happens in it."""

    def __init__(self, runtime: Runtime, scenario: Mapping[str, Any], slug: str) -> None:
        self.runtime = runtime
        self.currency: str = scenario["currency"]
        self.sides: list[str] = []
        """Who brought whom."""
        self.by_payer = "lots_by" in scenario["program"]["rules"]
        self.earns = bool(scenario["program"]["rules"].get("earn"))
        self.zone = scenario["program"]["rules"].get("time_zone") or _zone_told(scenario)
        self.now = min([datetime(2026, 1, 1, tzinfo=UTC), *_moments(scenario, self.zone)])
        self.scenario = scenario
        made = self._document(scenario)
        with runtime.sessions.begin() as session:
            self.program = store.create(
                session,
                slug=slug,
                name=scenario["id"],
                currency=self.currency,
                time_zone=self.zone,
                region="VN",
                starts_at=datetime(1990, 1, 1, tzinfo=UTC),
                document=made,
                actor="scenario",
            )
            self.rules = store.versions(session, self.program)[-1]
        self.has_wallet = bool(scenario["program"]["rules"].get("stored_value"))
        """What the scenario calls points is then money on the customer's account."""
        self.allocate = scenario["program"]["rules"].get("allocate", {})
        since = scenario["program"]["rules"].get("tier_progress", {}).get("since")
        self._recalculated = (moment(since, self.zone),) if since else ()
        self.tills: dict[str, tuple[QuietTill, Channel]] = {}
        self.orders: dict[str, tuple[str, str, str]] = {}
        """Order -> (till, external id, customer)."""
        self.codes: dict[str, dict[str, str]] = {}
        """Order -> redemption -> the code that points bought for it."""
        self._told = notices.BEGINNING
        """How far the list of whom to tell was read."""
        self.said: dict[str, Any] = {}
        """What the last event was answered with, besides points."""
        self.told: dict[int, list[Message]] = {}
        """Event number -> its messages, for the ones that come twice."""

    @staticmethod
    def _document(scenario: Mapping[str, Any]) -> dict[str, Any]:
        """The programme, with a reward for every number of points that is spent."""
        made = document(scenario)
        made["rewards"] += [
            {"id": f"points-{cost}", "name": f"{OWN_REWARD}{cost}", "cost": cost, "percent": "1"}
            for cost in sorted(_points_spent(scenario["events"]))
        ]
        return made

    def _on_program_change(self, event: Event) -> None:
        """Another version of the programme, in force from here on; sections that are not named stay."""
        _only(event, {"type", "seq", "at", "customer", "rules"})
        program = self.scenario["program"]
        changed = {**program, "rules": {**program["rules"], **event["rules"]}}
        self.scenario = {**self.scenario, "program": changed}
        with self.runtime.sessions.begin() as session:
            store.add_version(
                session, self.program, self._document(self.scenario),
                effective_from=self.now, now=self.now, actor="scenario",
            )  # fmt: skip
            self.rules = store.versions(session, self.program)[-1]

    # --- what can be asked ---

    def balance(self, customer: str) -> int | Decimal:
        """Points of a customer, 0 where nobody knows them; store credit where that is meant."""
        if self.has_wallet:
            return self.wallet(customer, 0)["balance_credit"]
        rows = self._rows(
            """SELECT a.balance FROM identities i JOIN accounts a ON a.member_id = i.member_id
               WHERE i.program_id = :program AND i.value = :card""",
            card=customer.upper(),
        )
        return int(rows[0].balance) if rows else 0

    def wallet(self, customer: str, mark: int) -> dict[str, Decimal]:
        """Store credit of a customer, and what its entries since that place are made of, as the book says."""
        row = self._rows(
            """SELECT coalesce(sum(e.amount), 0) AS balance_credit,
                      coalesce(sum(e.amount) FILTER (WHERE e.id > :mark), 0) AS change,
                      coalesce(sum(e.amount) FILTER (WHERE e.id > :mark AND e.counter = 'issued'), 0) AS credit,
                      coalesce(sum(-e.amount) FILTER (WHERE e.id > :mark AND e.counter = 'redeemed'), 0)
                          AS spent_credit
               FROM identities i JOIN accounts a ON a.holder_id = i.member_id
               JOIN entries e ON e.account_id = a.id
               WHERE i.program_id = :program AND i.value = :card""",
            card=customer.upper(),
            mark=mark,
        )[0]
        return {name: from_minor(int(value), self.currency) for name, value in row._mapping.items()}

    def lots(self) -> dict[str, int]:
        """What is left of each lot that has a name, or of each payer's."""
        rows = self._rows(
            """SELECT CASE WHEN l.key LIKE 'payer:%' THEN split_part(l.key, ':', 2) ELSE l.key END AS name,
                      sum(l.remaining)::bigint AS remaining
               FROM lots l JOIN accounts a ON a.id = l.account_id WHERE a.program_id = :program GROUP BY 1""",
        )
        return {row.name: row.remaining for row in rows}

    def spent_by(self, mark: int) -> dict[str, int]:
        """By whose points what was spent since that place was paid, below zero."""
        rows = self._rows(
            """SELECT split_part(u.lot, ':', 2) AS payer, -sum(u.amount)::bigint AS points
               FROM (SELECT DISTINCT account_id, subject FROM entries
                     WHERE program_id = :program AND id > :mark AND amount < 0) e
               JOIN lot_uses u ON u.account_id = e.account_id AND u.spend = e.subject
               WHERE u.lot LIKE 'payer:%' GROUP BY 1""",
            mark=mark,
        )
        return {row.payer: row.points for row in rows}

    def mark(self) -> int:
        """A place in the book: the entries so far."""
        statement = "SELECT coalesce(max(id), 0) AS mark FROM entries WHERE program_id = :program"
        return int(self._rows(statement)[0].mark)

    def change(self, customer: str, mark: int) -> int | Decimal:
        """What a customer's entries since that place come to, as the book says."""
        if self.has_wallet:
            return self.wallet(customer, mark)["change"]
        rows = self._rows(
            """SELECT coalesce(sum(e.amount), 0) AS points FROM identities i
               JOIN accounts a ON a.member_id = i.member_id JOIN entries e ON e.account_id = a.id
               WHERE i.program_id = :program AND i.value = :card AND e.id > :mark""",
            card=customer.upper(),
            mark=mark,
        )
        return int(rows[0].points)

    def parts(self, customer: str, mark: int) -> dict[str, int]:
        """What a customer's entries since that place are made of, each counted up as the book says."""
        row = self._rows(
            """SELECT coalesce(sum(e.amount) FILTER (WHERE e.counter = 'issued'), 0) AS earned,
                      coalesce(sum(-e.amount) FILTER (WHERE e.counter = 'issued'), 0) AS earned_reversed,
                      coalesce(sum(-e.amount) FILTER (WHERE e.counter IN ('held', 'redeemed')), 0) AS spent,
                      coalesce(sum(e.amount) FILTER (WHERE e.counter IN ('held', 'redeemed')), 0)
                          AS spent_returned
               FROM identities i JOIN accounts a ON a.member_id = i.member_id
               JOIN entries e ON e.account_id = a.id
               WHERE i.program_id = :program AND i.value = :card AND e.id > :mark""",
            card=customer.upper(),
            mark=mark,
        )[0]
        return {name: int(value) for name, value in row._mapping.items()}

    def rewards(self, customer: str) -> list[str]:
        """The rewards a customer's points are enough for."""
        with self.runtime.sessions.begin() as session:
            member = self._member(session, customer)
            available = view.balance(session, member, self.now)["available"]
            desk = Desk(self.runtime, session, self.program, "scenario")
            open_now = [offer for offer in offers(desk, available, member) if not offer.missing]
        named = [offer.reward.name for offer in open_now]
        return [name for name in named if not name.startswith(OWN_REWARD)]

    def entries(self, mark: int) -> int:
        """How many entries the book has since that place."""
        statement = "SELECT count(*) AS n FROM entries WHERE program_id = :program AND id > :mark"
        return int(self._rows(statement, mark=mark)[0].n)

    def is_sound(self) -> bool:
        """Whether the book verifies and no message failed."""
        failed = self._rows(
            "SELECT 1 FROM deliveries WHERE program_id = :program AND state IN ('failed', 'parked')"
        )
        with self.runtime.sessions() as session:
            return not failed and verify(session, self.runtime.chain_key).clean

    def _rows(self, statement: str, **parameters: Any) -> Any:
        with self.runtime.sessions() as session:
            return run(session, statement, {"program": self.program.id, **parameters})

    # --- what can happen ---

    def play(self, event: Event) -> str | None:
        """Carry out one event; returns the code of a refusal. Raises `Unsupported`."""
        self.said = {}
        play: Callable[[Event], str | None] | None = getattr(self, f"_on_{event['type']}", None)
        if play is None:
            raise Unsupported(f"event {event['type']}: the product has nothing like it yet")
        at = event.get("at")
        self.now = max(moment(at, self.zone), self.now) if at else self.now + STEP
        if "duplicate_of" in event and event["duplicate_of"] in self.told:
            self._hand_over(self.told[event["duplicate_of"]])
            return None
        mark = self.mark()
        refused = play(event)
        self._say_credit(mark)
        if any(reward.every_order for reward in self.rules.rewards.values()):
            self._bring_codes()
        if self.rules.notices:
            self._say_whom_to_tell()
        if self.by_payer:
            self.said["spent_by"] = self.spent_by(mark)
        return refused

    def _say_credit(self, mark: int) -> None:
        """What a referral gave its sides in store credit."""
        if self.sides:
            self.said["referrer_credit"] = self.wallet(self.sides[0], mark)["change"]
            self.said["vouchers"] = {name: self.wallet(name, 0)["balance_credit"] for name in self.sides}

    def _on_note(self, _event: Event) -> None:
        return None

    def _on_order_paid(self, event: Event) -> str | None:
        _only(event, {"type", "seq", "at", "order", "customer", "total", "lines", "discount", "channel", "phone",
                      "items_total", "items_tax", "tax_total", "shipping", "pos", "currency",
                      "paid_by_points", "duplicate_of", "earns", "codes", "reward_claimed", "redeem_points",
                      "paid_cash", "customer_segments", "shop_currency", "shop_total",
                      "paid_by_stored_value"})  # fmt: skip
        if event.get("earns") is False and self.earns:
            raise Unsupported("order_paid.earns: which orders earn is the programme's to say")
        if "customer_segments" in event:
            self.tag(event["customer"], event["customer_segments"])
        refused = self._claim(event)
        if refused is not None:
            return refused
        name = event.get("channel", "till")
        till, _ = self._till(name)
        wish: dict[str, Any] = {
            "lines": _bill(event),
            "currency": event.get("shop_currency", event.get("currency", self.currency)),
            "customer": _customer(event),
            "shipping": event.get("shipping"),
            "discount": _whole_discount(event),
            "fields": {
                "id": event["order"],
                "number": event["order"],
                "codes": [*event.get("codes", []), *self.codes.get(event["order"], {}).values()],
            },
        }
        if "redeem_points" in event:
            wish["codes"] = self._taught(till, self._till(name)[1], event["order"])
        if "paid_by_points" in event:
            wish["fields"]["payments"] = [{"kind": "points", "amount": str(event["paid_by_points"])}]
        if "paid_by_stored_value" in event:
            kind = "store_credit" if self.has_wallet else "gift_card"
            wish["fields"]["payments"] = [{"kind": kind, "amount": event["paid_by_stored_value"]}]
            if any(line["sku"].startswith("EWALLET") for line in event.get("lines", [])):
                raise Unsupported("order_paid.lines: store credit is collected, not sold")
        if "pos" in event:
            wish["fields"]["place"] = {"location": event["pos"]}
        self._say_what_a_code_takes_off(event)
        if self.rules.discounts:
            found = self._by_itself(wish, name, event.get("customer", "C1"))
            self.said["discount"] = from_minor(found.off, self.currency)
        sold = till.place_sale(wish)
        self.orders[event["order"]] = (name, sold["external_id"], event.get("customer") or "")
        self._send(event, name)
        return None

    def _by_itself(self, wish: Mapping[str, Any], name: str, customer: str) -> Quoted:
        """What the product takes off a bill by itself, asked before it is made out."""
        _, channel = self._till(name)
        asking = QuietTill(self.currency, now=lambda: self.now)
        asking.place_sale({**wish, "discount": None, "codes": [], "fields": {"id": "cart"}})
        ((topic, headers, body),) = asking.kept
        connector = connector_of(self.runtime, channel)
        (sale,) = connector.normalise(Inbound(topic, headers, body, self.now))
        assert isinstance(sale, Sale)
        with self.runtime.sessions.begin() as session:
            member = view.by_id(session, self._member(session, customer)).public_id
            cart = Cart(sale.currency, sale.lines, self.now, channel="generic_pos", member=member)
            return discounts.quoted(self._desk(session), cart)

    def _cart_line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        return _line(line)

    def _claim(self, event: Event) -> str | None:
        """Spend points on the bill that is rung up now, unless they were spent for it before."""
        order, customer = event["order"], event.get("customer", "C1")
        claimed = event.get("reward_claimed", [])
        claims = [claimed] if isinstance(claimed, dict) else list(claimed)
        points = [event[name] for name in ("redeem_points", "paid_by_points") if name in event]
        points += [claim["points"] for claim in claims if "points" in claim]
        if order not in self.codes:
            for number in points:
                refused = self._spend(customer, number, f"order-{order}", order)
                if refused is not None:
                    return refused
        claims += [
            {"id": code} for code in event.get("codes", []) if reward_id(code) in self.rules.rewards
        ]
        for reward in (claim["id"] for claim in claims if "points" not in claim):
            refused = self._redeem(customer, reward_id(reward), f"{order}-{reward}", order=order)
            if refused is not None:
                return refused
        return None

    def _on_refund(self, event: Event) -> None:
        _only(
            event,
            {
                "type",
                "seq",
                "at",
                "order",
                "customer",
                "full",
                "amount",
                "refund_id",
                "duplicate_of",
                "lines",
            },
        )
        if event["order"] not in self.orders:
            self._refund_of_nothing(event)
            return
        name, external_id, owner = self.orders[event["order"]]
        if event["customer"] != owner:
            raise Unsupported("refund.customer: a refund is its order's, whoever brings it")
        till, _ = self._till(name)
        wish: dict[str, Any] = {} if event.get("full") else {"amount": event["amount"]}
        if event.get("lines") and not event.get("full"):
            wish["lines"] = [_came_back(line) for line in event["lines"]]
        till.verb_refund(external_id, wish)
        self._send(event, name)

    def _refund_of_nothing(self, event: Event) -> None:
        """A refund of an order that nobody sold here: made from one that another till had."""
        till, channel = self._till("till")
        elsewhere = QuietTill(self.currency, now=lambda: self.now)
        line = {"sku": "A", "price": "1", "quantity": 1}
        elsewhere.place_sale({"lines": [line], "fields": {"id": event["order"]}})
        elsewhere.kept = []
        elsewhere.verb_refund(event["order"], {})
        till.kept = elsewhere.kept
        self._send(event, "till")
        del channel

    def _on_cancel(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "order", "customer"})
        if event["order"] not in self.orders:
            self._take_back(event["order"])
            return
        name, external_id, _ = self.orders[event["order"]]
        self._till(name)[0].verb_cancel(external_id, {})
        self._send(event, name)

    def _taught(self, till: QuietTill, channel: Channel, order: str) -> list[str]:
        """The codes bought for an order, told to the till as the hub tells them: it takes them off."""
        connector = connector_of(self.runtime, channel)
        codes = self.codes.get(order, {})
        sql = """SELECT v.public_id FROM vouchers v JOIN redemptions r ON r.id = v.redemption_id
                 WHERE v.program_id = :program AND r.public_id = ANY(:ids)"""
        for row in self._rows(sql, ids=list(codes)):
            with self.runtime.sessions() as session:
                told = code_order(session, channel, connector, row.public_id)
            assert isinstance(told, CreateCode)
            till.take_code(message_of(told))
        return list(codes.values())

    def _take_back(self, order: str) -> None:
        """An order that never came: the codes bought for it are taken back, as staff do."""
        with self.runtime.sessions.begin() as session:
            desk = Desk(self.runtime, session, self.program, "scenario")
            for redemption in self.codes.pop(order, {}):
                take_back(desk, redemption, now=self.now)

    def _on_grant(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "points", "key", "expires_at"})
        if not isinstance(event["points"], int):
            raise Unsupported("grant.points: points are whole, by design")
        gone = moment(event["expires_at"], self.zone) if "expires_at" in event else None
        if gone is None:
            gone = expires_at(self.rules.expiry, self.now, self.zone)
        self._adjust(event, event["points"], expires_at=gone)

    def _on_debit(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "points", "reason", "clamp", "key"})
        clamp = event.get("clamp", False)
        self._adjust(event, -event["points"], may_owe=not clamp, clamp=clamp)

    def _adjust(self, event: Event, points: int, **more: Any) -> None:
        with self.runtime.sessions.begin() as session:
            key = event.get("key") or f"event-{event['seq']}"
            if self.by_payer:
                more["payer"], key = key, f"event-{event['seq']}"
            order = self._command(session, event["customer"], key)
            if self.has_wallet:
                order = replace(order, currency=self.currency)
                points = to_minor_exact(Decimal(points), self.currency)
            commands.adjust(session, order, points, **more)

    def _on_customer_event(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "name", "key", "friend", "duplicate_of"})
        if event["name"] == "referred":
            self._refer(event["customer"], event["friend"])
            return
        key = event.get("key") or f"event-{event.get('duplicate_of', event['seq'])}"
        with self.runtime.sessions.begin() as session:
            member = self._member(session, event["customer"])
            deed = Deed(
                self.program.id, member, action_id(event["name"]), key, self.now, "scenario",
                self.runtime.chain_key, now=self.now,
            )  # fmt: skip
            record_action(session, deed, self.rules)
        if event["name"] in JOINING:
            self.joins(event["customer"])

    def _bring_codes(self) -> None:
        """What the sweeper does after orders came; how many codes it gave."""
        bring_in_line(self.runtime, self.now)
        (row,) = self._rows(
            """SELECT count(*) FILTER (WHERE id > :mark) AS n, coalesce(max(id), 0) AS last FROM redemptions
               WHERE program_id = :program AND actor = :giver""",
            mark=self._codes,
            giver=ORDERS,
        )
        self._codes = int(row.last)
        self.said["coupons_issued"] = int(row.n)

    _codes = 0

    def _on_card_created(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer"})
        with self.runtime.sessions.begin() as session:
            self._member(session, event["customer"])
        self.joins(event["customer"])

    def _on_set_points(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "points"})
        with self.runtime.sessions.begin() as session:
            desk, member = self._desk(session), self._member(session, event["customer"])
            bring_to(desk, member, event["points"], reason="scenario", key=f"set-{event['seq']}")

    def _say_whom_to_tell(self) -> None:
        with self.runtime.sessions() as session:
            later = datetime.now(UTC) + notices.SETTLED
            page = notices.after(session, self.program.id, self.rules, self._told, later)
        self._told = page.place
        self.said["notified"] = [one.notice for one in page.notices]

    def _on_referral_link(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "referrer", "referee"})
        self._refer(event["referrer"], event["referee"])

    def _refer(self, referrer: str, friend: str) -> None:
        self.sides += [referrer, friend]
        with self.runtime.sessions.begin() as session:
            people = [self._member(session, name) for name in (referrer, friend)]
            refer(session, self.program.id, *people, at=self.now, actor="scenario")

    def _on_daily_run(self, event: Event) -> None:
        """The day begins; who was born when is known."""
        _only(event, {"type", "seq", "at", "customers"})
        with self.runtime.sessions.begin() as session:
            for name, facts in event.get("customers", {}).items():
                _only(facts, {"birth_date"})
                born = {
                    "born": date.fromisoformat(facts["birth_date"]),
                    "id": self._member(session, name),
                }
                run(session, "UPDATE members SET birthday = :born WHERE id = :id", born)
        with self.runtime.sessions.begin() as session:
            for occasion in due(session, self.program.id, [self.rules], self.now):
                deed = Deed(
                    self.program.id, occasion.member_id, occasion.action, occasion.key, occasion.at,
                    "scenario", self.runtime.chain_key, now=self.now,
                )  # fmt: skip
                record_action(session, deed, self.rules)

    def _on_forecast_expiring(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "until"})
        until = moment(event["until"], self.zone)
        with self.runtime.sessions.begin() as session:
            member = self._member(session, event["customer"])
            self.said = {"expiring": expiring.total(session, member, now=self.now, until=until)}

    def _on_account_disabled(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer"})
        with self.runtime.sessions.begin() as session:
            switch_off(session, self._member(session, event["customer"]), self.now)

    def _on_redeem(self, event: Event) -> str | None:
        _only(event, {"type", "seq", "at", "customer", "points", "strict", "order", "duplicate_of",
                      "reward", "accept_partial"})  # fmt: skip
        points, key = event["points"], _redeem_key(event)
        if "reward" in event:
            return self._redeem(
                event["customer"], reward_id(event["reward"]), key, order=event.get("order")
            )
        if event.get("accept_partial") and self.rules.paying is not None:
            points = self._quoted(event["customer"], Payment(points, self.currency)).points
        return self._spend(event["customer"], points, key, event.get("order"))

    def _spend(self, customer: str, points: int, key: str, order: str | None) -> str | None:
        """Points as money where the programme has a rate for them; else a reward of that price."""
        if self.rules.paying is None:
            return self._redeem(customer, f"points-{points}", key, order=order)
        return self._redeem(customer, POINTS, key, Payment(points, self.currency), order=order)

    def _on_quote_redeem(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "requested_points", "order_total",
                      "cart_currency", "rate"})  # fmt: skip
        total, currency = event.get("order_total"), event.get("cart_currency", self.currency)
        bill = None if total is None else to_minor_exact(Decimal(total), currency)
        payment = Payment(event["requested_points"], currency, bill)
        found = self._quoted(event.get("customer", "C1"), payment)
        self.said = {
            "applied_points": found.points,
            "discount": from_minor(found.off, currency),
            "discount_currency": currency,
        }

    def _on_check_min_redeem(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer", "points"})
        if self.rules.paying is None:
            raise Unsupported("check_min_redeem: points are not money in this programme")
        asked = event["points"]
        found = quote(self.rules.paying, asked=asked, balance=asked, currency=self.currency)
        self.said = {"allowed": found.points == asked}

    def _quoted(self, customer: str, payment: Payment) -> QuotedPoints:
        with self.runtime.sessions.begin() as session:
            desk = Desk(self.runtime, session, self.program, "scenario")
            try:
                return of_payment(desk, self._member(session, customer), payment)
            except NoSuchReward:
                raise Unsupported("quote: points are not money in this programme") from None

    def _on_redeem_reward(self, event: Event) -> str | None:
        _only(event, {"type", "seq", "at", "customer", "reward", "quantity"})
        return self._redeem(
            event["customer"], reward_id(event["reward"]), f"reward-{event['seq']}",
            quantity=event.get("quantity", 1),
        )  # fmt: skip

    def _on_reward_usage(self, event: Event) -> None:
        """Others had it so many times before."""
        _only(event, {"type", "seq", "at", "reward", "used"})
        reward = self.rules.rewards[reward_id(event["reward"])]
        for number in range(event["used"]):
            other = {"customer": f"OTHER{number}", "key": f"usage-{event['seq']}-{number}"}
            self._adjust(other, reward.cost)
            self._redeem(other["customer"], reward.id, f"{other['key']}-had")

    def _redeem(
        self,
        customer: str,
        reward: str,
        key: str,
        payment: Payment | None = None,
        *,
        order: str | None = None,
        quantity: int = 1,
    ) -> str | None:
        try:
            with self.runtime.sessions.begin() as session:
                member = self._member(session, customer)
                wish = Order(
                    self.program.id, member, reward, "scenario", self.runtime.chain_key, key,
                    now=self.now, payment=payment,
                )  # fmt: skip
                several = redeem_several(session, wish, self.rules, [], quantity)
                self._show(session, several[0])
                if order is not None:
                    self.codes.setdefault(order, {}).update({one.id: one.code for one in several})
        except NotEnoughPoints:
            return "insufficient_balance"
        except NotPayable as refused:
            return refused.quote.why
        except NotOffered as refused:
            return REFUSALS[refused.why]
        return None

    def _show(self, session: Any, done: Redeemed) -> None:
        sql = "SELECT reward_terms FROM redemptions WHERE program_id = :program AND public_id = :id"
        terms = run(session, sql, {"program": self.program.id, "id": done.id})[0].reward_terms
        if self.currency in terms["amounts"]:
            self.said = {"discount": from_minor(terms["amounts"][self.currency], self.currency)}

    def _on_expire_run(self, event: Event) -> None:
        self._on_clock(event)

    def _on_clock(self, event: Event) -> None:
        _only(event, {"type", "seq", "at", "customer"})
        members = [
            row.member_id
            for row in self._rows("SELECT member_id FROM accounts WHERE program_id = :program")
        ]
        with self.runtime.sessions.begin() as session:
            commands.settle(
                session, self.program.id, members, chain_key=self.runtime.chain_key, now=self.now
            )
        self.review()

    # --- members, tills, messages ---

    def _command(self, session: Any, customer: str, key: str) -> Command:
        member = self._member(session, customer)
        return Command(self.program.id, member, key, "scenario", self.runtime.chain_key, now=self.now)

    def _member(self, session: Any, customer: str) -> int:
        mention = Mention.of(CustomerRef(cards=(customer,)), channel_id=0, region="VN")
        found = resolve(session, self.program.id, [mention]).find(mention)
        assert found is not None
        return found

    def _till(self, name: str) -> tuple[QuietTill, Channel]:
        if name not in self.tills:
            till = QuietTill(self.currency, till=name, now=lambda: self.now)
            settings = {"webhook_secret": till.secret, "callback_url": "https://till.example/callback"}
            with self.runtime.sessions.begin() as session:
                channel = add_channel(
                    session, self.runtime, program_id=self.program.id, kind="generic_pos",
                    name=name, settings=settings, actor="scenario",
                )  # fmt: skip
            self.tills[name] = (till, channel)
        return self.tills[name]

    def _send(self, event: Event, name: str) -> None:
        till, channel = self._till(name)
        connector = connector_of(self.runtime, channel)
        messages = []
        for topic, headers, body in till.kept:
            key = connector.delivery_key(Inbound(topic, headers, body, self.now))
            digest = hashlib.sha256(body).digest()
            messages.append(Message(channel, topic, key, json.dumps(headers), body, digest, self.now))
        till.kept = []
        self.told[event["seq"]] = messages
        self._hand_over(messages)

    def _hand_over(self, messages: list[Message]) -> None:
        """Through the inbox and the worker's batch, at the world's time."""
        with self.runtime.sessions.begin() as session:
            insert(session, messages)
        while batch := process.claim(self.runtime):
            with self.runtime.sessions() as session:
                read = Batch.read(self.runtime, session, self.program.id, batch)
            work = replace(read, ground=replace(read.ground, now=self.now))
            with self.runtime.sessions.begin() as session:
                directory = work.meet(session)
            with self.runtime.sessions.begin() as session:
                work.post(session, directory, 0.0)


# --- words ---------------------------------------------------------------------------------------


def moment(text: str, zone: str) -> datetime:
    """A time of a scenario; without a zone it is in the program's."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))


ZONES = {
    "Z": "UTC",
    "+00:00": "UTC",
    "+07:00": "Asia/Ho_Chi_Minh",
    "+08:00": "Asia/Singapore",
    "+09:00": "Asia/Tokyo",
}


def _zone_told(scenario: Mapping[str, Any]) -> str:
    """Where no zone is named but all times are told in one, the programme lives in that."""
    told = {e["at"] for e in scenario["events"] if e.get("at")}
    zones = {next((z for end, z in ZONES.items() if at.endswith(end)), None) for at in told}
    (zone, *others) = zones or {None}
    return zone if zone is not None and not others else "UTC"


def _moments(scenario: Mapping[str, Any], zone: str) -> list[datetime]:
    return [moment(e["at"], zone) for e in scenario["events"] if e.get("at")]


def _customer(event: Event) -> dict[str, Any]:
    if event.get("customer") is None:
        return {}
    known = {"card": event["customer"]}
    return known | ({"phone": event["phone"]} if "phone" in event else {})


def _bill(event: Event) -> list[dict[str, Any]]:
    """The lines of a bill; one that only has a total is one line."""
    if "shop_total" in event and event.get("lines"):
        raise Unsupported("order_paid.shop_total: of a bill whose lines are in another currency")
    if event.get("lines"):
        return [_line(line) for line in event["lines"]]
    price = event.get("items_total", event.get("shop_total", event["total"]))
    line = {"sku": "A", "quantity": 1, "price": price}
    if "items_tax" in event:
        line["tax_inside"] = event["items_tax"]
    elif "items_total" in event and "tax_total" in event:
        line["tax"] = event["tax_total"]
    return [line]


def _whole_discount(event: Event) -> str | None:
    """A discount of the whole bill; one that its lines tell is theirs, and a total is after it."""
    if any("line_discount" in line for line in event.get("lines", [])):
        return None
    return event.get("discount") if event.get("lines") or "items_total" in event else None


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    _only(line, {"sku", "qty", "unit_price", "labels", "category", "is_delivery", "promotional", "tags",
                 "reward", "line_discount"})  # fmt: skip
    tags = [*labels(line.get("labels", {})), *line.get("tags", [])]
    tags += ["delivery"] if line.get("is_delivery") else []
    tags += ["promotional"] if line.get("promotional") else []
    return {
        "sku": line["sku"],
        "quantity": line["qty"],
        "price": line["unit_price"],
        "discount": line.get("line_discount", "0"),
        "category": line.get("category"),
        "tags": tags,
    }


def _came_back(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of a return: pieces are counted below zero there."""
    _only(line, {"sku", "qty", "unit_price"})
    if not str(line["qty"]).startswith("-"):
        raise Unsupported("refund.lines: a part of a piece came back")
    return {"sku": line["sku"], "quantity": int(str(line["qty"]).removeprefix("-"))}


def _points_spent(events: list[Event]) -> set[int]:
    """Every number of points that is spent without a reward's name."""
    found = {e["points"] for e in events if e["type"] == "redeem" and "reward" not in e}
    found |= {e[name] for e in events for name in ("redeem_points", "paid_by_points") if name in e}
    for event in events:
        claimed = event.get("reward_claimed", [])
        claims = [claimed] if isinstance(claimed, dict) else claimed
        found |= {claim["points"] for claim in claims if "points" in claim}
    return found


def _redeem_key(event: Event) -> str:
    """Points on one order are spent once, however often the message comes."""
    return f"order-{event['order']}" if "order" in event else f"redeem-{event['seq']}"


def _only(words: Mapping[str, Any], known: set[str]) -> None:
    strange = sorted(set(words).difference(known))
    if strange:
        raise Unsupported(
            f"{words.get('type', 'line')}.{strange[0]}: the product has nothing like it yet"
        )
