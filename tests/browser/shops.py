"""A corner shop with a week behind it: members, orders of every fate, codes; for pages to show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import requests

from hub.desk import points, rewards
from hub.desk.place import Desk
from hub.ids import new_id
from hub.outbox.channels import Channel
from tests import signed
from tests.hubs import Hub

BINH = "0901234567"
DOCUMENT = {
    "earn": {"points": 1, "per": {"VND": "10000"}},
    "points": {"available_after_days": 0, "expire_after_days": 40},
    "rewards": [
        {
            "id": "coffee",
            "name": "Cà phê sữa đá",
            "cost": 5,
            "amount": {"VND": "35000"},
            "valid_days": 30,
        },
        {"id": "ten", "name": "Giảm 10%", "cost": 400, "percent": "10"},
    ],
}


@dataclass
class Shop:
    """One till that reports what a test wants it to."""

    hub: Hub
    till: Channel

    @classmethod
    def open(cls, hub: Hub) -> Shop:
        """Connect the till."""
        return cls(
            hub, hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], "Quầy Lý Thường Kiệt")
        )

    def send(self, message: dict[str, Any]) -> None:
        """One signed message, processed."""
        content = json.dumps(message).encode()
        headers = signed.headers("generic_pos", content, new_id("msg"))
        assert requests.post(self.hub.webhook(self.till), data=content, headers=headers, timeout=10).ok
        self.hub.work()

    def sell(self, number: int, phone: str = "", net: int = 250_000, **more: Any) -> str:
        """An order; its txn_ id."""
        message = json.loads(signed.till_sale(number, phone, net, **more))
        message["customer"] = {"phone": phone, "name": "Nguyễn Thị Bình"} if phone else {}
        if not phone:
            del message["customer"]
        message["lines"][0]["name"] = "Trà sen Tây Hồ, hộp 200 g"
        self.send(message)
        rows = self.hub.rows("SELECT public_id FROM transactions WHERE number = :n", n=str(number))
        return str(rows[0].public_id)

    def refund(self, number: int, amount: int) -> None:
        """Money given back on that order."""
        self.send(
            {"type": "hub.refund/1", "id": f"R-{number}", "version": 1, "sale_id": f"sale-{number}",
             "currency": "VND", "amount": str(amount), "created_at": "2026-11-20T03:04:05Z", "reason": "Hộp bị móp"}
        )  # fmt: skip

    def member(self, phone: str = BINH) -> Any:
        """The member with that phone (id, public_id)."""
        (row,) = self.hub.rows(
            """SELECT m.id, m.public_id FROM members m JOIN identities i ON i.member_id = m.id
               WHERE i.value = :phone""",
            phone="+84" + phone[1:],
        )  # fmt: skip
        return row

    def week(self) -> None:
        """A member with a purchase, a partial refund, an apology and a code; a guest; a failure."""
        self.sell(1001, BINH, 1_850_000, placed_at="2026-11-15T03:04:05Z")
        self.sell(1002, BINH, 420_000, placed_at="2026-11-18T09:30:00Z")
        self.refund(1002, 120_000)
        self.sell(1003, "0987654321", 96_000, placed_at="2026-11-18T11:00:00Z")
        self.sell(1004, "", 380_000, placed_at="2026-11-19T02:15:00Z", state="cancelled")
        self.sell(1005, BINH, 130_000, placed_at="2026-11-21T02:15:00Z", state="pending")
        self.send({"type": "hub.sale/1", "number": "1006", "id": "sale-1006"})
        with self.hub.runtime.sessions.begin() as session:
            desk = Desk(self.hub.runtime, session, self.hub.program, "cli:linh")
            member = self.member().id
            points.adjust(desk, member, 20, reason="Giao hàng trễ", key="late")
            rewards.redeem(desk, member, "coffee", key="first")
        self.hub.work()
