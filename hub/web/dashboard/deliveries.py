"""Deliveries: the list with its filters and groups, and one delivery's whole story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import Response, abort, render_template, request, url_for
from sqlalchemy import Row
from sqlalchemy.orm import Session

from hub import i18n, words
from hub.connector import Inbound
from hub.i18n import gettext as _
from hub.i18n import ngettext
from hub.outbox import bodies, browse, channels, detail, masking
from hub.outbox.browse import BadCursor, Choices, Count, Cursor, Group, Line, Page, Wish
from hub.runtime import Runtime
from hub.secrets import SecretsError
from hub.sync import explain, rehearse, scraps, told
from hub.web.dashboard import badges
from hub.web.dashboard.cards import words_of
from hub.web.dashboard.visit import page, runtime, visit

STATE_WORDS: Mapping[str, str] = {
    "person": "Needs a person",
    "retrying": "Being retried",
    "waiting": "Waiting",
    "queue": "In the queue",
    "done": "Done",
    "settled": "Settled",
}
DIRECTION_WORDS: Mapping[str, str] = {"inbound": "From the shop", "outbound": "To the shop"}
FAULT_WORDS: Mapping[str, str] = {
    "merchant": "A setting of the channel",
    "channel": "The channel",
    "payload": "The message",
    "hub": "The hub",
}
"""Whose move it is."""
SOURCE_WORDS: Mapping[str, str] = {
    "webhook": "sent by the shop",
    "fetch": "answer to a question of ours",
    "poll": "found by asking the shop",
    "backfill": "from before the channel was connected",
    "quarantine": "released from quarantine",
    "hub": "ours",
}
TOPIC_WORDS: Mapping[str, str] = {
    "create_code": "Create a code",
    "revoke_code": "Take a code back",
    "set_balance": "Show a balance",
    "poll.sale": "An order, listed as changed",
    "poll.customer": "A customer, listed as new",
    "fetch.sale": "Ask for an order",
    "fetch.refunds": "Ask for refunds",
    "fetch.customer": "Ask for a customer",
    "fetch.code": "Ask for a code",
    "fetch.product": "Ask for a product",
}
"""What we send; a shop's own topics are shown as it names them."""

STATES: Mapping[str, tuple[str, ...]] = {
    "person": browse.NEEDS_A_PERSON,
    "retrying": (browse.RETRYING,),
    "waiting": ("waiting",),
    "queue": ("due", "working"),
    "done": ("done",),
    "settled": ("settled",),
}
FILTERS = (
    "state",
    "fault",
    "code",
    "channel",
    "topic",
    "direction",
    "since",
    "until",
    "number",
    "subject",
    "q",
)
MORE = ("fault", "code", "topic", "direction", "since", "until", "number", "subject")
"""Those that stand folded away."""
_LONGEST = 200
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_PRETTY = 256 * 1024
"""A body up to this size (bytes) is shown in order; of a longer one the beginning as it is."""


@page("/deliveries", "look")
def deliveries() -> str:
    """The list, the newest first; failures in groups above it while nothing is filtered."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        choices = browse.choices(session, here.program.id)
        wish = wished(session, _given(), choices)
        found = browse.page(session, here.program.id, wish, _cursor())
        count = browse.count(session, here.program.id, wish)
        plain = wish.is_empty and not request.args.get("at")
        groups = browse.groups(session, here.program.id) if plain else []
    return render_template(
        "deliveries/list.html",
        lines=[_line(line) for line in found.lines],
        newer=_at(found.newer),
        older=_at(found.older),
        looked_back_to=found.looked_back_to,
        counted=counted(count, found),
        count=count,
        groups=[_group(hub, group) for group in groups],
        options=_options(choices),
        given={name: _given().get(name, "") for name in FILTERS},
        is_filtered=not wish.is_empty,
        asked=urlencode(_given()),
        more=[name for name in MORE if request.args.get(name)],
        direction_words={key: _(text) for key, text in DIRECTION_WORDS.items()},
    )


@page("/deliveries/<int:delivery_id>", "look")
def delivery(delivery_id: int) -> str:
    """One delivery: what it said, what it did, each try, and what to press."""
    hub, here = runtime(), visit()
    with hub.sessions() as session:
        row = detail.one(session, here.program.id, delivery_id)
        if row is None:
            abort(404)
        tries = detail.attempts(session, row.id)
        relatives = detail.about_the_same(session, row)
        conflicts = detail.conflicting(session, row)
        channel = channels.by_ids(session, [row.channel_id])[row.channel_id]
        understood = _understood(hub, channel, row)
        effects = explain.effects(session, row, understood.sales)
        orders = explain.orders(session, row, understood.sales)
        person = explain.person(session, row) if row.direction == "outbound" else None
        sent = rehearse.sent_now(session, hub, channel, row.id) if row.direction == "outbound" else None
    own = words_of(row.kind)
    hidden, its = _secrets(hub, channel), dict(row._mapping)
    return render_template(
        "deliveries/one.html",
        row=its,
        topic=topic(row.topic),
        source=_(SOURCE_WORDS.get(row.source, row.source)),
        direction=_(DIRECTION_WORDS[row.direction]),
        what=words.of_delivery(its, own),
        next_step=explain.next_step(its),
        orders=orders,
        person=person,
        sent=told.one(sent.as_json(), own) if sent else "",
        understood=understood,
        why_not=words.of_fault(understood.code, understood.fault, understood.detail, own)
        if understood.code
        else "",
        effects=[(e, words.of_entry(e.counter, e.amount, e.explanation)) for e in effects],
        attempts=[_attempt(attempt, own, hidden) for attempt in tries],
        relatives=[(r, words.of_delivery(_told(r), own)) for r in relatives],
        conflicts=[(r, words.of_delivery(_told(r), own)) for r in conflicts],
        headers=masking.headers(row.headers),
        body=_shown(row.body, hidden if row.direction == "outbound" else ()),
        size=len(row.body),
    )


@page("/deliveries/<int:delivery_id>/body", "look")
def delivery_body(delivery_id: int) -> Response:
    """The bytes as they came. They are a stranger's: to be kept, never to be opened here."""
    with runtime().sessions() as session:
        found = detail.body(session, visit().program.id, delivery_id)
    if found is None:
        abort(404)
    return download(found, f"delivery-{delivery_id}")


def download(content: bytes, name: str) -> Response:
    """Bytes of a third party as a file: no browser runs or shows them."""
    answer = Response(content, content_type="application/octet-stream")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.bin"'
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cache-Control"] = "no-store"
    return answer


# --- the filter ----------------------------------------------------------------------------------


def wished(session: Session, given: Mapping[str, str], choices: Choices) -> Wish:
    """The filter of an address. What cannot be meant is a bad request."""
    value = {name: given.get(name, "").strip()[:_LONGEST].replace("\x00", "") for name in FILTERS}
    zone = ZoneInfo(visit().program.time_zone)
    text = value["q"]
    return Wish(
        states=_states(value["state"]),
        fault=_one_of(value["fault"], FAULT_WORDS),
        code=value["code"] or None,
        channel_id=_channel(value["channel"], choices),
        topic=value["topic"] or None,
        direction=_one_of(value["direction"], DIRECTION_WORDS),
        since=_moment(value["since"], zone),
        until=_moment(value["until"], zone, after=True),
        number=value["number"],
        subject=value["subject"],
        text=text,
        about=scraps.subjects(session, visit().program, text) if text else (),
    )


def _states(given: str) -> tuple[str, ...]:
    """A name of the filter's, or states themselves with commas between them."""
    if given in STATES:
        return STATES[given]
    found = tuple(sorted(set(given.split(",")))) if given else ()
    if not set(found) <= {*browse.STATES, browse.RETRYING}:
        abort(400)
    return found


def _one_of(given: str, known: Mapping[str, str]) -> str | None:
    if given and given not in known:
        abort(400)
    return given or None


def _channel(given: str, choices: Choices) -> int | None:
    if not given:
        return None
    found = [c.id for c in choices.channels if c.public_id == given]
    if not found:
        abort(404)
    return int(found[0])


def _moment(given: str, zone: ZoneInfo, *, after: bool = False) -> datetime | None:
    """A day, or a day and time, in the program's zone; the end of a span is the end of its day."""
    if not given:
        return None
    try:
        if len(given) > len("2026-11-23"):
            moment = datetime.fromisoformat(given)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        else:
            day = date.fromisoformat(given) + timedelta(days=1 if after else 0)
            moment = datetime.combine(day, time(), zone)
    except (ValueError, OverflowError):
        abort(400)
    # whoever types 2026 is in the year 2 first; and no calendar may run over its ends
    return min(max(moment, _EARLIEST), _LATEST) if 1 < moment.year < 9999 else _EARLIEST


def _cursor() -> Cursor | None:
    given = request.args.get("at")
    if not given:
        return None
    try:
        return Cursor.read(given)
    except BadCursor:
        abort(400)


def _given() -> dict[str, Any]:
    """The filter as the address says it; states may stand in it one by one."""
    given = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    if "state" in given:
        asked = {part for text in request.args.getlist("state") for part in text.split(",") if part}
        known = next((name for name, states in STATES.items() if set(states) == asked), None)
        given["state"] = known or ",".join(sorted(asked))
    return given


def _at(cursor: str | None) -> str:
    """The address of a page of this list."""
    return url_for("dashboard.deliveries", **_given(), at=cursor) if cursor else ""


def _options(choices: Choices) -> dict[str, list[tuple[str, str]]]:
    """What each list of the filter offers, with what the address asks for among it."""
    tables = {"state": STATE_WORDS, "direction": DIRECTION_WORDS, "fault": FAULT_WORDS}
    options = {name: [(key, _(text)) for key, text in table.items()] for name, table in tables.items()}
    options["channel"] = [(c.public_id, c.name) for c in choices.channels]
    options["code"] = [(code, code) for code in choices.codes]
    options["topic"] = [(t, topic(t)) for t in choices.topics if t]
    for name, offered in options.items():
        asked = _given().get(name, "")
        if asked and asked not in {key for key, _word in offered}:
            offered.append((asked, _(badges.BADGE_WORDS.get(asked, asked))))
    return options


# --- rows ----------------------------------------------------------------------------------------


def counted(count: Count, found: Page) -> str:
    """How many match, and honestly."""
    n = words.number(count.number)
    if count.exact:
        return ngettext("{n} message", "{n} messages", count.number, n=n)
    if count.number >= browse.COUNTED:
        return _("more than {n} messages", n=n)
    if found.looked_back_to is None and not found.older and not found.newer:
        return ngettext(
            "{n} message", "{n} messages", len(found.lines), n=words.number(len(found.lines))
        )
    return _(
        "at least {n}; the newest {window} messages were looked through",
        n=n, window=words.number(browse.WINDOW),
    )  # fmt: skip


def _line(line: Line) -> dict[str, Any]:
    row = asdict(line)
    what = words.of_delivery(row, words_of(line.kind))
    return {
        **row,
        "what": what,
        "said": exactly(line.detail, what),
        "topic_words": topic(line.topic),
    }


def exactly(found: str | None, what: str) -> str:
    """Where exactly, beside the sentence: as it was found, which is in English; in other languages
    the place in the message alone. The whole of it stands on the delivery's own page."""
    if not found or found == what:
        return ""
    if i18n.language() == i18n.SOURCE:
        return found
    place, _colon, _rest = found.partition(": ")
    return place if place.startswith("$") else ""


def topic(name: str) -> str:
    """A kind of message: ours in words, a shop's as it names it."""
    if not name:
        return _("of an unknown kind")
    return _(TOPIC_WORDS[name]) if name in TOPIC_WORDS else name


def _group(hub: Runtime, group: Group) -> dict[str, Any]:
    what = words.of_fault(group.code, group.fault, group.detail, words_of(group.kind))
    wish: dict[str, Any] = {
        "state": "retrying" if group.retrying else "person",
        "channel": group.channel_public_id,
        "direction": group.direction,
        "fault": group.fault,
        "code": group.code,
    }
    n = words.number(group.count)
    said = ngettext("{n} message", "{n} messages", group.count, n=n)
    return {
        "group": group,
        "what": what,
        "said": said if group.exact else _("at least {n} messages", n=n),
        "since": _(
            "since {time}", time=words.clock(group.since, hub.clock(), visit().program.time_zone)
        ),
        "see": ngettext("See it", "See the {n}", group.count, n=n) if group.exact else _("See them"),
        "there": url_for("dashboard.deliveries", **wish),
        "badge": "retried" if group.retrying else "failed",
    }


def _told(relative: detail.Relative) -> dict[str, Any]:
    return asdict(relative)


# --- one -----------------------------------------------------------------------------------------


def _understood(hub: Runtime, channel: channels.Channel, row: Row[Any]) -> explain.Understanding:
    """Only what came in says something; of what goes out the subject names the sale."""
    if row.direction == "outbound":
        kind, _colon, external_id = row.subject.partition(":")
        return explain.Understanding(sales=[external_id] if kind == "sale" else [])
    message = Inbound(row.topic, row.headers, bytes(row.body), row.received_at)
    return explain.understand(hub, channel, message)


def _secrets(hub: Runtime, channel: channels.Channel) -> list[str]:
    """The channel's secrets, so that none is ever shown."""
    try:
        given = hub.secrets.decrypt(channel.secrets) if channel.secrets else {}
    except SecretsError:  # no key opens them any more: nothing that is shown can hold them
        return []
    return [value for value in given.values() if isinstance(value, str)]


def _attempt(attempt: detail.Attempt, own: Mapping[str, str], hidden: Sequence[str]) -> dict[str, Any]:
    what = _(words.OUTCOME_WORDS[attempt.outcome]) if attempt.outcome in words.OUTCOME_WORDS else ""
    if attempt.code:
        what = words.of_fault(attempt.code, attempt.fault, attempt.detail, own)
    exchanges = [
        {
            **exchange,
            "url": masking.text(str(exchange.get("url", "")), hidden),
            "request": masking.text(bodies.pretty(str(exchange.get("request", ""))), hidden),
            "response": masking.text(bodies.pretty(str(exchange.get("response", ""))), hidden),
        }
        for exchange in attempt.exchanges
    ]
    said = exactly(attempt.detail, what)
    return {"attempt": attempt, "what": what, "said": said, "exchanges": exchanges}


def _shown(body: bytes, hidden: Sequence[str]) -> dict[str, Any]:
    """A body for people: JSON in order, anything else as text; cut where it is long."""
    cut = len(body) > _PRETTY
    text = bytes(body[:_PRETTY]).decode("utf-8", "replace")
    text = text if cut else bodies.pretty(text)
    return {"text": masking.text(text, hidden) if hidden else text, "cut": cut}
