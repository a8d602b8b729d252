"""Measured cells, and the file that a profile goes on from: JSON lines, the first of which says what is measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controller.errors import ConfigError
from controller.profile.design import Cell
from controller.profile.estimate import Row
from controller.profile.steady import MAX_SPREAD_FRAC, Steadiness
from controller.store.replacing import replace_file

FORMAT = 1
MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class MeasuredCell:
    """One cell as measured.

    Attributes:
        row: totals of its window.
        power_cv, rate_cv: spread between the parts of the window.
        window_s: length of the window, times without a request included.
        running, waiting: mean requests in the engine's batch and before it.
        itl_s: mean time between two tokens as the client saw it; None where it saw none.
        answers: that came whole with status 200 in the window and its warm-up.
        refused: answers with status 429, 503 and the like.
        fault: why the cell is left out of the fit; empty where it is used.
    """

    cell: Cell
    row: Row
    power_cv: float
    rate_cv: float
    window_s: float
    running: float
    waiting: float
    itl_s: float | None
    answers: int
    refused: int
    preemptions: int
    fault: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether the fit may use it."""
        return not self.fault

    @property
    def spread(self) -> Steadiness:
        """How steady its window was."""
        return Steadiness(self.power_cv, self.rate_cv)

    @property
    def output_tokens_per_s(self) -> float:
        """Tokens decoded per second of the busy time."""
        return self.row.decode_tokens / self.row.busy_s


@dataclass(frozen=True, slots=True)
class Rest:
    """Power without work, and the changes of state that were timed; None where not measured."""

    idle_w: float
    sleeping_w: float | None = None
    sleep_s: float | None = None
    wake_s: float | None = None


class CellsFile:
    """Where the cells of one profile are kept as they come.

    Attributes:
        cells: those measured so far, in order.
        rest: power without work; None until measured.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], max_spread_frac: float = MAX_SPREAD_FRAC) -> None:
        self.path = path
        self._max_spread_frac = max_spread_frac
        self._head = {"wattroute_profile_cells": FORMAT, **head}
        self.cells: list[MeasuredCell] = []
        self.rest: Rest | None = None

    def open(self) -> None:
        """Read what an earlier run left, or begin the file.

        Raises:
            ConfigError: the file is of another target or design, is damaged, or cannot be written.
        """
        if not self.path.exists():
            self._write("w", self._head)
            return
        lines = self._lines()
        if not lines or self._is_of_another(lines):
            self._write("w", self._head)
            return
        for number, line in enumerate(lines[1:], start=2):
            self._take(self._parse(line, number), number)
        self._cut_to(lines)

    def forget_faulted(self) -> list[Cell]:
        """Drop the cells that were left out, so that they can be measured anew; returns those without a usable window.

        Cells of an earlier run that let more pass count as left out.

        Raises:
            ConfigError: the file cannot be written.
        """
        kept = [cell for cell in self.cells if cell.is_usable and cell.spread.is_within(self._max_spread_frac)]
        usable = {cell.cell for cell in kept}
        faulted = dict.fromkeys(cell.cell for cell in self.cells if cell not in kept)
        if faulted:
            self.cells = kept
            rest = [] if self.rest is None else [{"rest": asdict(self.rest)}]
            entries = [self._head, *rest, *({"cell": asdict(cell)} for cell in self.cells)]
            self._replace("".join(json.dumps(entry) + "\n" for entry in entries))
        return [cell for cell in faulted if cell not in usable]

    def add(self, cell: MeasuredCell) -> None:
        """Keep a cell.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.cells.append(cell)
        self._write("a", {"cell": asdict(cell)})

    def set_rest(self, rest: Rest) -> None:
        """Keep the power without work.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.rest = rest
        self._write("a", {"rest": asdict(rest)})

    def _lines(self) -> list[str]:
        """Whole lines; a last one that a killed run left unfinished is dropped."""
        try:
            raw = self.path.read_bytes()
            if len(raw) > MAX_BYTES:
                raise ConfigError(f"--cells {self.path}: {len(raw)} bytes; is this a file of cells?")
            return [line for line in raw.decode().split("\n")[:-1] if line]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--cells {self.path}: cannot be read ({error}); choose another place") from error

    def _cut_to(self, lines: list[str]) -> None:
        """Leave whole lines only, so that what is added begins on a line of its own."""
        whole = "".join(f"{line}\n" for line in lines)
        if lines and len(whole.encode()) != self.path.stat().st_size:
            self._replace(whole)

    def _replace(self, text: str) -> None:
        """Write the file anew, whole or not at all: a full disk must not cost what was measured."""
        try:
            replace_file(self.path, text.encode())
        except OSError as error:
            raise self._unwritten(error) from error

    def _parse(self, line: str, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, str(error)) from error
        if not isinstance(found, dict):
            raise self._damaged(number, "not an object")
        return found

    def _is_of_another(self, lines: list[str]) -> bool:
        """Whether the file is of another profile, which ended before its first cell.

        Raises:
            ConfigError: the other one has cells, or the file is none of cells.
        """
        found, ours = self._parse(lines[0], 1), json.loads(json.dumps(self._head))
        if found == ours:
            return False
        if found.get("wattroute_profile_cells") != FORMAT:
            raise self._damaged(1, "it does not begin as a file of cells does")
        if not any("cell" in self._parse(line, number) for number, line in enumerate(lines[1:], start=2)):
            return True
        keys = [key for key in ours if found.get(key) != ours[key]]
        other = [f"{key}: {found.get(key)!r} there, {ours.get(key)!r} now" for key in keys]
        raise ConfigError(
            f"--cells {self.path} holds cells of another profile ({'; '.join(other)[:600]}); give --cells another "
            "place, or remove the file"
        )

    def _take(self, entry: dict[str, Any], number: int) -> None:
        try:
            if "rest" in entry:
                self.rest = Rest(**entry["rest"])
            elif "cell" in entry:
                values = dict(entry["cell"])
                row = Row(**values.pop("row"))
                if not all(math.isfinite(value) for value in asdict(row).values()):
                    raise ValueError("a total is not finite")
                self.cells.append(MeasuredCell(Cell(**values.pop("cell")), row, **values))
            else:
                raise ValueError("neither a cell nor a rest")
        except (TypeError, ValueError, KeyError) as error:
            raise self._damaged(number, str(error)) from error

    def _damaged(self, number: int, reason: str) -> ConfigError:
        return ConfigError(
            f"--cells {self.path}:{number}: {reason}; remove the line or the file, or give --cells another place"
        )

    def _write(self, mode: str, entry: Mapping[str, Any]) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as out:
                out.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"--cells {self.path}: cannot be written: {error.strerror}; make room or choose another place"
        )
