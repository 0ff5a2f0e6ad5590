"""A voucher's code as a QR code, for the scanner of a till: the code itself and nothing else."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache

import segno
from flask import Response, request

_SECONDS = 24 * 3600
"""A picture may be kept: the code of a voucher never changes. Whether it can be used, the picture does not say."""
_POLICY = "default-src 'none'; sandbox"


def picture(code: str) -> Response:
    """The answer to who asks for the picture of a code: SVG, kept for a day by whoever asked and by nobody
    between; a 304 for who has it."""
    content = svg(code)
    answer = Response(content, content_type="image/svg+xml")
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["Cache-Control"] = f"private, max-age={_SECONDS}, immutable"
    answer.set_etag(hashlib.sha256(content).hexdigest()[:32])
    answer.make_conditional(request)
    return answer


@lru_cache(maxsize=256)
def svg(code: str) -> bytes:
    """Black on white in any theme, with the quiet zone of four modules that scanners want (ISO/IEC 18004); the
    reader gives it its size."""
    found = io.BytesIO()
    segno.make(code, error="m", micro=False).save(
        found, kind="svg", border=4, light="#fff", omitsize=True, xmldecl=False, svgclass=None,
        lineclass=None,
    )  # fmt: skip
    return found.getvalue()
