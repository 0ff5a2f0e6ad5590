"""One order told: what each message changed, why these points or none, what the channels were told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.generic_pos.sandbox import TillSandbox
from hub.desk import claims, points
from hub.desk.place import carry_out
from hub.i18n import speaking
from hub.ids import new_id
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.transactions import story
from hub.transactions.story import Story
from tests import signed
from tests.counter import Counter
from tests.hubs import Hub, Running, running_hub


@pytest.fixture
def hub(database: str, redis_url: str, tmp_path: Path) -> Iterator[Hub]:
    with running_hub(database, redis_url, tmp_path) as hub:
        yield hub


@pytest.fixture
def till(hub: Hub) -> Channel:
    return hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till")


def send(
    hub: Hub, till: Channel, version: int, phone: str = "0912345678", times: int = 1, **more: Any
) -> None:
    body = json.loads(signed.till_sale(1001, phone, 125_000, version, **more))
    if not phone:
        del body["customer"]
    content = json.dumps(body).encode()
    for _ in range(times):
        headers = signed.headers("generic_pos", content, new_id("msg"))
        assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
    hub.work()


def refund(hub: Hub, till: Channel) -> None:
    message = {"type": "hub.refund/1", "id": "r1", "version": 1, "sale_id": "sale-1001", "currency": "VND",
               "amount": "50000", "created_at": "2026-11-02T03:04:05Z"}  # fmt: skip
    content = json.dumps(message).encode()
    headers = signed.headers("generic_pos", content, new_id("msg"))
    assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
    hub.work()


def told(hub: Hub, language: str = "en") -> Story:
    from hub import i18n

    with hub.runtime.sessions() as session, i18n.speaking(language):
        (row,) = hub.rows("SELECT public_id FROM transactions")
        order = story.find(session, hub.program.id, row.public_id)
        assert order is not None
        return story.tell(hub.runtime, session, hub.program, order, lambda _kind: {})


def sentences(one: Story) -> list[tuple[str, str]]:
    return [(step.kind, step.sentence.replace("\xa0", " ")) for step in one.steps]


def test_a_sale_paid_and_partly_refunded_is_told_step_by_step(hub: Hub, till: Channel) -> None:
    send(hub, till, 1, state="pending")
    send(hub, till, 2)
    refund(hub, till)
    one = told(hub)
    kinds = [kind for kind, _ in sentences(one)]
    assert kinds == [
        "received", "understood", "received", "understood", "posted", "received", "understood", "posted", "pushed",
    ]  # fmt: skip
    said = [s for kind, s in sentences(one) if kind == "understood"]
    assert said[0] == "An order of 1 line for ₫125,000, not paid."
    assert said[1] == "Now paid."
    assert said[2].startswith("₫50,000 given back to the buyer")
    posted = [s for kind, s in sentences(one) if kind == "posted"]
    assert posted[0].startswith("+13 points for ")
    assert "125,000 give 12.5; rounded" in posted[0]
    assert posted[1].startswith("−5 points for ")
    assert one.verdict.colour == "green"
    assert one.verdict.sentence.startswith("8 points for ")
    (line,) = one.lines
    assert (line.name, line.gross, line.left, line.earns) == ("Tea", 125_000, 75_000, True)


def test_messages_of_one_batch_are_told_before_what_followed_from_them(hub: Hub, till: Channel) -> None:
    for version, state in ((1, "pending"), (2, "paid")):
        content = signed.till_sale(1001, "0912345678", 125_000, version, state=state)
        headers = signed.headers("generic_pos", content, new_id("msg"))
        assert requests.post(hub.webhook(till), data=content, headers=headers, timeout=10).ok
    hub.work()
    kinds = [kind for kind, _ in sentences(told(hub))]
    assert kinds[:5] == ["received", "received", "understood", "understood", "posted"]


def test_a_replay_does_not_move_what_was_understood_before(hub: Hub, till: Channel) -> None:
    send(hub, till, 1)
    send(hub, till, 2, state="cancelled")
    before = sentences(told(hub))
    with hub.runtime.sessions.begin() as session:
        deliveries.replay(session, [row.id for row in hub.rows("SELECT min(id) AS id FROM deliveries")])
    hub.work()
    assert sentences(told(hub)) == before


def test_the_same_message_again_is_folded(hub: Hub, till: Channel) -> None:
    send(hub, till, 1, times=5)
    one = told(hub)
    received = [step for step in one.steps if step.kind == "received"]
    assert len(received) == 1
    assert received[0].more == ["The same message came 4 more times; that changed nothing."]


def test_a_message_that_was_overtaken_says_so(hub: Hub, till: Channel) -> None:
    send(hub, till, 2)
    send(hub, till, 1, state="pending")
    last = [s for kind, s in sentences(told(hub)) if kind == "understood"][-1]
    assert last == "A newer message about this sale was here already; that one counts."


@pytest.mark.parametrize(
    ("more", "colour", "said", "next_step"),
    [
        ({"phone": ""}, "red", "a guest order without a usable phone", "Enter a phone to give the 13 points"),
        ({"phone": "not a phone"}, "red", "a guest order without a usable phone", "Enter a phone"),
        ({"state": "pending"}, "blue", "the order is not paid", "as soon as the shop says"),
        ({"state": "cancelled"}, "grey", "the order was cancelled", ""),
        ({"placed_at": "2019-01-01T00:00:00Z"}, "grey", "before the programme began", ""),
        ({"currency": "USD", "lines": [{"id": "1", "kind": "goods", "name": "Tea", "quantity": 1,
                                        "unit_price": "9.00", "net": "9.00"}]},
         "grey", "none for sales in this currency", ""),
    ],
)  # fmt: skip
def test_why_no_points_is_one_sentence_with_what_to_do(
    hub: Hub, till: Channel, more: dict[str, Any], colour: str, said: str, next_step: str
) -> None:
    send(hub, till, 1, **more)
    verdict = told(hub).verdict
    assert verdict.colour == colour
    assert said in verdict.sentence
    assert next_step in verdict.next_step
    assert verdict.claimable == (colour == "red")


def test_a_programme_that_makes_nobody_a_member_says_that(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    document = {"earn": {"per": {"VND": "10000"}}, "members": {"enrol": "existing"}}
    with running_hub(database, redis_url, tmp_path, document=document) as hub:
        send(hub, hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Till"), 1)
        verdict = told(hub).verdict
    assert verdict.sentence.startswith("No points: the buyer is no member")
    assert verdict.claimable


def test_a_claim_and_its_undoing_are_told_with_who_did_it(hub: Hub, till: Channel) -> None:
    send(hub, till, 1, phone="")
    order = told(hub).order["public_id"]

    def act(deed: Any) -> None:
        carry_out(hub.runtime, hub.program, "cli:linh", deed)

    act(lambda desk: claims.claim(desk, order, claims.enrol(desk, "0912345678", "Ann")))
    act(lambda desk: claims.release(desk, order))
    rate = "1 point for every ₫10,000: ₫125,000 give 12.5; rounded to the nearest whole point: +0.5"
    assert [s for kind, s in sentences(told(hub)) if kind in ("claimed", "posted")] == [
        "Given to a member by linh on the command line.",
        f"+13 points for Ann: {rate}.",
        "Taken back from the member by linh on the command line.",
        "−13 points for Ann: the order does not count for this member any more.",
    ]


def test_what_the_channels_were_told_is_part_of_the_story(hub: Hub) -> None:
    sandbox = TillSandbox()
    with Running(sandbox) as address:
        hub.connect(sandbox, address, "Till")
        wish = {"customer": {"name": "Ann", "phone": "0912345678"},
                "lines": [{"sku": "TEA", "name": "Tea", "quantity": 1, "price": "90000"}]}  # fmt: skip
        requests.post(f"{address}/_sandbox/sales", json=wish, timeout=10)
        hub.work()
        pushed = [step for step in told(hub).steps if step.kind == "pushed"]
    assert [step.sentence.partition(":")[0] for step in pushed] == ["Balance to Till"]
    assert pushed[0].delivery
    assert told(hub).steps[-1].kind == "pushed"


def test_a_push_that_is_still_due_stands_last(hub: Hub, till: Channel) -> None:
    """Its row is older: balances of one member and channel share one."""
    send(hub, till, 1)
    order = told(hub).order["public_id"]
    (row,) = hub.rows("SELECT member_id FROM transactions")
    deed = points.adjust
    carry_out(
        hub.runtime,
        hub.program,
        "cli:linh",
        lambda desk: deed(desk, row.member_id, 1, reason="x", key="k"),
    )
    last = told(hub).steps[-1]
    assert (last.kind, last.state["state"], order) == ("pushed", "due", told(hub).order["public_id"])


def test_the_whole_story_is_vietnamese_in_vietnamese(hub: Hub, till: Channel) -> None:
    send(hub, till, 1)
    one = told(hub, "vi")
    english = {s for _, s in sentences(told(hub, "en"))}
    assert not english & {s for _, s in sentences(one)}
    assert one.verdict.sentence != told(hub, "en").verdict.sentence


def test_who_bought_is_told_where_the_rules_ask(database: str, redis_url: str, tmp_path: Path) -> None:
    document = {
        "earn": {"points": 1, "per": {"VND": "10000"}},
        "multipliers": [{"factor": "2", "birthday": "month", "segments": ["all"]}],
        "tiers": {"by": "orders", "levels": [{"id": "first", "name": "First steps", "from": 0}]},
        "segments": [{"id": "all", "name": "Everybody"}],
    }
    with running_hub(database, redis_url, tmp_path, document=document, slug="asks") as hub:
        till = Counter(hub)
        for number in (2, 1):
            buyer = {"phone": "0912345678", "birthday": "1990-11-01"}
            till.sell(number, 100_000, f"2026-11-0{number}T03:00:00Z", customer=buyer)
            till.work()
        with hub.runtime.sessions() as session, speaking("en"):
            row = hub.rows("SELECT public_id FROM transactions WHERE external_id = 'sale-1'")[0]
            order = story.find(session, hub.program.id, row.public_id)
            assert order is not None
            verdict = story.tell(hub.runtime, session, hub.program, order, lambda _kind: {}).verdict
        assert list(verdict.buyer[:3]) == [
            "The buyer was in the tier First steps then.",
            "The buyer belonged to: Everybody.",
            "It was the buyer's birthday.",
        ]
        assert verdict.buyer[3].startswith("It was told of when a later order had its points already")
