"""A CSV file of measurements, with the line and the column of every figure for those who wrote it."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from controller.errors import ConfigError

MOST_BYTES = 10_000_000
MOST_ROWS = 10_000
MOST = 1e12
"""No figure of a measurement is larger; squares of larger ones leave the range of floating point."""
COMMENT = "#"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a file.

    Attributes:
        source: name of the file.
        number: of the line, from 1.
    """

    source: str
    number: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """A cell that is not empty.

        Raises:
            ConfigError: it is.
        """
        value = self.cells[column].strip()
        if not value:
            raise self.wrong(column, "it is empty; write a value or leave the line out")
        return value

    def figure(self, column: str, least: float = 0.0, *, above: bool = True) -> float:
        """A finite figure above `least`, or at least that where `above` is false.

        Raises:
            ConfigError: it is none.
        """
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise self.wrong(column, f"{text!r} is no number") from None
        if not math.isfinite(value) or value < least or (above and value == least):
            raise self.wrong(column, f"{text} must be a finite number {'above' if above else 'of at least'} {least:g}")
        if value > MOST:
            raise self.wrong(column, f"{text} is more than {MOST:g}; correct it, or its unit")
        return value

    def wrong(self, column: str, what: str) -> ConfigError:
        """An error that names the place."""
        return ConfigError(f"{self.source}, line {self.number}, column {column}: {what}")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file's columns and rows."""

    source: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    def require(self, columns: Sequence[str], what: str) -> None:
        """Refuse a file without columns that it needs.

        Raises:
            ConfigError: naming them.
        """
        missing = [column for column in columns if column not in self.columns]
        if missing:
            raise ConfigError(
                f"{self.source}, line 1: {what} need the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
                f"there are {', '.join(self.columns)}"
            )


def read_sheet(path: Path) -> Sheet:
    """Read a CSV file whose first line names the columns; lines that begin with # are left out.

    Raises:
        ConfigError: it cannot be read, is too large, or a line has another number of cells than there are columns.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(
                f"{path}: more than {MOST_BYTES // 1_000_000} MB; give the measurements alone, one a line"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; name a CSV file of measurements") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as CSV in UTF-8") from error
    return parse_sheet(text, str(path))


def shipped_sheet(package: str, name: str) -> Sheet:
    """A file of a package's folder `data`.

    Raises:
        ConfigError: it is missing or unreadable.
    """
    try:
        text = resources.files(package).joinpath("data", name).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the shipped {name} cannot be read ({error}); install wattroute again") from error
    return parse_sheet(text, name)


def parse_sheet(text: str, source: str) -> Sheet:
    """The same from text.

    Raises:
        ConfigError: as `read_sheet`.
    """
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith(COMMENT)
    ]
    if not numbered:
        raise ConfigError(f"{source}: no lines; the first names the columns, each other one is a measurement")
    if len(numbered) > MOST_ROWS:
        raise ConfigError(f"{source}: {len(numbered)} lines are more than {MOST_ROWS}; average repeated measurements")
    columns = tuple(cell.strip() for cell in _cells(numbered[0][1], f"{source}, line {numbered[0][0]}"))
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ConfigError(f"{source}, line {numbered[0][0]}: column {', '.join(twice)} twice; keep one")
    lines = []
    for number, line in numbered[1:]:
        cells = _cells(line, f"{source}, line {number}")
        if len(cells) != len(columns):
            raise ConfigError(
                f"{source}, line {number}: {len(cells)} cells for {len(columns)} columns; cells are parted by commas, "
                "and 31.5 is written with a point"
            )
        lines.append(Line(source, number, dict(zip(columns, cells, strict=True))))
    if not lines:
        raise ConfigError(f"{source}: no measurements below the line of columns")
    return Sheet(source, columns, tuple(lines))


def _cells(line: str, where: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise ConfigError(f"{where}: no line of CSV ({error}); save the file as CSV, one measurement a line") from error
