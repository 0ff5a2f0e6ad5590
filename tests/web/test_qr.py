"""The picture of a code: the code in it, nothing a browser would run, and kept by whoever asked."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import requests
import segno

from hub.web import qr
from tests.web.test_lists import ANN, Reader, reader

__all__ = ["reader"]


def modules(svg: bytes) -> set[tuple[int, int]]:
    """The dark modules (column, row) of a picture, without its quiet zone: lines of a path, one module high."""
    root = ElementTree.fromstring(svg)
    found, x, y = set(), 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-0-9. ]+)", root[1].attrib["d"]):
        values = [float(n) for n in numbers.split()]
        if command == "h":
            found |= {(int(x) + n - 4, int(y) - 4) for n in range(int(values[0]))}
            x += values[0]
        else:
            dx, dy = values
            x, y = (dx, dy) if command == "M" else (x + dx, y + dy)
    return found


def test_the_picture_shows_the_modules_of_the_code_and_runs_nothing() -> None:
    code = "HUB-7K3M-Q2ZX-9D4F"
    drawn = qr.svg(code)
    matrix = segno.make(code, error="m", micro=False).matrix
    dark = {(x, y) for y, row in enumerate(matrix) for x, module in enumerate(row) if module}
    assert modules(drawn) == dark
    assert len(matrix) == 21  # capitals, digits and dashes fit the smallest one
    assert {(x, 0) for x in range(7)} < dark  # the pattern that a scanner finds it by
    assert b"style" not in drawn
    assert b"script" not in drawn
    assert drawn != qr.svg("HUB-7K3M-Q2ZX-9D4G")


def test_the_picture_of_a_code_is_asked_for_once(reader: Reader) -> None:
    made = reader.post("redemptions", member=ANN, reward="tea")
    first = reader.get(f"vouchers/{made['code'].lower()}/qr")
    assert (first.status_code, first.headers["Content-Type"]) == (200, "image/svg+xml")
    assert first.content == qr.svg(made["code"]) == reader.get(f"vouchers/{made['voucher']}/qr").content
    assert first.headers["Cache-Control"].startswith("private, max-age=86400")
    assert "sandbox" in first.headers["Content-Security-Policy"]
    headers = {"Authorization": f"Bearer {reader.key}", "If-None-Match": first.headers["ETag"]}
    again = requests.get(
        f"{reader.hub.url}/api/v1/vouchers/{made['code']}/qr", headers=headers, timeout=10
    )
    assert (again.status_code, again.content) == (304, b"")
    assert reader.get("vouchers/HUB-NONE/qr").status_code == 404
