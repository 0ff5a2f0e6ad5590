"""Messages go out as the operator's templates say, to real servers on this machine."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hub import sending
from hub.sending import Message, NotSent
from hub.settings import Settings, SettingsRefused, load, shown
from hub.supervise import codes_into_the_log

MESSAGE = Message("+84912345678", "Your code", 'Mã "123456" của\nbạn & tôi', "123456")


class Gateway(HTTPServer):
    """Keeps what it is asked and answers as told."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Asked(BaseHTTPRequestHandler):
    """One request."""

    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_more: Any) -> None:
        """Says nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def send(**sms: Any) -> None:
    found = sending.sender(Settings(sms={"send": "http", **sms}), "sms")
    assert found is not None
    found.send(MESSAGE)


def test_json_stays_json_whatever_is_in_the_text(gateway: Gateway) -> None:
    send(
        url=f"{gateway.url}/v1/messages",
        headers={"Content-Type": "application/json", "Authorization": "Bearer s3cret"},
        body='{"to": "{to}", "params": {"otp": "{code}"}, "text": "{text}"}',
    )
    ((method, path, headers, body),) = gateway.asked
    assert (method, path, headers["Authorization"]) == ("POST", "/v1/messages", "Bearer s3cret")
    told = {"to": MESSAGE.to, "params": {"otp": "123456"}, "text": MESSAGE.text}
    assert json.loads(body) == told


def test_a_url_and_a_form_are_escaped_their_way(gateway: Gateway) -> None:
    send(url=f"{gateway.url}/send?to={{to}}&text={{text}}", method="GET")
    assert gateway.asked[0][1] == (
        "/send?to=%2B84912345678&text=M%C3%A3%20%22123456%22%20c%E1%BB%A7a%0Ab%E1%BA%A1n%20%26%20t%C3%B4i"
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    send(url=gateway.url, headers=form, body="to={to}&code={code}")
    assert gateway.asked[1][3] == b"to=%2B84912345678&code=123456"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "gateway_refused"), (302, "gateway_refused"), (500, "gateway_down")]
)
def test_what_is_no_success_was_not_sent(gateway: Gateway, status: int, code: str) -> None:
    gateway.status = status
    with pytest.raises(NotSent) as failure:
        send(url=gateway.url)
    assert failure.value.code == code
    assert "123456" not in str(failure.value)


def test_a_gateway_that_is_away_was_not_sent(gateway: Gateway) -> None:
    gateway.server_close()
    with pytest.raises(NotSent, match="unreachable"):
        send(url=gateway.url)


class Mailbox(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as a client needs."""

    allow_reuse_address = True
    daemon_threads = True
    refuses = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.mails: list[str] = []


class Conversation(socketserver.StreamRequestHandler):
    """One connection."""

    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part.decode())
                self.server.mails.append("".join(lines))
            refuses = verb == b"RCPT" and self.server.refuses
            answer = b"550 nobody" if refuses else b"221 bye" if verb == b"QUIT" else b"250 fine"
            self.wfile.write(answer + b"\r\n")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def mail(mailbox: Mailbox) -> None:
    told = {"send": "smtp", "host": "127.0.0.1", "port": mailbox.server_address[1], "security": "none",
            "sender": "Corner <points@example.com>"}  # fmt: skip
    found = sending.sender(Settings(mail=told), "email")
    assert found is not None
    found.send(Message("ann@example.com", "Your code at Corner", "123456 is your code.", "123456"))


def test_a_mail_goes_to_the_server(mailbox: Mailbox) -> None:
    mail(mailbox)
    (text,) = mailbox.mails
    assert "To: ann@example.com" in text
    assert "From: Corner <points@example.com>" in text
    assert "123456 is your code." in text


def test_a_mail_that_is_refused_was_not_sent(mailbox: Mailbox) -> None:
    mailbox.refuses = True
    with pytest.raises(NotSent, match="SMTPRecipientsRefused"):
        mail(mailbox)


def test_nothing_is_sent_unless_the_operator_says_how() -> None:
    assert [sending.sender(Settings(), way) for way in sending.WAYS] == [None, None]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[sms]\nsend = "pigeon"', 'sms has a send that is none of "", "log", "http"'),
        ('[sms]\nsend = "http"', "sms needs url to send by http"),
        ('[sms]\nsend = "http"\nurl = "ftp://x"', "sms has a url that is none like"),
        ('[sms]\nurls = "x"', "sms does not know urls"),
        ('[sms]\nsend = "log"\nheaders = 3', "sms has headers that are no table of texts"),
        ('[mail]\nsend = "smtp"\nhost = "x"', "mail needs sender to send by smtp"),
        ("[mail]\nport = 0", "mail has a port that is none from 1 to 65535"),
        ('[mail]\nsecurity = "some"', "mail has a security that is none of starttls, tls, none"),
        ("[mail]\nhost = 3", "mail has a host that is no text"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_the_fix(
    tmp_path: Path, table: str, said: str
) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(table)
    with pytest.raises(SettingsRefused, match=said):
        load({"HUB_CONFIG": str(file)})


def test_the_environment_gives_a_table_as_json_and_nobody_is_shown_its_secrets() -> None:
    told = (
        '{"send": "http", "url": "https://x/?key=s3cret", "headers": {"A": "s3cret"}, "body": "s3cret"}'
    )
    settings = load({"HUB_SMS": told})
    (row,) = [row for row in shown(settings) if row["setting"] == "sms"]
    assert row["value"] == "send=http"
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsRefused, match="must be an object as JSON"):
        load({"HUB_SMS": "x"})


def test_the_demo_writes_codes_into_the_log_and_an_operators_sender_stays() -> None:
    demo = codes_into_the_log(Settings())
    for way in sending.WAYS:
        found = sending.sender(demo, way)
        assert isinstance(found, sending.Log)
        with capture_logs() as lines:
            found.send(MESSAGE)
        assert [line["text"] for line in lines] == [MESSAGE.text]
        assert MESSAGE.to not in str(lines)
    own = Settings(sms={"send": "http", "url": "https://sms.example.com"})
    assert codes_into_the_log(own).sms == own.sms
