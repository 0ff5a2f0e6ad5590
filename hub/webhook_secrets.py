"""Changing the secret by which a channel's messages are checked: the one before is honoured for a day."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from hub import connect
from hub.audit import record
from hub.bulk import run
from hub.errors import Misconfigured
from hub.outbox.channels import Channel
from hub.runtime import Runtime
from hub.secrets import SecretsError

HONOURED = timedelta(hours=24)
"""Platforms sign with the old one for up to an hour after a rotation; a person who enters a secret by hand
in ten webhooks takes longer, and may be called away."""
NOW, BEFORE = "webhook_secret", "previous_webhook_secret"


def change(session: Session, runtime: Runtime, channel: Channel, secret: str, *, actor: str) -> None:
    """Check messages with this secret from now on, and with the present one for a day. Raises
    `Misconfigured` when it is the present one, or none."""
    try:
        present = str(runtime.secrets.decrypt(channel.secrets).get(NOW, ""))
    except SecretsError:
        present = ""
    if not secret.strip() or secret.strip() == present:
        raise Misconfigured("same_secret", "enter a secret that is not the present one")
    changes = {NOW: secret.strip(), BEFORE: present}
    connect.change_channel(session, runtime, channel, changes, actor=actor)
    until = runtime.clock() + HONOURED if present else None
    run(
        session,
        "UPDATE channels SET previous_secret_until = :until WHERE id = :id",
        {"until": until, "id": channel.id},
    )
    record(session, channel.program_id, actor, "channel.secret_changed", channel.public_id)


def is_made_up(runtime: Runtime, channel: Channel) -> bool:
    """Whether the hub makes this channel's secret, or the platform does."""
    return NOW in runtime.connector_class(channel.kind).suggested()
