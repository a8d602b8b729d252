"""What the modules of the command line share."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from controller.errors import ConfigError
from router import logs

Config = Annotated[Path, typer.Option("--config", help="Configuration file.", show_default=False)]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Settings of a command that hands all its arguments, --help included, to another one."""


def command_group(name: str, told: str) -> typer.Typer:
    """A command that has commands of its own, and without one tells which."""
    return typer.Typer(
        name=name,
        help=told,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def load(name: str) -> ModuleType:
    """Import a module.

    Raises:
        ConfigError: it needs a package that the bare install leaves out.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("controller", "router"):
            raise
        raise ConfigError(
            f"this command needs the package {error.name!r}, which the bare install leaves out; "
            "run: pip install 'wattroute[controller]'"
        ) from error


def log_to_stderr(level: str) -> None:
    """Write log lines of a level and above to the standard error.

    Raises:
        ConfigError: there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigError(f"--log-level {level!r} is not one of debug, info, warning, error")
    logs.to_stderr(number)
