"""WooCommerce's REST API v3: how a request is signed, and what its refusals mean for the merchant."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from requests.auth import HTTPBasicAuth

from hub.errors import BadPayload, ChannelDown, Misconfigured, Rejected
from hub.http import Answer, Http
from hub.payload import parse_json

_API = "/wp-json/wc/v3/"
_PAGE_START = 20_000
_CAPTCHAS = (b"captcha", b"robot", b"just a moment", b"checking your browser")
"""Words of such pages: SiteGround's, Cloudflare's, Wordfence's."""


class Store:
    """One store's REST API. Every method may raise `ChannelDown`, `Misconfigured` or `Rejected`."""

    def __init__(self, http: Http, url: str, key: str, secret: str, now: datetime) -> None:
        """`url` is the Site Address of WordPress, without a trailing slash; `now` dates OAuth."""
        self._http = http
        self._url = url
        self._key = key
        self._secret = secret
        self._now = now

    def get(self, path: str, **params: str) -> Answer:
        """GET; a 404 of a missing object is an answer (status 404), not a failure."""
        return self._call("GET", path, params, None)

    def get_list(self, path: str, **params: str) -> list[dict[str, Any]]:
        """GET a collection."""
        found = self.get(path, **params).json()
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ChannelDown(
                "not_a_list", f"the store answered GET {path} with something else than a list"
            )
        return found

    def post(self, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """POST JSON."""
        return _object(self._call("POST", path, {}, content))

    def put(self, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """PUT JSON."""
        return _object(self._call("PUT", path, {}, content))

    def delete(self, path: str) -> bool:
        """DELETE for good, past the trash; False when it was gone already."""
        return self._call("DELETE", path, {"force": "true"}, None).status != 404

    def _call(
        self, method: str, path: str, params: dict[str, str], content: Mapping[str, Any] | None
    ) -> Answer:
        url = f"{self._url}{_API}{path}"
        body = None if content is None else json.dumps(content).encode()
        if url.startswith("http://"):
            answer = self._send(method, url, {**params, **self._oauth(method, url, params)}, body, None)
        else:
            answer = self._over_tls(method, url, params, body)
        if answer.status == 401:
            self._diagnose(method, _error(answer)[0])
        return _checked(method, answer)

    def _diagnose(self, method: str, code: str) -> None:
        """Two causes of a 401 have the same words as a wrong key; a question that only reads tells them
        apart. Raises `Misconfigured` when it does."""
        url = f"{self._url}{_API}webhooks"
        params = {"per_page": "1"}
        if code.startswith("woocommerce_rest_cannot_") and url.startswith("https://"):
            # The store decides by `is_ssl()`: where its proxy hides https, it takes OAuth 1.0a over http.
            plain = url.replace("https://", "http://", 1)
            if self._answers(url, {**params, **self._oauth("GET", plain, params)}, None):
                raise Misconfigured(
                    "https_hidden",
                    "the store takes requests over https for http: the proxy before it must pass"
                    " X-Forwarded-Proto on, and WordPress must heed it",
                )
        elif method != "GET" and code.startswith("woocommerce_rest_authentication_"):
            basic = HTTPBasicAuth(self._key, self._secret) if url.startswith("https://") else None
            signed = {} if basic else self._oauth("GET", url, params)
            if self._answers(url, {**params, **signed}, basic):
                raise Misconfigured("key_read_only", "the API key may only read; it needs Read/Write")

    def _answers(self, url: str, params: dict[str, str], auth: HTTPBasicAuth | None) -> bool:
        try:
            return self._send("GET", url, params, None, auth).status == 200
        except ChannelDown:
            return False

    def _over_tls(self, method: str, url: str, params: dict[str, str], body: bytes | None) -> Answer:
        answer = self._send(method, url, params, body, HTTPBasicAuth(self._key, self._secret))
        if answer.status == 401 and _error(answer)[0].startswith("woocommerce_rest_cannot_"):
            # The store saw no key at all: some servers and security plugins strip the header
            # (https://github.com/woocommerce/woocommerce/issues/49801). The query string passes.
            keys = {"consumer_key": self._key, "consumer_secret": self._secret}
            answer = self._send(method, url, {**params, **keys}, body, None)
        return answer

    def _send(
        self,
        method: str,
        url: str,
        params: dict[str, str],
        body: bytes | None,
        auth: HTTPBasicAuth | None,
    ) -> Answer:
        headers = {"Accept": "application/json", "User-Agent": "loyalty-hub"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._http.request(method, url, headers=headers, params=params, body=body, auth=auth)

    def _oauth(self, method: str, url: str, params: Mapping[str, str]) -> dict[str, str]:
        return oauth_parameters(
            method,
            url,
            params,
            self._key,
            self._secret,
            nonce=secrets.token_hex(16),
            timestamp=int(self._now.timestamp()),
        )


def oauth_parameters(
    method: str,
    url: str,
    params: Mapping[str, str],
    key: str,
    secret: str,
    *,
    nonce: str,
    timestamp: int,
) -> dict[str, str]:
    """One-legged OAuth 1.0a with HMAC-SHA256, as query parameters: what WooCommerce asks for over
    plain http. https://woocommerce.github.io/woocommerce-rest-api-docs/#authentication-over-http
    """
    oauth = {
        "oauth_consumer_key": key,
        "oauth_nonce": nonce,
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(timestamp),
    }
    base = signature_base(method, url, {**params, **oauth})
    digest = hmac.new(f"{_escape(secret)}&".encode(), base.encode(), hashlib.sha256).digest()
    return {**oauth, "oauth_signature": base64.b64encode(digest).decode()}


def signature_base(method: str, url: str, params: Mapping[str, str]) -> str:
    """The signature base string of RFC 5849, section 3.4.1."""
    pairs = sorted((_escape(name), _escape(value)) for name, value in params.items())
    query = "&".join(f"{name}={value}" for name, value in pairs)
    parts = urlsplit(url)
    host = parts.netloc.lower()
    if (parts.scheme, parts.port) in {("http", 80), ("https", 443)}:
        host = host.rsplit(":", 1)[0]
    return "&".join(map(_escape, (method.upper(), f"{parts.scheme}://{host}{parts.path}", query)))


def _escape(text: str) -> str:
    return quote(text, safe="~")


def _checked(method: str, answer: Answer) -> Answer:
    """Let 2xx JSON and a missing object pass; every refusal becomes a fault with its owner."""
    if 200 <= answer.status < 300:
        _refuse_captcha(answer)
        answer.json()
        return answer
    code, message = _error(answer)
    if answer.status == 404 and code.endswith("_invalid_id"):
        return answer
    if 300 <= answer.status < 400:
        to = urlsplit(answer.headers.get("location", ""))
        raise Misconfigured(
            "redirected", f"store_url answers with a redirect to {to.scheme}://{to.netloc}"
        )
    if answer.status in (401, 403):
        raise _no_access(method, answer.status, code, message)
    if answer.status == 404:
        raise Misconfigured(
            "no_rest_api",
            "there is no WooCommerce REST API at store_url: is WooCommerce active,"
            " and are permalinks set to anything but plain?",
        )
    raise Rejected(code or f"http_{answer.status}", message or f"the store answered {answer.status}")


def _refuse_captcha(answer: Answer) -> None:
    """Some hosts answer machines with a page that asks whether they are one, and call that a success
    (https://github.com/woocommerce/woocommerce/issues/52896)."""
    start = answer.body[:_PAGE_START].lower()
    if start.lstrip()[:1] == b"<" and any(word in start for word in _CAPTCHAS):
        raise ChannelDown(
            "captcha",
            f"the store's host answered {answer.status} with a page that asks whether the hub is a robot:"
            " have the host let the hub's address through",
        )


def _no_access(method: str, status: int, code: str, message: str) -> Misconfigured:
    """Each cause of 401 and 403 (codes only: messages come in the shop's language)."""
    if not code:
        return Misconfigured(
            "blocked",
            f"something before WooCommerce refused the hub ({status} without WordPress' JSON):"
            " allow it in the security plugin or at the host",
        )
    if code.startswith("woocommerce_rest_authentication_"):
        hint = (
            "consumer_secret must belong to consumer_key"
            if method == "GET"
            else "consumer_secret must belong to consumer_key, and the key needs Read/Write permission"
        )
        return Misconfigured(
            "bad_key", f"{hint}; over http, store_url must be the exact Site Address: {message}"
        )
    if status == 401:
        return Misconfigured(
            "key_unknown",
            "the store saw no valid key: check consumer_key, and that the proxy before the store"
            " tells it that the request came over https",
        )
    return Misconfigured("key_lacks_rights", "the user who owns the key may not manage WooCommerce")


def _error(answer: Answer) -> tuple[str, str]:
    """Code and message of WordPress' error body; empty when it is no such body."""
    try:
        body = parse_json(answer.body)
    except BadPayload:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    code, message = body.get("code"), body.get("message")
    return code if isinstance(code, str) else "", message[:200] if isinstance(message, str) else ""


def _object(answer: Answer) -> dict[str, Any]:
    if answer.status == 404:
        raise Rejected("gone", "what was to be changed does not exist in the store")
    content = answer.json()
    if not isinstance(content, dict):
        raise ChannelDown("not_an_object", "the store answered with something else than an object")
    return content
