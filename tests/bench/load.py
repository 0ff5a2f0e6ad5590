"""Orders as a till sends them: signed, of 2,000 members, three lines each."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Iterator

SECRET = "whsec_" + base64.b64encode(b"a secret of the benchmark, 32 by").decode()
MEMBERS = 2000


def bodies(count: int, *, seed: int = 7, pad_to: int = 0) -> Iterator[bytes]:
    """`count` distinct sales; `pad_to` fills each up to that many bytes."""
    chance = random.Random(seed)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for number in range(count):
        member = chance.randrange(MEMBERS)
        lines = [
            {
                "id": str(n),
                "kind": "goods",
                "sku": f"SKU-{chance.randrange(500)}",
                "name": "A thing with a name of some length",
                "quantity": 1,
                "unit_price": "45000",
                "discount": "0",
                "net": "45000",
                "categories": ["tea"],
            }
            for n in range(3)
        ]
        sale = {
            "type": "hub.sale/1",
            "id": f"{seed}-{number}",
            "version": 1,
            "number": str(number),
            "state": "paid",
            "currency": "VND",
            "placed_at": now,
            "customer": {"name": "A customer", "phone": f"09{member:08d}", "id": f"c{member}"},
            "lines": lines,
        }
        body = json.dumps(sale).encode()
        if len(body) < pad_to:
            sale["extra"] = {"pad": "x" * (pad_to - len(body) - 24)}
            body = json.dumps(sale).encode()
        yield body


def signed(body: bytes, webhook_id: str) -> dict[str, str]:
    """The Standard Webhooks headers of a message."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    when = str(int(time.time()))
    digest = hmac.new(key, f"{webhook_id}.{when}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": when,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        "content-type": "application/json",
    }
