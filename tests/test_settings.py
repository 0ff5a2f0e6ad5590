from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from hub.settings import KNOWN, Settings, SettingsRefused, load, shown

SHIPPED = Path(__file__).parents[1] / "config" / "hub.toml"
KEY = "A" * 43 + "="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.toml"


def read(file: Path, text: str, **environment: str) -> Settings:
    file.write_text(text, encoding="utf-8")
    return load({"HUB_CONFIG": str(file), **environment})


def test_the_shipped_file_says_exactly_the_defaults() -> None:
    assert load({"HUB_CONFIG": str(SHIPPED)}) == Settings()


def test_every_setting_stands_in_the_shipped_file() -> None:
    assert list(tomllib.loads(SHIPPED.read_text(encoding="utf-8"))) == _in_file_order()
    assert set(KNOWN) == set(_in_file_order())


@pytest.mark.parametrize("name", KNOWN)
def test_every_setting_is_documented_where_it_stands(name: str) -> None:
    above = _comment_above(name)
    assert len(above.split()) >= 3, f"{name} needs a comment that says what it does"
    assert f"[{KNOWN[name].variable}" in above, f"{name} needs the name of its variable"


def test_without_a_file_and_variables_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}) == Settings()


def test_the_file_in_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "hub.toml").write_text("port = 9001\n")
    monkeypatch.chdir(tmp_path)
    found = load({})
    assert found.port == 9001
    assert found.sources["port"] == "config/hub.toml:1"


def test_the_environment_wins_over_the_file(file: Path) -> None:
    found = read(file, "port = 9001\nworkers = 3\n", PORT="9002")
    assert (found.port, found.workers) == (9002, 3)
    assert found.sources["port"] == "PORT"


def test_an_empty_variable_counts_as_not_set(file: Path) -> None:
    assert read(file, "port = 9001", PORT=" ").port == 9001


def test_lists_in_the_environment_are_comma_separated(file: Path) -> None:
    found = read(file, "", TRUSTED_PROXIES="10.0.0.5, 172.16.0.0/12", HUB_KEYS=f"{KEY},{KEY}")
    assert found.trusted_proxies == ("10.0.0.5/32", "172.16.0.0/12")
    assert found.keys == (KEY, KEY)


def test_connectors_of_ones_own_come_from_either_place(file: Path) -> None:
    table = '[connectors]\nacme_till = "acme.hub.AcmeTill"\n'
    assert read(file, table).connectors == {"acme_till": "acme.hub.AcmeTill"}
    assert read(file, "", HUB_CONNECTORS="acme_till=acme.hub.AcmeTill").connectors == {
        "acme_till": "acme.hub.AcmeTill"
    }


def test_the_public_address_defaults_to_this_machine(file: Path) -> None:
    assert read(file, "port = 9001").public_url == "http://localhost:9001"
    assert read(file, 'public_url = "https://x.example/"').public_url == "https://x.example"


def test_the_data_directory_of_root_is_not_below_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Settings().data == Path("/var/lib/loyalty-hub")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert Settings().data == Path.cwd() / "var"


def test_sizes_are_megabytes_in_the_file_and_bytes_in_the_code(file: Path) -> None:
    found = read(file, "body_limit_mb = 3\nquarantine_mb = 2")
    assert (found.body_limit, found.quarantine_bytes) == (3 * 1024 * 1024, 2 * 1024 * 1024)


REFUSED = {
    "port = 0": ":1: port must be a whole number from 1 to 65535",
    'port = "8080"': ":1: port must be a whole number from 1 to 65535",
    "port = true": ":1: port must be a whole number from 1 to 65535",
    "\n\nworkers = 0": ":3: workers must be a whole number from 1 to 64",
    "sweep_seconds = 0": ":1: sweep_seconds must be a number from 0.1 to 60",
    "sweep_seconds = nan": ":1: sweep_seconds must be a number from 0.1 to 60",
    'databse_url = "x"': ":1: databse_url is no setting; did you mean database_url?",
    "colour = 1": ":1: colour is no setting",
    'database_url = "mysql://a:hidden@b/c"': ":1: database_url must be a URL like postgresql://",
    'redis_url = "cache:6379"': ":1: redis_url must be a URL like redis://",
    'public_url = "points.example.com"': ":1: public_url must be a URL like https://",
    'public_url = "https://x.example/?a=hidden"': ":1: public_url must be a plain URL",
    'public_url = "http://[::1"': ":1: public_url must be a URL like https://",
    'database_url = "postgresql://[hidden"': ":1: database_url must be a URL like postgresql://",
    'host = "example.com"': ":1: host must be an address of this machine",
    'trusted_proxies = ["all"]': ":1: trusted_proxies holds 'all', which is no address or network",
    'trusted_proxies = "10.0.0.1"': ':1: trusted_proxies must be a list of texts, like ["a", "b"]',
    'allow_private_hosts = ["https://x/"]': ":1: allow_private_hosts holds 'https://x/'",
    'keys = ["hidden"]': ":1: keys holds something that is no Fernet key",
    'log_level = "loud"': ":1: log_level must be one of debug, info, warning, error",
    "log_level = 3": ':1: log_level must be a text in "quotes"',
    '\n[connectors]\nAcme = "a.B"': ":2: connectors holds the kind 'Acme'",
    '[connectors]\nacme = "no path"': ':1: connectors must give acme a path like "acme.hub.AcmeTill"',
    "connectors = 3": ":1: connectors must be a table",
    "port = = 3": ": Invalid value (at line 1, column 8)",
}


@pytest.mark.parametrize(("text", "said"), REFUSED.items())
def test_a_senseless_value_is_refused_by_file_and_line(file: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsRefused) as refusal:
        read(file, text)
    assert str(refusal.value).startswith(f"{file}{said}")
    assert "\n" not in str(refusal.value)
    assert "hidden" not in str(refusal.value)


VARIABLES = {
    ("PORT", "http"): "PORT: port must be a whole number from 1 to 65535",
    ("HUB_SWEEP_SECONDS", "often"): "HUB_SWEEP_SECONDS: sweep_seconds must be a number from 0.1 to 60",
    ("HUB_WORKER", "3"): "HUB_WORKER: no such variable; did you mean HUB_WORKERS?",
    ("HUB_KEYS", "hidden"): "HUB_KEYS: keys holds something that is no Fernet key",
    (
        "HUB_CONNECTORS",
        "acme",
    ): 'HUB_CONNECTORS: connectors must give acme a path like "acme.hub.AcmeTill"',
}


@pytest.mark.parametrize(("variable", "said"), VARIABLES.items())
def test_a_senseless_variable_is_refused_by_name(
    file: Path, variable: tuple[str, str], said: str
) -> None:
    name, value = variable
    with pytest.raises(SettingsRefused) as refusal:
        read(file, "", **{name: value})
    assert str(refusal.value).startswith(said)
    assert "hidden" not in str(refusal.value)


def test_variables_of_other_programs_are_left_alone(file: Path) -> None:
    assert read(file, "", HUB_VERBOSE="1", HUBOT="x") == read(file, "")


def test_a_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"HUB_CONFIG: .*nowhere\.toml cannot be read"):
        load({"HUB_CONFIG": str(tmp_path / "nowhere.toml")})


def test_what_is_shown_holds_no_secret(file: Path) -> None:
    found = read(
        file,
        'database_url = "postgresql://hub:hidden@db/hub"',
        HUB_KEYS=KEY,
        REDIS_URL="redis://:hidden@c",
    )
    rows = {row["setting"]: row for row in shown(found)}
    assert rows["database_url"]["value"] == "postgresql://hub:***@db/hub"
    assert rows["database_url"]["source"] == f"{file}:1"
    assert rows["keys"]["value"] == "1 key(s)"
    assert rows["port"]["source"] == "default"
    assert "hidden" not in repr(rows) + repr(found)
    assert KEY not in repr(rows) + repr(found)


def _in_file_order() -> list[str]:
    names = re.findall(
        r"^(?:([a-z_]+) =|\[([a-z]+)\])", SHIPPED.read_text(encoding="utf-8"), re.MULTILINE
    )
    return [key or table for key, table in names]


def _comment_above(name: str) -> str:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if re.match(rf"({name} =|\[{name}\])", line))
    above: list[str] = []
    for line in reversed(lines[:at]):
        if not line.startswith("#"):
            break
        above.insert(0, line.lstrip("# "))
    return " ".join(above)
