"""`wattroute profile`: measure, show, write; or compare two profiles."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from controller.clock import Clock, SystemClock
from controller.errors import ConfigError
from controller.profile import result
from controller.profile.options import ProfileOptions
from controller.profile.run import Profiled, Told, profile
from controller.store.replacing import replace_file
from controller.study import drawing
from controller.study.command import INTERRUPTED, show, standard_screen
from controller.study.page import page
from controller.study.study import Report


def run(options: ProfileOptions, console: Console | None = None, clock: Clock | None = None) -> int:
    """Profile an instance; returns the exit status.

    Raises:
        ConfigError: an option is wrong.
        ProfileError: the instance cannot be profiled as it stands.
    """
    options.check()
    screen = console or standard_screen()
    try:
        with _shown_progress() as told:
            found = asyncio.run(profile(options, told, clock or SystemClock()))
    except KeyboardInterrupt:
        screen.print(
            f"interrupted; what was measured is in {options.cells_path}: run the same command again to go on",
            markup=False,
            highlight=False,
        )
        return INTERRUPTED
    write(found, options, screen)
    return 0


def write(found: Profiled, options: ProfileOptions, screen: Console) -> None:
    """Write the curves and the page, and print the tables.

    Raises:
        ConfigError: a file cannot be written.
    """
    version = importlib.metadata.version("wattroute")
    file = result.curves_file(found, options, version)
    report = result.report(found, file)
    written(options.out, "--out", file.text())
    show(report, screen)
    drawn = _drawn(report, options.page_path, version)
    screen.print(
        f"\nwrote {options.out}{drawn}; name it in plan.pools.NAME.curves",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _drawn(report: Report, path: Path, version: str) -> str:
    """Write the page; returns what is told of it."""
    try:
        text = page(report, f"wattroute profile, wattroute {version}", drawing.svg)
    except ConfigError as error:  # the package that draws is an extra
        return f" (no page: {error})"
    written(path, "--page", text)
    return f", with the page {path}"


def written(path: Path, option: str, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be written: {error.strerror}; choose another place") from error


@contextlib.contextmanager
def _shown_progress() -> Iterator[Told]:
    """A bar with the time left on standard error; plain lines where nobody watches."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("finding out what the instance is", total=None)

        def told(done: int, of: int, doing: str) -> None:
            bar.update(task, completed=done, total=of, description=doing)
            if not console.is_terminal:
                console.print(f"{done} of {of} cells; now {doing}", markup=False, highlight=False, soft_wrap=True)

        yield told
