"""`wattroute simulate`: run a scenario, show its tables, write its figures and its page."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as ScreenTable
from rich.text import Text

from controller.errors import ConfigError
from controller.study import drawing, scenario_file
from controller.study.figures import as_json
from controller.study.page import page
from controller.study.registry import STUDIES
from controller.study.scenario_file import Scenario
from controller.study.study import Outcome, Report, Working
from controller.study.study import Progress as Told
from controller.study.tables import Table, is_figure, shown

WIDTH = 180
"""Columns of the output into a file or a pipe."""
MAX_JOBS = 256
INTERRUPTED = 130
"""Exit status of a command ended by Ctrl-C, as shells give it."""


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """Options of `wattroute simulate`.

    Attributes:
        scenario: path of a file, or name of a shipped scenario.
        json_file, html_file: where the figures and the page go; None for nowhere.
        jobs, parts, keep: of a study of many parts: processes at a time, ``FIRST:END`` or one number, and the folder
            that keeps the figures of each.
    """

    scenario: str
    json_file: Path | None = None
    html_file: Path | None = None
    jobs: int = 1
    parts: str | None = None
    keep: Path | None = None

    @property
    def working(self) -> Working:
        """How a study of many parts is run.

        Raises:
            ConfigError: `parts` is no number and no range.
        """
        return Working(self.jobs, None if self.parts is None else _range(self.parts), self.keep)

    def check(self) -> None:
        """Refuse what could not be written, before the work is done.

        Raises:
            ConfigError: naming the option and the remedy.
        """
        for option, path in (("--json", self.json_file), ("--html", self.html_file)):
            if path is None:
                continue
            if path.is_dir():
                raise ConfigError(f"{option} {path}: this is a folder; name a file in it")
            if not path.absolute().parent.is_dir():
                raise ConfigError(f"{option} {path}: there is no folder {path.absolute().parent}; make it")
        if not 1 <= self.jobs <= MAX_JOBS:
            raise ConfigError(f"--jobs {self.jobs}: 1 to {MAX_JOBS} processes; give as many as there are cores")
        if self.keep is not None and self.keep.exists() and not self.keep.is_dir():
            raise ConfigError(f"--keep {self.keep}: this is a file; name a folder")
        _ = self.working


def run(options: SimulateOptions, console: Console | None = None) -> int:
    """Run the scenario; returns the exit status.

    Raises:
        ConfigError: an option or the scenario is wrong.
    """
    options.check()
    screen = console or standard_screen()
    scenario = scenario_file.load(options.scenario, STUDIES)
    try:
        with _shown_progress() as told:
            outcome = _run(scenario, options, told)
    except KeyboardInterrupt:
        screen.print("interrupted; nothing was written")
        return INTERRUPTED
    show(outcome.report, screen, heading="Assumptions")
    origin = f"scenario {scenario.name}, kind {scenario.study.kind}, wattroute {_version()}"
    if options.json_file is not None:
        _write(options.json_file, "--json", lambda: as_json(_document(scenario, outcome)))
    if options.html_file is not None:
        _write(options.html_file, "--html", lambda: page(outcome.report, origin, drawing.svg))
    return 0


def _run(scenario: Scenario, options: SimulateOptions, told: Told) -> Outcome:
    working = options.working
    if working == Working():
        return scenario.study.run(scenario.settings, told)
    if scenario.study.run_parts is None:
        raise ConfigError(
            f"--jobs, --parts and --keep: a scenario of the kind {scenario.study.kind} is one run; leave them out"
        )
    return scenario.study.run_parts(scenario.settings, told, working)


def _range(parts: str) -> tuple[int, int]:
    first, colon, end = parts.partition(":")
    try:
        begin = int(first)
        return begin, int(end) if colon else begin + 1
    except ValueError:
        raise ConfigError(f"--parts {parts}: write a number, or a range such as 0:20") from None


def show_list(console: Console | None = None) -> None:
    """Print the shipped scenarios."""
    table = ScreenTable("scenario", "kind", "what it shows", box=None, pad_edge=False)
    for name, head in scenario_file.shipped():
        table.add_row(name, head.kind, Text(head.title))
    (console or standard_screen()).print(table)


def standard_screen(width: int = WIDTH) -> Console:
    """Standard output; as wide as the tables are where it is not a terminal."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=width)


@contextlib.contextmanager
def _shown_progress() -> Iterator[Told]:
    """A bar on standard error, so that the tables alone are on standard output; none where nobody watches."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)

        def told(done_frac: float, doing: str) -> None:
            bar.update(task, completed=done_frac, description=doing)

        yield told


def show(report: Report, screen: Console, *, heading: str | None = None) -> None:
    """Print paragraphs, tables and assumptions, these under a heading where one is given."""
    screen.print(report.title, style="bold", markup=False)
    for text in report.paragraphs:
        screen.print(text, markup=False, highlight=False)
    for table in report.tables:
        screen.print()
        screen.print(on_screen(table))
        if table.note:
            screen.print(table.note, style="dim", markup=False, highlight=False)
    if heading is not None:
        screen.print(f"\n{heading}", style="bold")
    for text in report.assumptions:
        screen.print(f"- {text}", style="dim", markup=False, highlight=False)


def on_screen(table: Table) -> ScreenTable:
    """The table as text: brackets in it are no markup."""
    drawn = ScreenTable(title=Text(table.title), title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(table.columns):
        drawn.add_column(Text(column.name), justify="right" if is_figure(table, number) else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(shown(cell, column)) for cell, column in zip(row, table.columns, strict=True)))
    return drawn


def _document(scenario: Scenario, outcome: Outcome) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "kind": scenario.study.kind,
        "title": scenario.title,
        "wattroute": _version(),
        "settings": scenario.settings.model_dump(mode="json"),
        "figures": outcome.figures,
        "assumptions": outcome.report.assumptions,
        "sources": outcome.report.sources,
    }


def _version() -> str:
    return importlib.metadata.version("wattroute")


def _write(path: Path, option: str, text: Callable[[], str]) -> None:
    try:
        path.write_text(text(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {error.strerror}; choose another place") from error
