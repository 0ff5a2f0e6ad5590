"""What browsers are told to refuse: foreign scripts and styles, framing, guessing, keeping."""

from __future__ import annotations

import secrets

from flask import Flask, Response, g, request

from hub.runtime import Runtime


def install(app: Flask) -> None:
    """Put the headers on every answer of an application."""
    app.after_request(_protect)
    app.jinja_env.globals["nonce"] = nonce


def nonce() -> str:
    """This answer's own word: scripts that carry it may run, no other."""
    if "nonce" not in g:
        g.nonce = secrets.token_urlsafe(16)
    return str(g.nonce)


def is_https(runtime: Runtime) -> bool:
    """Whether the reader came by https, as far as we or a trusted proxy know."""
    return request.is_secure or runtime.settings.public_url.startswith("https://")


def _protect(answer: Response) -> Response:
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    answer.headers.setdefault("Referrer-Policy", "same-origin")
    if answer.mimetype == "text/html":
        answer.headers["Content-Security-Policy"] = _policy()
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        answer.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        answer.headers["Cache-Control"] = "no-store"
        answer.vary.update(("Cookie", "HX-Request"))
    if request.is_secure:
        answer.headers["Strict-Transport-Security"] = "max-age=31536000"
    return answer


def _policy() -> str:
    """img-src data: Tabler draws arrows and ticks of form fields as data URLs."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce()}'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
