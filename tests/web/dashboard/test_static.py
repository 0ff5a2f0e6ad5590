"""Scripts and styles: kept for a year under an address that changes with their content."""

from __future__ import annotations

import gzip
import re

from hub.web.dashboard import badges, cards, looks, static
from tests.desks import Office


def test_a_file_is_kept_for_a_year_and_another_version_is_not_there(office: Office) -> None:
    client = office.app.test_client()
    mark = static.files()["hub.css"].mark
    answer = client.get(f"/static/{mark}/hub.css")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.mimetype == "text/css"
    assert "Set-Cookie" not in answer.headers
    assert client.get(f"/static/{'0' * 16}/hub.css").status_code == 404
    packed = client.get(f"/static/{mark}/hub.css", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == answer.data


def test_nothing_outside_the_folder_is_sent(office: Office) -> None:
    client = office.app.test_client()
    mark = static.files()["hub.css"].mark
    for name in (
        "../dashboard/static.py",
        "%2e%2e/problems.py",
        "vendor/tabler-1.6.1/LICENSE",
        "/etc/passwd",
    ):
        assert client.get(f"/static/{mark}/{name}").status_code in (404, 308), name


def test_every_file_of_a_page_is_ours_and_there(office: Office) -> None:
    page = office.desk("owner").get("./").text
    named = re.findall(r'(?:src|href)="(/static/[^"#]+)', page)
    assert len(set(named)) >= 7
    client = office.app.test_client()
    assert {client.get(address).status_code for address in set(named)} == {200}
    assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*', page) == []


def test_every_icon_that_a_page_uses_is_in_the_sprite() -> None:
    sprite = static.files()["vendor/tabler-icons-3.51.0/sprite.svg"].plain.decode()
    drawn = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    used: set[str] = set()
    for page in static.FOLDER.parent.joinpath("templates").rglob("*.html"):
        used |= set(re.findall(r'icon\("([a-z0-9-]+)"', page.read_text(encoding="utf-8")))
    used |= {icon for _colour, icon in badges._LOOKS.values()}
    used |= {icon for _name, icon, _right in looks._NAVIGATION}
    used |= {icon for _colour, icon, _word in cards._BADGES.values()}
    assert len(used) > 25
    assert sorted(used - drawn) == []


def test_what_others_wrote_lies_with_its_licence() -> None:
    folders = [f for f in static.FOLDER.joinpath("vendor").iterdir() if f.is_dir()]
    assert len(folders) >= 3
    assert [f.name for f in folders if not (f / "LICENSE").read_text(encoding="utf-8").strip()] == []
