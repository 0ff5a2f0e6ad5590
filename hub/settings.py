"""The hub's settings: config/hub.toml, overridden by the environment, refused by file and line."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import SplitResult, urlsplit

from hub.errors import Refusal
from hub.i18n import gettext as _

DEFAULT_FILE = Path("config/hub.toml")
ROOT_DATA = Path("/var/lib/loyalty-hub")
MEGABYTE = 1024 * 1024


class SettingsRefused(Refusal):
    """A setting is unknown or senseless; the message is one line: where it stands, and the fix."""


class Senseless(ValueError):
    """A value that cannot be meant; the message completes "<name> ..."."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one setting is read: `from_text` for the environment, `check` for both."""

    from_text: Callable[[str], Any]
    check: Callable[[Any], Any]


def _text(check: Callable[[str], str]) -> Kind:
    def checked(value: Any) -> str:
        if not isinstance(value, str):
            raise Senseless(_('must be a text in "quotes"'))
        return check(value.strip())

    return Kind(str, checked)


def _number(least: float, most: float, *, whole: bool = True) -> Kind:
    def senseless() -> Senseless:
        if whole:
            return Senseless(
                _("must be a whole number from {least:g} to {most:g}", least=least, most=most)
            )
        return Senseless(_("must be a number from {least:g} to {most:g}", least=least, most=most))

    def from_text(text: str) -> int | float:
        try:
            return int(text) if whole else float(text)
        except ValueError:
            raise senseless() from None

    def check(value: Any) -> int | float:
        allowed = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed) or not least <= value <= most:
            raise senseless()
        return value if whole else float(value)

    return Kind(from_text, check)


def _choice(*words: str) -> Kind:
    def check(value: str) -> str:
        if value not in words:
            raise Senseless(_("must be one of {words}", words=", ".join(words)))
        return value

    return _text(check)


def _list(check_item: Callable[[str], str]) -> Kind:
    def from_text(text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]

    def check(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Senseless(_('must be a list of texts, like ["a", "b"]'))
        return tuple(check_item(item.strip()) for item in value)

    return Kind(from_text, check)


def _url(schemes: Sequence[str], example: str) -> Kind:
    """An address with one of these schemes, or "". The value is never repeated: it may hold a
    password."""

    def check(value: str) -> str:
        if value and (_split(value, example).scheme not in schemes or "://" not in value):
            raise Senseless(_("must be a URL like {example}", example=example))
        return value.rstrip("/")

    return _text(check)


def _split(value: str, example: str) -> SplitResult:
    try:
        return urlsplit(value)
    except ValueError:
        raise Senseless(_("must be a URL like {example}", example=example)) from None


def _public_url(value: str) -> str:
    parts = _split(value, "https://points.example.com")
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise Senseless(_("must be a URL like https://points.example.com"))
    if parts.query or parts.fragment or parts.username:
        raise Senseless(_("must be a plain URL like https://points.example.com, with nothing behind it"))
    return value.rstrip("/")


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise Senseless(
            _("holds {value!r:.50}, which is no address or network (10.0.0.0/8)", value=value)
        ) from None


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", value):
        raise Senseless(
            _("holds {value!r:.50}, which is no host name (leave out https:// and paths)", value=value)
        )
    return value.lower()


def _listen(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise Senseless(_("must be an address of this machine, like 127.0.0.1 or 0.0.0.0")) from None


def _key(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}=", value):
        raise Senseless(_("holds something that is no Fernet key (44 characters, the last one =)"))
    return value


def _connectors_from_text(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {kind.strip(): path.strip() for kind, _, path in pairs}


def _connectors(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise Senseless(_('must be a table of lines like acme_till = "acme.hub.AcmeTill"'))
    for kind, path in value.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", kind):
            raise Senseless(
                _("holds the kind {kind!r:.50}; kinds are small letters, digits and _", kind=kind)
            )
        if not isinstance(path, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", path):
            raise Senseless(_('must give {kind} a path like "acme.hub.AcmeTill"', kind=kind))
    return value


def _table_from_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Senseless(
            _("must be an object as JSON, like {example}", example='{"send": "log"}')
        ) from None


def _sender(kinds: Mapping[str, tuple[str, ...]], texts: Sequence[str]) -> Kind:
    """A table that says how messages are sent: `send` is one of the kinds, each with what it needs;
    `texts` are the fields there are, besides `headers` and `port`."""

    def check(value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise Senseless(_("must be a table of lines like {example}", example='send = "log"'))
        for name, told in value.items():
            _check_told(name, told, texts)
        kind = value.get("send", "")
        if kind not in kinds:
            wanted = ", ".join(f'"{one}"' for one in kinds)
            raise Senseless(_("has a send that is none of {kinds}", kinds=wanted))
        for name in kinds[kind]:
            if not value.get(name):
                raise Senseless(_("needs {name} to send by {kind}", name=name, kind=kind))
        return value

    return Kind(_table_from_text, check)


def _check_told(name: str, told: Any, texts: Sequence[str]) -> None:
    if name == "headers":
        if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
            raise Senseless(_("has headers that are no table of texts"))
    elif name == "port":
        if isinstance(told, bool) or not isinstance(told, int) or not 1 <= told <= 65535:
            raise Senseless(_("has a port that is none from 1 to 65535"))
    elif name not in texts:
        raise Senseless(_("does not know {name}", name=name))
    elif not isinstance(told, str):
        raise Senseless(_("has a {name} that is no text", name=name))
    elif name == "security" and told not in _SECURITY:
        raise Senseless(_("has a security that is none of {words}", words=", ".join(_SECURITY)))
    elif name == "url" and _split(told, _GATEWAY).scheme not in ("http", "https"):
        raise Senseless(_("has a url that is none like {example}", example=_GATEWAY))


_SECURITY = ("starttls", "tls", "none")
_GATEWAY = "https://sms.example.com/send"


def _home() -> Path:
    return ROOT_DATA if os.geteuid() == 0 else Path(os.path.abspath("var"))


def _data(value: str) -> Path:
    return Path(os.path.abspath(value)) if value else _home()


@dataclass(frozen=True, slots=True)
class From:
    """The environment variable a setting may come from, and how its value is read."""

    variable: str
    kind: Kind


_ANY_TEXT = _text(lambda value: value)
_POSTGRES = _url(("postgres", "postgresql", "postgresql+psycopg"), "postgresql://user:password@host/hub")
_REDIS = _url(("redis", "rediss", "unix"), "redis://host:6379/0")
_LEVELS = _choice("debug", "info", "warning", "error")
_FORMATS = _choice("auto", "console", "json")
_SECONDS = _number(0.1, 60, whole=False)
_SMS = _sender({"": (), "log": (), "http": ("url",)}, ("send", "url", "method", "body"))
_MAIL = _sender(
    {"": (), "log": (), "smtp": ("host", "sender")},
    ("send", "host", "user", "password", "security", "sender"),
)
_CONNECTORS = Kind(_connectors_from_text, _connectors)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is in force. Every field is documented where it stands in config/hub.toml."""

    data: Annotated[Path, From("HUB_DATA", _text(_data))] = field(default_factory=_home)
    database_url: Annotated[str, From("DATABASE_URL", _POSTGRES)] = field(default="", repr=False)
    redis_url: Annotated[str, From("REDIS_URL", _REDIS)] = field(default="", repr=False)
    public_url: Annotated[str, From("PUBLIC_URL", _text(_public_url))] = ""
    host: Annotated[str, From("HUB_HOST", _text(_listen))] = "127.0.0.1"
    port: Annotated[int, From("PORT", _number(1, 65535))] = 8080
    trusted_proxies: Annotated[tuple[str, ...], From("TRUSTED_PROXIES", _list(_network))] = ()
    body_limit_mb: Annotated[int, From("HUB_BODY_LIMIT_MB", _number(1, 100))] = 10
    web_processes: Annotated[int, From("HUB_WEB_PROCESSES", _number(1, 64))] = 2
    web_threads: Annotated[int, From("HUB_WEB_THREADS", _number(64, 4096))] = 256
    api_rate: Annotated[int, From("HUB_API_RATE", _number(0, 100_000))] = 200
    workers: Annotated[int, From("HUB_WORKERS", _number(1, 64))] = 2
    batch_size: Annotated[int, From("HUB_BATCH_SIZE", _number(1, 5000))] = 500
    lease_seconds: Annotated[int, From("HUB_LEASE_SECONDS", _number(5, 3600))] = 60
    sweep_seconds: Annotated[float, From("HUB_SWEEP_SECONDS", _SECONDS)] = 2.0
    reconcile_minutes: Annotated[int, From("HUB_RECONCILE_MINUTES", _number(1, 1440))] = 10
    quarantine_rows: Annotated[int, From("HUB_QUARANTINE_ROWS", _number(0, 10_000))] = 200
    quarantine_mb: Annotated[int, From("HUB_QUARANTINE_MB", _number(0, 1000))] = 20
    quarantine_days: Annotated[int, From("HUB_QUARANTINE_DAYS", _number(0, 90))] = 7
    metrics_token: Annotated[str, From("HUB_METRICS_TOKEN", _ANY_TEXT)] = field(default="", repr=False)
    allow_private_hosts: Annotated[tuple[str, ...], From("HUB_ALLOW_PRIVATE_HOSTS", _list(_host))] = ()
    keys_file: Annotated[str, From("HUB_KEYS_FILE", _ANY_TEXT)] = ""
    keys: Annotated[tuple[str, ...], From("HUB_KEYS", _list(_key))] = field(default=(), repr=False)
    log_level: Annotated[str, From("HUB_LOG_LEVEL", _LEVELS)] = "info"
    log_format: Annotated[str, From("HUB_LOG_FORMAT", _FORMATS)] = "auto"
    sms: Annotated[Mapping[str, Any], From("HUB_SMS", _SMS)] = field(default_factory=dict, repr=False)
    mail: Annotated[Mapping[str, Any], From("HUB_MAIL", _MAIL)] = field(default_factory=dict, repr=False)
    connectors: Annotated[Mapping[str, str], From("HUB_CONNECTORS", _CONNECTORS)] = field(
        default_factory=dict
    )

    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Setting -> where its value came from (`config/hub.toml:12`, `PORT`); absent: the default."""

    def __post_init__(self) -> None:
        if not self.public_url:
            object.__setattr__(self, "public_url", f"http://localhost:{self.port}")

    @property
    def keys_path(self) -> Path:
        """The file with the encryption keys, read when `keys` is empty."""
        return Path(os.path.abspath(self.keys_file or self.data / "keys"))

    @property
    def body_limit(self) -> int:
        """The largest request body in bytes."""
        return self.body_limit_mb * MEGABYTE

    @property
    def quarantine_bytes(self) -> int:
        """The most a channel's quarantine holds, in bytes."""
        return self.quarantine_mb * MEGABYTE


KNOWN: dict[str, From] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}
"""Every setting by its name in hub.toml."""

_VARIABLES = {origin.variable: name for name, origin in KNOWN.items()}
_OUR_VARIABLES = {*_VARIABLES, "HUB_CONFIG"}


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read hub.toml (HUB_CONFIG names another) and the environment. Raises `SettingsRefused`."""
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value, source in (*_from_file(environment), *_from_environment(environment)):
        try:
            values[name] = KNOWN[name].kind.check(value)
        except Senseless as error:
            raise SettingsRefused(f"{source}: {name} {error}") from None
        sources[name] = source
    return Settings(**values, sources=sources)


def shown(settings: Settings) -> list[dict[str, str]]:
    """Rows of name, value, source for people: keys are counted and passwords masked."""
    return [
        {"setting": name, "value": _masked(name, getattr(settings, name)),
         "source": settings.sources.get(name, "default")}
        for name in KNOWN
    ]  # fmt: skip


def _from_file(environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    named = environment.get("HUB_CONFIG")
    path = Path(named) if named else DEFAULT_FILE
    if not named and not path.exists():
        return []
    text = _read(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsRefused(f"{path}: {error}") from None
    found = [(name, value, f"{path}:{_line(text, name)}") for name, value in table.items()]
    for name, _value, source in found:
        if name not in KNOWN:
            raise SettingsRefused(
                _("{source}: {name} is no setting", source=source, name=name)
                + _did_you_mean(name, KNOWN)
            )
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsRefused(
            _("HUB_CONFIG: {path} cannot be read ({error})", path=path, error=error.strerror)
        ) from None
    except UnicodeDecodeError:
        raise SettingsRefused(_("{path}: the file is not UTF-8", path=path)) from None


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    """An empty variable counts as not set. A HUB_ variable that is almost a setting is refused as
    misspelt; others (HUB_ is a popular prefix) are somebody else's."""
    found: list[tuple[str, Any, str]] = []
    for variable, text in environment.items():
        name = _VARIABLES.get(variable)
        if name is None:
            _refuse_misspelt(variable)
        elif text.strip():
            try:
                found.append((name, KNOWN[name].kind.from_text(text), variable))
            except Senseless as error:
                raise SettingsRefused(f"{variable}: {name} {error}") from None
    return found


def _refuse_misspelt(variable: str) -> None:
    if variable.startswith("HUB_") and variable not in _OUR_VARIABLES:
        meant = _did_you_mean(variable, _VARIABLES)
        if meant:
            raise SettingsRefused(_("{variable}: no such variable", variable=variable) + meant)


def _did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return _("; did you mean {name}?", name=close[0]) if close else ""


def _line(text: str, name: str) -> int:
    """The line a top-level key or table stands on (tomllib does not tell)."""
    quoted = rf"[\"']?{re.escape(name)}[\"']?"
    pattern = re.compile(rf"^\s*(?:{quoted}\s*[=.]|\[+\s*{quoted}\s*[\].])")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _masked(name: str, value: Any) -> str:
    if name == "keys":
        return f"{len(value)} key(s)" if value else ""
    if name == "metrics_token":
        return "***" if value else ""
    if name in ("sms", "mail"):
        return " ".join(f"{key}={value[key]}" for key in ("send", "host", "port") if key in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{kind}={path}" for kind, path in value.items())
    if isinstance(value, tuple):
        return ", ".join(value)
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", str(value))
