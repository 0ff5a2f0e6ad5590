"""A model shop with defects of its own: some messages make its connector throw, some kill the process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from hub.canonical import Happening
from hub.connector import Command, Inbound, Receipt
from hub.errors import ChannelDown
from tests.model_shop import EventShop

FIXED = "fixed"
"""A file of this name beside the settings' file: the defect has been mended."""


class BrokenShop(EventShop):
    kind = "model_broken"
    label = "Broken shop"

    def normalise(self, inbound: Inbound) -> Sequence[Happening]:
        if not self._is_fixed():
            if b"POISON" in inbound.body:
                raise ZeroDivisionError("a defect of the connector")
            if b"KILLER" in inbound.body:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().normalise(inbound)

    def push(self, command: Command) -> Receipt:
        """Slow, down, or deadly, as the file says."""
        mood = Path(self.channel.settings["shop_file"]).read_text()
        if mood == "slow":
            time.sleep(0.4)
        elif mood == "down":
            raise ChannelDown("http_503", "the shop is down")
        elif mood == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return Receipt()

    def _is_fixed(self) -> bool:
        return (Path(self.channel.settings["shop_file"]).parent / FIXED).exists()


CONNECTORS = {"model_broken": "tests.broken_shop.BrokenShop"}
