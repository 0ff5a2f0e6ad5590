"""Draws the icon sprite from the unpacked npm package @tabler/icons: `python tools/icons.py FOLDER`.

Only the icons named here go into it: name one, run this, and use it with the macro `icon`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

VERSION = "3.51.0"
SPRITE = Path(__file__).parents[1] / f"hub/web/static/vendor/tabler-icons-{VERSION}/sprite.svg"
NAMES = """
    activity adjustments alert-circle alert-hexagon alert-octagon alert-triangle arrow-back-up
    arrow-down arrow-down-left arrow-left arrow-right arrow-up arrow-up-right ban basket bell bolt
    building-store calendar check checks chevron-down chevron-left chevron-right chevron-up
    circle-check circle-minus circle-x clock clock-pause cloud-off code coin coin-off coins copy
    credit-card database device-desktop dots download external-link eye eye-off file-text filter
    filter-off gift git-merge hand-click heartbeat help-circle history home hourglass id inbox
    info-circle key language link list-details lock login logout mail menu-2 messages minus moon
    notes package pencil phone player-pause player-play player-stop plug plug-connected plug-x plus
    printer progress receipt receipt-refund refresh rotate-clockwise route scale search selector
    send settings shield-lock shield-x shopping-cart square-check stack-2 sun sun-moon tag ticket
    trash truck-return upload user user-check user-circle user-plus users wallet webhook wifi-off
    world x
"""

_PATH = re.compile(r"<(?:path|circle|rect|line|polyline|ellipse)\b[^>]*/>")


def symbol(name: str, svg: str) -> str:
    """One icon as a symbol; the invisible frame that Tabler draws around each is left out."""
    shapes = [shape for shape in _PATH.findall(svg) if 'd="M0 0h24v24H0z"' not in shape]
    return f'<symbol id="{name}" viewBox="0 0 24 24">{"".join(shapes)}</symbol>\n'


def sprite(package: Path) -> str:
    """The whole sprite, in the order of the names."""
    outline = package / "icons" / "outline"
    symbols = [symbol(name, (outline / f"{name}.svg").read_text()) for name in sorted(NAMES.split())]
    note = f"<!-- From @tabler/icons {VERSION}, MIT licence; made by tools/icons.py -->\n"
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{note}{"".join(symbols)}</svg>\n'


if __name__ == "__main__":
    SPRITE.parent.mkdir(parents=True, exist_ok=True)
    SPRITE.write_text(sprite(Path(sys.argv[1])))
