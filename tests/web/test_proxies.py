"""Whose word about the sender's address counts."""

from __future__ import annotations

from typing import Any

import pytest

from hub.web.proxies import TrustedProxies


def seen(networks: list[str], **environ: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def application(environ: dict[str, Any], _: Any) -> list[bytes]:
        found.update(environ)
        return []

    base = {"REMOTE_ADDR": "10.0.0.5", "wsgi.url_scheme": "http"}
    TrustedProxies(application, networks)(base | environ, lambda *_: None)
    return found


def test_a_trusted_proxy_is_believed() -> None:
    found = seen(["10.0.0.0/8"], HTTP_X_FORWARDED_FOR="203.0.113.9", HTTP_X_FORWARDED_PROTO="https")
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("203.0.113.9", "https")


@pytest.mark.parametrize("networks", [[], ["192.168.0.0/16"]])
def test_a_stranger_is_not_believed(networks: list[str]) -> None:
    found = seen(networks, HTTP_X_FORWARDED_FOR="203.0.113.9", HTTP_X_FORWARDED_PROTO="https")
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("10.0.0.5", "http")


def test_what_the_sender_put_in_front_does_not_count() -> None:
    found = seen(["10.0.0.0/8"], HTTP_X_FORWARDED_FOR="1.2.3.4, 203.0.113.9, 10.0.0.7")
    assert found["REMOTE_ADDR"] == "203.0.113.9"


@pytest.mark.parametrize("header", ["", "unknown", "203.0.113.9, garbage"])
def test_a_senseless_header_leaves_the_proxy_as_the_sender(header: str) -> None:
    assert seen(["10.0.0.0/8"], HTTP_X_FORWARDED_FOR=header)["REMOTE_ADDR"] == "10.0.0.5"
