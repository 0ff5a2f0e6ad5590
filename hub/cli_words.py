"""The command line in the reader's language: help texts, and click's own words.

Help texts stay plain docstrings and `help="..."` in the commands: `tools/messages.py` collects
them, and a command is translated when it is called. A language that were fixed when the module is
imported would be the wrong one for whoever asks next.
"""

from __future__ import annotations

import copy
import gettext as catalogues
import inspect
import os

import click

from hub import i18n
from hub.i18n import gettext as _


def speak(language: str) -> None:
    """Put a language in force for the hub, for click, and for the processes this one starts.

    click asks the standard library's gettext, which knows no other way than the environment.
    """
    i18n.speak(language)
    os.environ["LANGUAGE"] = i18n.language()
    catalogues.bindtextdomain(i18n.DOMAIN, str(i18n.FOLDER))
    catalogues.textdomain(i18n.DOMAIN)


def translated(command: click.Command) -> click.Command:
    """A command as it is shown: a copy of it, and of all below it, with help in the language in
    force."""
    shown = copy.copy(command)
    shown.help = _(inspect.cleandoc(command.help)) if command.help else command.help
    shown.params = [_parameter(one) for one in command.params]
    if isinstance(shown, click.Group):
        shown.commands = {name: translated(one) for name, one in shown.commands.items()}
    return shown


def _parameter(parameter: click.Parameter) -> click.Parameter:
    shown = copy.copy(parameter)
    if isinstance(shown, click.Option) and shown.help:
        shown.help = _(shown.help)
    return shown
