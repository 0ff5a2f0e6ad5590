"""Changing the secret by which a channel's messages are checked, with the one before honoured for a day."""

from __future__ import annotations

from flask import flash, render_template
from werkzeug.wrappers import Response

from hub import webhook_secrets, words
from hub.errors import Fault
from hub.i18n import gettext as _
from hub.outbox import channels as store
from hub.outbox.channels import Channel
from hub.web.dashboard import channel_form as form
from hub.web.dashboard.cards import label_of, words_of
from hub.web.dashboard.visit import action, page, runtime, visit


@page("/channels/<channel>/secret", "own")
def channel_rotate(channel: str) -> str:
    """What will happen, and where the platform makes the secret a field for it."""
    return _drawn(form.found_open(channel), error="", made="")


@action("/channels/<channel>/secret", "own")
def channel_rotated(channel: str) -> tuple[str, int] | str | Response:
    """Take or make the new secret, and give it to the shop where the hub can. It is shown once, where a
    person has to enter it."""
    its = form.found_open(channel)
    made_up = webhook_secrets.is_made_up(runtime(), its)
    connector = form.kind_of(its.kind)
    secret = connector.suggested()[webhook_secrets.NOW] if made_up else form.text("secret")
    try:
        with runtime().sessions.begin() as session:
            webhook_secrets.change(session, runtime(), its, secret, actor=visit().actor)
    except Fault as fault:
        return _drawn(its, error=_said(fault, its), made=""), 422
    given = made_up and _given_to_the_shop(its)
    if given or not made_up:
        flash(_("The secret is changed. The one before is honoured for 24 hours."), "success")
    return _drawn(its, error="", made=secret if made_up and not given else "")


def _given_to_the_shop(its: Channel) -> bool:
    """Whether the shop's subscriptions sign with it now; a refusal is said."""
    with runtime().sessions() as session:
        its = store.by_ids(session, [its.id])[its.id]
    connector = store.connector_of(runtime(), its)
    if "renew_secret" not in connector.capabilities():
        return False
    try:
        return connector.renew_secret() > 0
    except Fault as fault:
        flash(_said(fault, its), "danger")
        return False


def _said(fault: Fault, its: Channel) -> str:
    return words.of_fault(fault.code, fault.fault, fault.detail, words_of(its.kind))


def _drawn(its: Channel, *, error: str, made: str) -> str:
    connector = form.kind_of(its.kind)
    label = connector.form.get(webhook_secrets.NOW, (webhook_secrets.NOW, ""))[0]
    return render_template(
        "channels/secret.html",
        its=its,
        kind=label_of(its.kind),
        label=_(label),
        made_up=webhook_secrets.is_made_up(runtime(), its),
        by_itself="renew_secret" in connector.capabilities(),
        error=error,
        made=made,
    )
