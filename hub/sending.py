"""Messages to members: by a text-message gateway over HTTP, by SMTP, or into the log of a demo.

What a sender is and where it sends to is the operator's: `[sms]` and `[mail]` in config/hub.toml.
"""

from __future__ import annotations

import json
import re
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Literal, Protocol
from urllib.parse import quote

import structlog

from hub.errors import ChannelDown, Misconfigured
from hub.http import Http
from hub.settings import Settings

log = structlog.get_logger()

Way = Literal["sms", "email"]
WAYS: tuple[Way, ...] = ("sms", "email")
SECONDS = 8.0
"""How long a gateway may take: somebody waits at a till."""
_PLACEHOLDER = re.compile(r"\{(to|text|code)\}")


class NotSent(Exception):
    """The message did not go out; the code is stable, the text holds neither the message nor its reader."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """What a member is told."""

    to: str
    """A phone in E.164, or an e-mail address."""
    subject: str
    text: str
    code: str = ""
    """The code in the text, for gateways that have templates of their own."""


class Sender(Protocol):
    """Sends one message. Raises `NotSent`."""

    def send(self, message: Message) -> None: ...


def sender(settings: Settings, way: Way) -> Sender | None:
    """The operator's sender for a way; None: there is none."""
    told: Mapping[str, Any] = settings.sms if way == "sms" else settings.mail
    makes: Mapping[str, Callable[[Mapping[str, Any]], Sender]] = {
        "log": lambda _told: Log(),
        "http": Gateway,
        "smtp": Mail,
    }
    kind = told.get("send", "")
    return makes[kind](told) if kind else None


class Log:
    """Writes messages into the hub's log: for trying things out, since whoever reads the log reads codes."""

    def send(self, message: Message) -> None:
        """Never fails."""
        log.warning("a message to a member (the log is the sender)", text=message.text)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Any text-message gateway: one HTTP request, put together from the operator's templates."""

    told: Mapping[str, Any]

    def send(self, message: Message) -> None:
        """A 2xx is success; anything else, or none in time, is `NotSent`."""
        headers = {
            name: _fill(text, message, str) for name, text in self.told.get("headers", {}).items()
        }
        http = Http(allow_any_private=True)  # the operator's own address, not a merchant's
        try:
            answer = http.request(
                self.told.get("method", "POST"),
                _fill(self.told["url"], message, lambda text: quote(text, safe="")),
                headers=headers,
                body=_fill(self.told.get("body", ""), message, self._escape(headers)).encode() or None,
                deadline=SECONDS,
                max_bytes=64 * 1024,
            )
        except (ChannelDown, Misconfigured) as failure:
            raise NotSent("gateway_down", f"the gateway did not take it: {failure.code}") from None
        if not 200 <= answer.status < 300:
            raise NotSent("gateway_refused", f"the gateway answered {answer.status}")

    def _escape(self, headers: Mapping[str, str]) -> Callable[[str], str]:
        """As the body's kind wants it: inside quotes of JSON, in a form, or as it is."""
        kind = next((text for name, text in headers.items() if name.lower() == "content-type"), "")
        if "json" in kind:
            return lambda text: json.dumps(text, ensure_ascii=False)[1:-1]
        return (lambda text: quote(text, safe="")) if "form" in kind else str


@dataclass(frozen=True, slots=True)
class Mail:
    """An SMTP server."""

    told: Mapping[str, Any]

    def send(self, message: Message) -> None:
        """Raises `NotSent` when the server is away or refuses."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.told["sender"], message.to, message.subject
        mail.set_content(message.text)
        try:
            with self._server() as server:
                if self.told.get("user"):
                    server.login(self.told["user"], self.told.get("password", ""))
                server.send_message(mail)
        except (OSError, UnicodeError, smtplib.SMTPException) as failure:
            raise NotSent("mail_refused", f"the mail server: {type(failure).__name__}") from None

    def _server(self) -> smtplib.SMTP:
        host, port = self.told["host"], int(self.told.get("port", 587))
        security = self.told.get("security", "starttls")
        if security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(host, port, timeout=SECONDS)
        if security == "starttls":
            server.starttls(context=ssl.create_default_context())
        return server


def _fill(template: str, message: Message, escape: Callable[[str], str]) -> str:
    """The template with its placeholders; other braces are the template's own."""
    values = {"to": message.to, "text": message.text, "code": message.code}
    return _PLACEHOLDER.sub(lambda found: escape(values[found[1]]), template)
