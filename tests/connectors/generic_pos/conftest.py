"""A till's channel."""

from __future__ import annotations

import pytest

from connectors.generic_pos.connector import GenericPosConnector
from hub.http import Http
from tests.connectors.channel import Channel

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CALLBACK = "https://till.example.com/callback"


@pytest.fixture
def channel() -> Channel:
    settings = {"webhook_secret": SECRET, "previous_webhook_secret": "", "callback_url": CALLBACK}
    return Channel(settings, Http(allow_private=["till.example.com", "127.0.0.1"]))


@pytest.fixture
def till(channel: Channel) -> GenericPosConnector:
    return GenericPosConnector(channel)
