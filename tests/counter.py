"""A counter in a shop: sells, takes back and tells of people, at times that a test chooses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import requests

from hub.ids import new_id
from hub.outbox.channels import Channel
from tests import signed
from tests.hubs import Hub

PHONE = "0912345678"


@dataclass
class Counter:
    """One till of a hub, whose messages go in when they are sent, and count when they are worked."""

    hub: Hub
    name: str = "Till"
    channel: Channel = field(init=False)
    versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.channel = self.hub.add_channel("generic_pos", signed.SETTINGS["generic_pos"], self.name)

    def sell(self, number: int, net: int, at: str, phone: str = PHONE, **more: Any) -> None:
        """A paid sale of one line. `more` replaces fields of the message."""
        version = self._next(f"sale-{number}")
        fields = {"customer": {"phone": phone} if phone else None, "placed_at": at, **more}
        self._send(signed.till_sale(number, phone, net, version, **fields))

    def take_back(self, number: int, amount: int, at: str = "2026-12-01T00:00:00Z") -> None:
        """Money back on a sale."""
        version = self._next(f"refund-{number}")
        refund = {"type": "hub.refund/1", "id": f"r{number}-{version}", "version": 1, "sale_id": f"sale-{number}",
                  "currency": "VND", "amount": str(amount), "created_at": at}  # fmt: skip
        self._send(json.dumps(refund).encode())

    def tell_of(self, phone: str = PHONE, **person: Any) -> None:
        """What the till knows of a customer."""
        version = self._next(f"customer-{phone}")
        customer = {"id": f"c{phone}", "phone": phone, **person}
        message = {"type": "hub.customer/1", "version": version, "changed_at": f"2026-01-01T00:00:{version:02}Z",
                   "customer": customer}  # fmt: skip
        self._send(json.dumps(message).encode())

    def work(self) -> None:
        """Everything sent so far is processed, as one batch where it fits."""
        self.hub.work()

    def _next(self, name: str) -> int:
        self.versions[name] = self.versions.get(name, 0) + 1
        return self.versions[name]

    def _send(self, body: bytes) -> None:
        headers = signed.headers("generic_pos", body, new_id("msg"))
        answer = requests.post(self.hub.webhook(self.channel), data=body, headers=headers, timeout=10)
        assert answer.ok, answer.text
