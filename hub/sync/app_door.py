"""Messages to an app's own address: one for all its shops, whatever became of their channels.

A platform that tells an app of people's requests does so after the shop has left, too; so a channel that
was disconnected is found by its shop, and what proves the message was kept (`Connector.app_secrets`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from hub.connector import Connector, Inbound, Reply
from hub.errors import Fault
from hub.outbox import channels
from hub.outbox.channels import Channel
from hub.registry import UnknownConnector
from hub.secrets import SecretsError
from hub.sync.receive import CannotStore, Reception, UnknownChannel, message

_LONGEST_SHOP = 300


def receive(reception: Reception, kind: str, headers: Mapping[str, str], body: bytes, url: str) -> Reply:
    """The answer to one message; header names are lower case. It is stored for every channel of that
    shop whose secret it bears: 200. 401 when it bears none, as for a shop that nobody knows. Raises
    `UnknownChannel` for a kind that has no such messages, and `CannotStore`."""
    runtime = reception.runtime
    try:
        kind_of = runtime.connector_class(kind)
    except UnknownConnector:
        raise UnknownChannel(kind) from None
    if "app_shop" not in kind_of.capabilities():
        raise UnknownChannel(kind)
    shop = kind_of.app_shop(headers, body)[:_LONGEST_SHOP].replace("\x00", "")
    proven = False
    for its in _channels(reception, kind, shop) if shop else ():
        connector = kind_of(channels.Handle(runtime, its))
        inbound = Inbound(connector.topic(headers, body), headers, body, runtime.clock(), url)
        if _is_proven(connector, inbound):
            reception.inbox.store(message(its, connector, inbound, source="app"))
            proven = True
    if not proven:
        return Reply(401, b"bad signature")
    reception.doorbell.ring_soon("inbound")
    return Reply(200)


def _channels(reception: Reception, kind: str, shop: str) -> list[Channel]:
    try:
        with reception.runtime.sessions() as session:
            return channels.of_shop(session, kind, shop)
    except SQLAlchemyError as error:
        raise CannotStore("the database did not answer") from error


def _is_proven(connector: Connector, inbound: Inbound) -> bool:
    """Whether it bears the channel's signature; one whose secrets are gone proves nothing."""
    try:
        connector.verify(inbound)
    except (Fault, SecretsError):
        return False
    return True
