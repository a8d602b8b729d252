"""`wattroute fit`: fit a file of measurements and print the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from controller.errors import ConfigError
from controller.study.command import on_screen, standard_screen
from controller.study.figures import as_json
from controller.study.fit import tables as of_configurations
from controller.study.fit import windows, workload
from controller.study.fit.configurations import fit_rows
from controller.study.fit.described import document
from controller.study.fit.rows import bundled_rows, read_rows
from controller.study.tables import Table, markdown

WIDTH = 200
"""Columns of the output into a file or a pipe."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Options of `wattroute fit`.

    Attributes:
        file: measurements of configurations; None for the bundled ones.
        workload: a file of requests, whose workload models are compared instead, or `synthetic`.
        windows: a file of windows of mixed load, whose phases are told apart instead, or `emulated`.
        as_json, as_markdown: another form than tables for the screen.
    """

    file: Path | None = None
    workload: str | None = None
    windows: str | None = None
    as_json: bool = False
    as_markdown: bool = False

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            ConfigError: naming them and the remedy.
        """
        if self.as_json and self.as_markdown:
            raise ConfigError("--json and --markdown are two forms of the same tables; choose one")
        asked = [name for name in (self.file, self.workload, self.windows) if name is not None]
        if len(asked) > 1:
            raise ConfigError(f"{', '.join(map(str, asked))}: these are {len(asked)} questions; ask one at a time")


def run(options: FitOptions, console: Console | None = None) -> None:
    """Fit and print.

    Raises:
        ConfigError: an option or the file is wrong.
    """
    options.check()
    screen = console or standard_screen(WIDTH)
    made, figures = _made(options)
    if options.as_json:
        screen.out(as_json(figures), end="", highlight=False)
    elif options.as_markdown:
        screen.out("\n\n".join(_section(table) for table in made), highlight=False)
    else:
        for table in made:
            screen.print(on_screen(table))
            if table.note:
                screen.print(table.note, style="dim", markup=False, highlight=False)
            screen.print()


def _made(options: FitOptions) -> tuple[Sequence[Table], dict[str, object]]:
    if options.workload is not None:
        compared = workload.compare(workload.read_workload(options.workload))
        return workload.tables(compared), {"models": compared}
    if options.windows is not None:
        phases = windows.tell_apart(windows.read_windows(options.windows))
        return windows.tables(phases), {"configurations": phases}
    rows = bundled_rows() if options.file is None else read_rows(options.file)
    fits = [fit_rows(found) for found in rows]
    return of_configurations.tables(fits), document(fits)


def _section(table: Table) -> str:
    return "\n\n".join(part for part in (f"#### {table.title}", markdown(table), table.note) if part)
