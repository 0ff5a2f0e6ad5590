"""Scripts, styles and icons: read once, packed once, named by their content so that browsers keep
them for a year."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, request, url_for

FOLDER = Path(__file__).parents[1] / "static"
_KEPT = ("css", "js", "svg", "png", "ico")
_YEAR = "public, max-age=31536000, immutable"

blueprint = Blueprint("static", __name__)


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    mark: str
    """The beginning of its hash, part of its address."""
    kind: str
    plain: bytes
    packed: bytes


@cache
def files() -> Mapping[str, File]:
    """All files by their path under the folder."""
    found = [path for path in FOLDER.rglob("*") if path.suffix[1:] in _KEPT]
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in found}


def address(name: str) -> str:
    """The address of a file. Raises `KeyError` for one that is not there."""
    return url_for("static.send", mark=files()[name].mark, name=name)


@blueprint.get("/static/<mark>/<path:name>")
def send(mark: str, name: str) -> Response:
    """One file. An address with another mark is one of another version: it is not there."""
    file = files().get(name)
    if file is None or file.mark != mark:
        abort(404)
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    answer = Response(file.packed if packs else file.plain, content_type=file.kind)
    if packs:
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers["Cache-Control"] = _YEAR
    return answer


def _read(path: Path) -> File:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind.endswith("javascript"):
        kind += "; charset=utf-8"
    packed = gzip.compress(content, mtime=0)
    return File(hashlib.sha256(content).hexdigest()[:16], kind, content, packed)
