"""`wattroute curves`: print the map from quantization to power."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from controller.errors import ConfigError
from controller.optimizer.workload import Lengths
from controller.service.compose import build_site
from controller.settings.file import load
from controller.simulation.profiles import PROFILES
from controller.study.command import on_screen, standard_screen
from controller.study.curves.table import Promise, Service, profile_rows, profiles_document, profiles_table
from controller.study.figures import as_json
from controller.study.tables import Table, markdown

ITL_SLO_MS, INPUT_TOKENS, OUTPUT_TOKENS = 60.0, 1024.0, 256.0
"""A request class's own defaults."""
WIDTH = 200
"""Columns of the output into a file or a pipe."""


@dataclass(frozen=True, slots=True)
class CurvesOptions:
    """Options of `wattroute curves`.

    Attributes:
        profiles: names of built-in profiles, or their beginnings up to a slash; empty for all.
        config: a service's configuration, whose pools and classes are shown instead; the promise is then each class's.
        itl_slo_ms, input_tokens, output_tokens: None for the defaults.
        as_json, as_markdown: another form than a table for the screen.
    """

    profiles: tuple[str, ...] = ()
    config: Path | None = None
    itl_slo_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    as_json: bool = False
    as_markdown: bool = False

    def promise(self) -> Promise:
        """What the built-in profiles are held to.

        Raises:
            ConfigError: a figure is not positive; it names the option and the remedy.
        """
        given = (
            ("--itl-slo-ms", self.itl_slo_ms, ITL_SLO_MS),
            ("--input-tokens", self.input_tokens, INPUT_TOKENS),
            ("--output-tokens", self.output_tokens, OUTPUT_TOKENS),
        )
        for option, value, default in given:
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{option} {value:g}: this is not a figure above zero; give for example {default:g}")
        itl_slo_ms, input_tokens, output_tokens = (default if value is None else value for _, value, default in given)
        return Promise(itl_slo_ms / 1000, Lengths(input_tokens, output_tokens))

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            ConfigError: naming them and the remedy.
        """
        if self.as_json and self.as_markdown:
            raise ConfigError("--json and --markdown are two forms of the same table; choose one")
        figures = (self.itl_slo_ms, self.input_tokens, self.output_tokens)
        if self.config is not None and (self.profiles or any(value is not None for value in figures)):
            raise ConfigError(
                "--config shows the pools of a service at the latency and lengths of its own classes; "
                "leave out profile names, --itl-slo-ms, --input-tokens and --output-tokens"
            )


def run(options: CurvesOptions, console: Console | None = None) -> None:
    """Print the map.

    Raises:
        ConfigError: an option, a profile's name or the configuration is wrong.
    """
    options.check()
    if options.config is not None:
        service = Service.of(build_site(load(options.config)))
        table, document = service.table(), service.document()
    else:
        promise = options.promise()
        found = profile_rows(chosen(options.profiles), promise)
        table, document = profiles_table(found, promise), profiles_document(found, promise)
    screen = console or standard_screen(WIDTH)
    if options.as_json:
        screen.out(as_json(document), end="", highlight=False)
    elif options.as_markdown:
        screen.out(markdown(table), highlight=False)
    else:
        _print(table, screen)


def chosen(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Built-in profiles of these names or beginnings, in their order; all where nothing is named.

    Raises:
        ConfigError: none is called so; it names the nearest.
    """
    for part in wanted:
        if not any(_is_of(name, part) for name in PROFILES):
            near = difflib.get_close_matches(part, PROFILES, n=3, cutoff=0.0)
            raise ConfigError(f"no built-in curves are called {part!r}; near it are {', '.join(near)}")
    return tuple(name for name in PROFILES if not wanted or any(_is_of(name, part) for part in wanted))


def _is_of(name: str, part: str) -> bool:
    return f"{name}/".startswith(f"{part.rstrip('/')}/")


def _print(table: Table, screen: Console) -> None:
    screen.print(on_screen(table))
    screen.print(table.note, style="dim", markup=False, highlight=False)
