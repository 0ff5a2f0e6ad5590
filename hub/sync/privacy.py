"""What a person, or a shop that left, asked for through a platform: carried out where it can be.

A report is for the merchant to hand over: the alert names the member, whose page has it as a file. To
be forgotten needs nobody.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub import alerts
from hub.audit import record
from hub.bulk import run
from hub.connector import PrivacyRequest
from hub.members import view
from hub.outbox.channels import Channel
from hub.sync import forgetting

ACTOR = "hub:privacy"
ANSWER_WITHIN = timedelta(days=30)
"""GDPR article 12(3): one month, and platforms ask for the same."""


def answer(session: Session, channel: Channel, request: PrivacyRequest, now: datetime) -> None:
    """Carry out one request. A second time changes nothing more."""
    if request.what == "forget_shop":
        forgetting.forget_shop(session, channel, actor=ACTOR, now=now)
        return
    members = _meant(session, channel, request)
    if request.what == "forget":
        for member in members:
            forgetting.forget(session, channel.program_id, member, actor=ACTOR, now=now)
        forgetting.scrub_customer(session, channel, request.external_id)
        return
    detail = {
        "channel": channel.name,
        "customer": request.external_id,
        "members": [view.by_id(session, member).public_id for member in members],
        "until": (now + ANSWER_WITHIN).isoformat(),
    }
    subject = f"{channel.public_id}:{request.external_id}"
    alerts.tell(session, channel.program_id, "data_request", subject, detail, now)
    record(session, channel.program_id, ACTOR, "member.data_requested", channel.public_id, {})


def _meant(session: Session, channel: Channel, request: PrivacyRequest) -> list[int]:
    """The member with that customer id in that channel; where nobody has it, those with the e-mail or
    the phone."""
    rows = run(
        session,
        """SELECT DISTINCT coalesce(m.alias_of, m.id) AS id FROM identities i JOIN members m ON m.id = i.member_id
           WHERE i.program_id = :program AND i.kind = 'customer' AND i.scope = :channel AND i.value = :value""",
        {"program": channel.program_id, "channel": channel.id, "value": request.external_id},
    )
    found = {row.id for row in rows}
    if not found:
        for kind, texts in (("email", request.emails), ("phone", request.phones)):
            for text in texts:
                rows = view.search(session, channel.program_id, channel.region, kind=kind, text=text)
                found |= {row.id for row in rows}
    return sorted(found)
