"""The command `hub`: a table of commands, each loaded when it is called, and how errors are shown.

A mistake of the operator ends as one line `error: ...`: exit code 2 when the command was written
wrongly, 1 when it could not be done. A traceback is a defect of the hub.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import click

from hub import __version__, cli_words, i18n
from hub.errors import Fault, Refusal
from hub.i18n import gettext as _

COMMANDS: Mapping[str, Mapping[str, str]] = {
    "Run": {
        "up": "Start everything and keep it running.",
        "demo": "Play a day in three sandbox shops against a running hub.",
        "config": "Show the settings in force and where they come from.",
        "migrate": "Bring the database to this version's schema.",
    },
    "Work with a programme": {
        "program": "Programmes and their rules.",
        "channel": "Connected shops and tills.",
        "member": "Members, their identities and balances.",
        "tier": "Where members stand, and what staff decide about it.",
        "event": "Events that earn points, and who brought whom.",
        "expiring": "Whose points expire next.",
        "notices": "Whom to tell what they reached.",
        "staff": "Staff as tills name them, and the members they are.",
        "alert": "What tills did that a person should look at.",
        "redeem": "Spend a member's points on a reward.",
        "redemption": "Points that are held: turn them into a code, or let them go.",
        "take-back": "Take an unused code back; its points return.",
        "vouchers": "Codes that were used twice, or are not as channels say.",
        "simulate": "What a cart or an order would earn, by the rules or a draft.",
        "sale": "What became of an order, and why it earned what it did.",
        "ledger": "The book of points: show and verify.",
    },
    "Let people in": {
        "user": "Who may log in to the dashboard, and with which role.",
    },
    "Look after messages": {
        "deliveries": "Messages in and out, and what became of them.",
        "replay": "Make deliveries due again.",
        "review": "Orders told of long after they were placed: approve or decline.",
        "quarantine": "Messages with a bad signature: see them, verify them again.",
        "inspect": "Show what recorded messages mean, without a database.",
    },
    "Keep it safe": {
        "secrets": "The key that encrypts channels' secrets.",
        "backup": "Write database and keys to one file.",
        "restore": "Fill an empty hub from a backup.",
    },
    "Single processes (hub up runs them)": {
        "web": "The web server.",
        "worker": "One worker.",
        "sweep": "The sweeper.",
    },
}
"""Section -> command -> what `hub --help` says. The command `x-y` is `hub.commands.x_y.command`."""

_HELP = {name: text for section in COMMANDS.values() for name, text in section.items()}


class Lazy(click.Group):
    """Imports a command's module when it is called: `hub --help` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _HELP:
            return None
        found: click.Command = importlib.import_module(
            f"hub.commands.{cmd_name.replace('-', '_')}"
        ).command
        return cli_words.translated(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _HELP and not args[0].startswith("-"):
            raise click.UsageError(_no_command(args[0]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _HELP))
        for section, commands in COMMANDS.items():
            with formatter.section(_(section)):
                formatter.write_dl([(name.ljust(width), _(text)) for name, text in commands.items()])


@click.group(
    cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="%(version)s")
@click.option(
    "--lang",
    type=click.Choice(i18n.LANGUAGES),
    expose_value=False,
    help="Language of what is shown (default: the terminal's, by LANG).",
)
def cli() -> None:
    """One loyalty programme for many shops and tills.

    Settings: config/hub.toml and the environment. Every command that shows something takes --json.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    cli_words.speak(_wished(words) or i18n.from_environment(os.environ))
    try:
        code = cli_words.translated(cli).main(words, prog_name="hub", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        _refuse_usage(error)
    except click.ClickException as error:
        _fail(error.format_message())
    except click.Abort:
        _fail(_("stopped"), code=130)
    except BrokenPipeError:
        _leave_quietly()
    except (Refusal, Fault) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except _database_errors() as error:
        _fail(_("the database: {error}", error=str(error.orig).strip().splitlines()[0]))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, *, code: int = 1) -> NoReturn:
    click.echo(_("error: {sentence}", sentence=sentence), err=True)
    sys.exit(code)


def _refuse_usage(error: click.UsageError) -> NoReturn:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
    _fail(error.format_message(), code=2)


def _database_errors() -> tuple[type[Any], ...]:
    """What is raised by a database that does not answer; asked for only when something was raised,
    so that a command without a database never loads SQLAlchemy."""
    if "sqlalchemy" not in sys.modules:
        return ()
    from hub.db import AWAY

    return AWAY


def _leave_quietly() -> NoReturn:
    """The reader has gone (`hub deliveries | head`); say nothing more, also not at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _wished(arguments: Sequence[str]) -> str:
    """`--lang` before the command. It is read first: the language must be known before click reads
    the rest and perhaps refuses it."""
    for here, following in pairwise([*arguments, ""]):
        if here == "--lang":
            return following
        if here.startswith("--lang="):
            return here.removeprefix("--lang=")
        if not here.startswith("-"):
            break
    return ""


def _no_command(word: str) -> str:
    import difflib

    close = difflib.get_close_matches(word, _HELP, n=1)
    if close:
        return _("there is no command {word!r}; did you mean {meant}?", word=word, meant=close[0])
    return _("there is no command {word!r} (hub --help lists them)", word=word)
