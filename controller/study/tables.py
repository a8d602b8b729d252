"""Tables of a study's report: the same rows for the terminal, the page and the documentation. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

Cell = str | int | float | None
"""None is a value that does not exist, shown as a dash; it is never zero."""
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: heading, with the unit of its figures.
        digits: digits after the point.
        percent: whether the figures are fractions, shown in percent.
        signed: whether a plus is shown, as for changes.
    """

    name: str
    digits: int = 0
    percent: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under named columns.

    Attributes:
        note: what a reader must know to read it right, shown below it.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: {len(row)} cells for {len(self.columns)} columns: {row}")


def shown(cell: Cell, column: Column) -> str:
    """Text of a cell.

    Raises:
        ValueError: a figure is not finite; what does not exist is None.
    """
    if cell is None:
        return ABSENT
    if isinstance(cell, str):
        return cell
    if not math.isfinite(cell):
        raise ValueError(f"column {column.name!r}: {cell} is not a figure; a value that does not exist is None")
    sign = "+" if column.signed else ""
    figure = round(cell * 100 if column.percent else cell, column.digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{figure:{sign},.{column.digits}f}" + (" %" if column.percent else "")


def is_figure(table: Table, index: int) -> bool:
    """Whether a column holds figures, which are aligned to the right."""
    cells = [row[index] for row in table.rows if row[index] is not None]
    return bool(cells) and not any(isinstance(cell, str) for cell in cells)


def markdown(table: Table) -> str:
    """The table as Markdown, without its title."""
    heads = "| " + " | ".join(column.name for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if is_figure(table, n) else "---" for n in range(len(table.columns))) + "|"
    rows = [
        "| " + " | ".join(shown(cell, column) for cell, column in zip(row, table.columns, strict=True)) + " |"
        for row in table.rows
    ]
    return "\n".join([heads, rule, *rows])
