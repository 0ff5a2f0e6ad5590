"""The demo: a day in three sandbox shops, played over real HTTP against the running hub.

It knows no platform: the sandboxes come from the registry and speak the words of
`connectors/sandbox_kit.py`. Each run makes a programme of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from sqlalchemy.orm import Session

from hub.bulk import run
from hub.connect import add_channel
from hub.desk import tills
from hub.errors import Refusal
from hub.i18n import gettext as _
from hub.members import view
from hub.outbox import deliveries
from hub.outbox.channels import Channel
from hub.program import store
from hub.program.store import Program
from hub.registry import SANDBOXES
from hub.runtime import Runtime
from hub.sending import Message
from hub.sync.doorbell import Doorbell
from hub.users.first import give_to_first
from hub.web import keys

Say = Callable[[str], None]

PATIENCE = 30.0
ACTOR = "cli:demo"
PHONE = "+84912345678"
PERSON = {"name": "Mai", "phone": "0912 345 678", "email": "mai@example.com"}
PERSON_AGAIN = {"name": "Mai", "phone": "(+84) 912.345.678", "email": "Mai@Example.com"}
PERSON_AT_TILL = {"name": "Mai", "phone": "0084912345678"}
DOCUMENT: Mapping[str, Any] = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "rewards": [
        {"id": "50k", "name": "50.000 ₫ off", "cost": 50, "amount": {"VND": "50000"}},
        {"id": "120k", "name": "120.000 ₫ off", "cost": 100, "amount": {"VND": "120000"}},
    ],
    "till": {"code_above": 60},
}
NAME_WORDS: tuple[str, ...] = ("Web shop", "Second shop", "Till")
"""What the shops are called, in the order of the registry's sandboxes."""
START = datetime(2020, 1, 1, tzinfo=UTC)


class DemoFailed(Refusal):
    """The hub did not do what the story says; the message names the step."""


@dataclass
class Shop:
    """One sandbox and the channel it is connected as."""

    kind: str
    address: str
    channel: Channel

    def ask(self, method: str, path: str, wish: Mapping[str, Any] | None = None) -> Any:
        """A control route of the sandbox."""
        answer = requests.request(
            method, f"{self.address}/_sandbox{path}", json=dict(wish or {}), timeout=30
        )
        if not answer.ok:
            raise DemoFailed(
                _(
                    "the {kind} sandbox answered {status}: {text}",
                    kind=self.kind,
                    status=answer.status_code,
                    text=answer.text[:200],
                )
            )
        return answer.json()

    def sell(self, person: Mapping[str, str], price: str, **more: Any) -> dict[str, Any]:
        """A paid sale of one thing."""
        line = {"sku": "TEA-500", "name": "Lotus tea", "quantity": 1, "price": price}
        wish = {"customer": person, "currency": "VND", "lines": [line], **more}
        return dict(self.ask("POST", "/sales", wish))

    def has_active(self, code: str) -> bool:
        """Whether the code can be used in this shop now."""
        found = self.ask("GET", "/codes")
        return any(c["code"].upper() == code.upper() and c["active"] for c in found)


@dataclass
class Phone:
    """The member's: what is sent to it stands on its screen."""

    say: Say
    code: str = ""

    def send(self, message: Message) -> None:
        """Never fails."""
        self.say("  " + _("Mai's phone: {text}", text=message.text))
        self.code = message.code


@dataclass
class Story:
    """The played day."""

    runtime: Runtime
    base: str
    say: Say
    program: Program
    key: str
    shops: dict[str, Shop] = field(default_factory=dict)

    def play(self, *, leave_one: bool) -> None:
        """All steps, one plain line each; `leave_one` failed push for people. Raises `DemoFailed`."""
        web, blog, till = self.shops.values()
        self._orders(web, blog, till)
        self._repeats(web)
        self._refunds(till, web)
        code = self._redeem()
        self._use(code, used=blog, others=(web, till))
        self._failed_push(web)
        self._race(web, till)
        self._guarded(web)
        if leave_one:
            self._leave_a_failed_push(blog)
        self._verify()

    def _orders(self, web: Shop, blog: Shop, till: Shop) -> None:
        web.sell(PERSON, "400000")
        self._expect(40, _("order in the web shop (400.000 ₫, phone 0912 345 678)"))
        blog.sell(PERSON_AGAIN, "250000", state="fulfilled")
        self._expect(65, _("order in the second shop, same person, phone written (+84) 912.345.678"))
        till.sell(PERSON_AT_TILL, "150000")
        self._expect(80, _("sale at the till, phone 0084912345678"))

    def _repeats(self, web: Shop) -> None:
        web.sell(PERSON, "100000")
        self._expect(90, _("one more web order"))
        web.ask("POST", "/resend", {"n": "last", "times": 3})
        self._settle()
        self._expect(90, _("its last webhook three more times: nothing is given twice"))

    def _refunds(self, till: Shop, web: Shop) -> None:
        before = len(till.ask("GET", "/outbox"))
        till.ask("POST", "/hold")
        sale = till.sell(PERSON_AT_TILL, "200000")
        till.ask("POST", f"/sales/{sale['external_id']}/refund", {"amount": "50000"})
        late = [o["n"] for o in till.ask("GET", "/outbox")][before:]
        till.ask("POST", "/release", {"order": late[::-1]})
        self._expect(
            105, _("a refund that came before its sale waited for it (200.000 ₫ less 50.000 ₫)")
        )
        order = web.sell(PERSON, "300000")
        web.ask("POST", f"/sales/{order['external_id']}/refund", {"amount": "100000"})
        self._expect(125, _("a partial refund takes back its share (300.000 ₫ less 100.000 ₫)"))

    def _redeem(self) -> str:
        code = self._bought("demo-1")
        self._expect(75, _("50 points buy the code {code}: it is live in all three shops", code=code))
        return code

    def _use(self, code: str, *, used: Shop, others: tuple[Shop, ...]) -> None:
        used.sell(PERSON_AGAIN, "350000", codes=[code], state="fulfilled")
        self.until(
            lambda: not any(s.has_active(code) for s in others),
            _("code {code} revoked elsewhere", code=code),
        )
        self._expect(
            105, _("{code} was used in the second shop and is gone from the other two", code=code)
        )

    def _failed_push(self, web: Shop) -> None:
        code, failed = self._refused_code(web, "demo-2")
        self.say(
            "  " + _("the web shop refused the code {code}: {detail}", code=code, detail=failed.detail)
        )
        with self.runtime.sessions.begin() as session:
            deliveries.replay(session, [failed.id])
        Doorbell(self.runtime.settings.redis_url).ring("outbound")
        self.until(lambda: web.has_active(code), _("the replayed push"))
        self._expect(55, _("the failed push was replayed: the code is live there too"))

    def _race(self, web: Shop, till: Shop) -> None:
        """One code in two places at once: the till is cut off, and tells of its sale later."""
        web.sell(PERSON, "1000000")
        self._expect(155, _("a large order in the web shop (1.000.000 ₫)"))
        code = self._bought("demo-race")
        before = len(till.ask("GET", "/outbox"))
        till.ask("POST", "/hold")
        till.sell({**PERSON_AT_TILL, "phone": PHONE}, "150000", codes=[code])
        web.sell(PERSON, "150000", codes=[code])
        self._expect(115, _("{code} was used in the web shop, and at a till that is cut off", code=code))
        late = [o["n"] for o in till.ask("GET", "/outbox")][before:]
        till.ask("POST", "/release", {"order": late})
        self._expect(75, _("the till tells of it: the second use is seen, and costs 50 points again"))

    def _guarded(self, web: Shop) -> None:
        """So many points are spent only with the six digits that the member was sent."""
        web.sell(PERSON, "1500000")
        self._expect(225, _("a large order in the web shop (1.500.000 ₫)"))
        member = self._api("GET", "/members", params={"phone": PHONE})[0]["id"]
        wish = {"member": member, "reward": "120k", "till": "1", "cashier": "Lan"}
        self._refused("code_needed", wish)
        phone = Phone(self.say)
        self._send_code(member, phone)
        wrong = "000000" if phone.code != "000000" else "111111"
        self._refused("wrong_code", {**wish, "one_time_code": wrong})
        headers = {"Idempotency-Key": "demo-guarded"}
        wish |= {"one_time_code": phone.code}
        code = self._api("POST", "/redemptions", json=wish, headers=headers)["code"]
        self._wait_for_code(code)
        step = _(
            "100 points only with these digits, and {code} is out",
            code=code,
        )
        self._expect(125, step)

    def _send_code(self, member: str, phone: Phone) -> None:
        with self.runtime.sessions() as session:
            found = view.find(session, self.program.id, member)
        assert found is not None
        tills.send_code(
            self.runtime, self.program, found.id, "sms", actor=ACTOR, till="1", address="", through=phone
        )

    def _refused(self, code: str, wish: Mapping[str, Any]) -> None:
        """The redemption is asked for and refused with that code."""
        answer = requests.post(
            f"{self.base}/api/v1/redemptions", json=dict(wish), timeout=10,
            headers={"Authorization": f"Bearer {self.key}"},
        )  # fmt: skip
        found = answer.json().get("code")
        if answer.status_code != 409 or found != code:
            raise DemoFailed(_("{code} was expected, the answer was {found}", code=code, found=found))

    def _bought(self, key: str) -> str:
        """A code that is live in all shops."""
        member = self._api("GET", "/members", params={"phone": PHONE})[0]
        wish = {"member": member["id"], "reward": "50k"}
        done = self._api("POST", "/redemptions", json=wish, headers={"Idempotency-Key": key})
        code = str(done["code"])
        self._wait_for_code(code)
        return code

    def _wait_for_code(self, code: str) -> None:
        self.until(
            lambda: all(s.has_active(code) for s in self.shops.values()),
            _("code {code} in all shops", code=code),
        )

    def _leave_a_failed_push(self, blog: Shop) -> None:
        code, _failed = self._refused_code(blog, "demo-3")
        self._expect(
            75, _("the second shop refused {code}; it waits for you to replay it by hand", code=code)
        )

    def _refused_code(self, shop: Shop, key: str) -> tuple[str, Any]:
        """Redeem, where that shop refuses the code once: the code and the delivery that failed."""
        shop.ask("POST", "/faults", {"fault": "refuse_code", "times": 1})
        member = self._api("GET", "/members", params={"phone": PHONE})[0]
        wish = {"member": member["id"], "reward": "50k"}
        done = self._api("POST", "/redemptions", json=wish, headers={"Idempotency-Key": key})
        failed = self.until(lambda: self._failed(shop, done["voucher"]), _("the refused push"))
        return str(done["code"]), failed

    def _verify(self) -> None:
        from hub.ledger.verify import verify

        with self.runtime.sessions() as session:
            report = verify(session, self.runtime.chain_key, self.program.id)
        if not report.clean:
            raise DemoFailed(_("the ledger does not add up: {findings}", findings=report.findings))
        self.say(
            "  "
            + _(
                "ledger verified: {entries} entries, every sum and chain is right",
                entries=report.entries,
            )
        )

    # --- looking ---

    def _expect(self, points: int, step: str) -> None:
        self.until(
            lambda: self._balance() == points,
            _("{points} points after: {step}", points=points, step=step),
        )
        self.say("  " + _("{points:>4} points | {step}", points=points, step=step))

    def _settle(self) -> None:
        """Wait until nothing of this programme is due or being worked on."""
        self.until(lambda: not self._open_deliveries(), _("the queue to drain"))

    def _open_deliveries(self) -> bool:
        with self.runtime.sessions() as session:
            return bool(
                run(
                    session,
                    """SELECT 1 FROM deliveries WHERE program_id = :program AND direction = 'inbound'
                       AND state IN ('due', 'working') LIMIT 1""",
                    {"program": self.program.id},
                )
            )

    def _balance(self) -> int:
        found = self._api("GET", "/members", params={"phone": PHONE})
        return int(found[0]["points"]["balance"]) if found else 0

    def _failed(self, shop: Shop, voucher: str) -> Any:
        with self.runtime.sessions() as session:
            rows = run(
                session,
                """SELECT id, detail FROM deliveries WHERE channel_id = :channel AND direction = 'outbound'
                   AND key = :key AND state = 'failed'""",
                {"channel": shop.channel.id, "key": f"code:{voucher}"},
            )
        return rows[0] if rows else None

    def _api(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        answer = requests.request(
            method, f"{self.base}/api/v1{path}", headers=headers, timeout=10, **more
        )
        if not answer.ok:
            raise DemoFailed(
                _(
                    "{method} {path} answered {status}: {text}",
                    method=method,
                    path=path,
                    status=answer.status_code,
                    text=answer.text[:300],
                )
            )
        return answer.json()

    @staticmethod
    def until(found: Callable[[], Any], what: str) -> Any:
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            value = found()
            if value:
                return value
            time.sleep(0.05)
        raise DemoFailed(_("waited {seconds:.0f} s in vain for {what}", seconds=PATIENCE, what=what))


def was_played(session: Session) -> bool:
    """Whether this hub has a demo programme."""
    return bool(run(session, "SELECT 1 FROM programs WHERE slug LIKE 'demo%' LIMIT 1"))


def play(
    runtime: Runtime,
    base: str,
    say: Say,
    *,
    standing: Mapping[str, str] | None = None,
    keep: Callable[[], None] | None = None,
) -> None:
    """Play the demo against the hub at `base`. `standing` are sandboxes that run already and stay
    (kind -> address); without them some are started for the demo, and `keep` holds those open
    afterwards. Where shops stay, one push is left to be replayed by hand."""
    started = time.monotonic()
    with ExitStack() as stack:
        addresses = _answering(standing) if standing else stack.enter_context(sandboxes(say))
        story = _prepare(runtime, base, say, addresses)
        say(_("Playing a day in three shops (programme {slug}):", slug=story.program.slug))
        story.play(leave_one=bool(standing) or keep is not None)
        say(_("The demo is played ({seconds:.1f} s).", seconds=time.monotonic() - started))
        if keep is not None:
            keep()


def _answering(standing: Mapping[str, str]) -> Mapping[str, str]:
    """The same addresses, once all answer: they were started a moment ago."""
    for kind, address in standing.items():
        Story.until(lambda at=address: _answers(at), _("the {kind} sandbox", kind=kind))  # type: ignore[misc]
    return standing


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/_sandbox/settings", timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def sandboxes(say: Say) -> Iterator[dict[str, str]]:
    """All sandboxes of the registry as processes of their own: kind -> address."""
    processes: list[subprocess.Popen[str]] = []
    try:
        addresses = {}
        for kind, module in SANDBOXES.items():
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, "--port", "0"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            processes.append(process)
            assert process.stdout is not None
            addresses[kind] = process.stdout.readline().strip()
            if not addresses[kind]:
                raise DemoFailed(_("the {kind} sandbox did not start", kind=kind))
            say("  " + _("{kind} sandbox at {address}", kind=kind, address=addresses[kind]))
        yield addresses
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=5)


def _prepare(runtime: Runtime, base: str, say: Say, addresses: Mapping[str, str]) -> Story:
    with runtime.sessions.begin() as session:
        number = run(session, "SELECT count(*) AS n FROM programs WHERE slug LIKE 'demo%'")[0].n
        program = store.create(
            session,
            slug="demo" if not number else f"demo-{number + 1}",
            name="Demo",
            currency="VND",
            time_zone="Asia/Ho_Chi_Minh",
            region="VN",
            starts_at=START,
            document=DOCUMENT,
            actor=ACTOR,
        )
        give_to_first(session, program.id, actor=ACTOR)
        _id, key = keys.create(session, program, name="demo", scopes=keys.SCOPES, actor=ACTOR)
        story = Story(runtime, base, say, program, key)
        for (kind, address), name in zip(addresses.items(), NAME_WORDS, strict=True):
            told = requests.get(f"{address}/_sandbox/settings", timeout=10).json()
            channel = add_channel(
                session,
                runtime,
                program_id=program.id,
                kind=kind,
                name=_(name),
                settings=told["settings"],
                actor=ACTOR,
                shares_shop=True,
                allow_private=True,
            )
            story.shops[kind] = Shop(kind, address, channel)
    for shop in story.shops.values():
        url = f"{base}/webhooks/{shop.channel.token}"
        shop.ask("POST", "/connect", {"webhook_url": url})
    return story
