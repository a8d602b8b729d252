"""`wattroute quality table`: what precisions cost in quality, who says so, and what a configuration makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from controller.errors import ConfigError
from controller.quality.table import BEST, Loss, Row, Task, look_up
from controller.service.quality_losses import Losses, load_rows
from controller.settings.file import Settings, load
from controller.study.command import on_screen, standard_screen
from controller.study.figures import as_json
from controller.study.tables import Cell, Column, Table, markdown
from router.contract import Precision

WIDTH = 200
"""Columns of the output into a file or a pipe."""
NOTE = (
    "Losses are points of the benchmark's score, in percent; a negative one scored higher, and counts as 0. "
    "Published figures were measured by others on other machines; a bound is a figure that is only said to be less."
)
PLAN_NOTE = (
    "Where several rows of the table fit, the worst counts. An estimate stands in where no row is of this model, "
    "precision and kind of task: wattroute quality run measures it."
)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Options of `wattroute quality table`.

    Attributes:
        config: a configuration, whose pools and classes are shown instead of the rows.
        model: look up this model instead of showing the rows.
        measured: files of `wattroute quality run` to take in.
        as_json, as_markdown: another form than a table for the screen.
    """

    config: Path | None = None
    model: str | None = None
    measured: tuple[Path, ...] = ()
    as_json: bool = False
    as_markdown: bool = False


def run(options: TableOptions, console: Console | None = None) -> None:
    """Print the table.

    Raises:
        ConfigError: options contradict each other, a file cannot be used, or nothing is known of the model.
    """
    if options.as_json and options.as_markdown:
        raise ConfigError("--json and --markdown are two forms of the same table; choose one")
    if options.config is not None and (options.model is not None or options.measured):
        raise ConfigError("--config names its own models and measured files; leave out --model and --measured")
    if options.config is not None:
        table = _of_service(load(options.config))
    else:
        rows = load_rows(options.measured)
        table = _of_rows(rows) if options.model is None else _of_model(rows, options.model)
    screen = console or standard_screen(WIDTH)
    if options.as_json:
        screen.out(as_json({"note": table.note, "rows": _records(table)}), end="", highlight=False)
    elif options.as_markdown:
        screen.out(markdown(table), highlight=False)
    else:
        screen.print(on_screen(table))
        screen.print(table.note, style="dim", markup=False, highlight=False)


def _of_rows(rows: tuple[Row, ...]) -> Table:
    columns = (
        Column("model"), Column("precision"), Column("scheme"), Column("benchmark"), Column("task"),
        Column("loss", 2, percent=True, signed=True), Column("low", 2, percent=True, signed=True),
        Column("high", 2, percent=True, signed=True), Column("kind"), Column("source"),
    )  # fmt: skip
    cells: list[tuple[Cell, ...]] = [
        (
            row.model, row.precision.value, row.scheme, row.benchmark, row.task.value,
            row.loss_frac, row.low_frac, row.high_frac, row.origin.value, row.source,
        )
        for row in rows
    ]  # fmt: skip
    return Table("Quality lost by precision", columns, tuple(cells), NOTE)


_LOSS_COLUMNS = (
    Column("precision"),
    Column("task"),
    Column("loss", 2, percent=True),
    Column("estimate"),
    Column("how"),
)


def _of_model(rows: tuple[Row, ...], model: str) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for precision in Precision:
        for task in Task:
            found = None if precision is BEST else look_up(rows, model, precision, task)
            if found is not None:
                cells.append((precision.value, task.value, *_told(found)))
    if not cells:
        raise ConfigError(
            f"the quality table knows nothing of {model!r}, and its name tells no size such as 8b; "
            "give another name, or measure it: wattroute quality run"
        )
    return Table(f"Quality lost by {model}", _LOSS_COLUMNS, tuple(cells), PLAN_NOTE)


def _of_service(settings: Settings) -> Table:
    settings.require_plan()
    losses = Losses.of(settings)
    cells: list[tuple[Cell, ...]] = []
    for pool in settings.pools:
        told = losses.told_of_pool(pool.name)
        figure = (losses.of_pool(pool.name), "no", "as configured")
        cells.append((f"pool {pool.name}", pool.precision.value, *(figure if told is None else _told(told))))
    for cls in settings.classes:
        looked_up = losses.told_of_class(cls.name)
        for precision, loss_frac in losses.of_class(cls.name):
            own = (loss_frac, "no", "as configured")
            found = looked_up.get(precision)
            cells.append((f"class {cls.name}", precision.value, *(own if found is None else _told(found))))
    columns = (Column("of"), Column("precision"), *_LOSS_COLUMNS[2:])
    return Table("Quality lost as the plan sees it", columns, tuple(cells), PLAN_NOTE)


def _told(found: Loss) -> tuple[float, str, str]:
    return found.loss_frac, "yes" if found.is_estimate else "no", found.how


def _records(table: Table) -> list[dict[str, Cell]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]
