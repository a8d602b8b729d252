"""Prefill and decode told apart, from a file of windows of mixed load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.energy.load_power import RestPower, rest_power
from controller.energy.phases import PhaseFit, fit_phases
from controller.energy.window import Window
from controller.errors import ConfigError, FitRefused
from controller.study.fit.sheet import Line, Sheet, read_sheet, shipped_sheet
from controller.study.tables import Cell, Column, Table

EMULATED = "emulated"
EMULATED_FILE = "EMULATED_windows.csv"
COLUMNS = ("configuration", "wall_s", "energy_j", "prompt_tokens", "generation_tokens", "answers", "busy_s")
STEPS, LOAD = "steps", "load"
BATCH = 32
"""At which the fixed part of a decode step is shared out."""


@dataclass(frozen=True, slots=True)
class Phases:
    """One configuration.

    Attributes:
        rest: power in the windows without work, taken as idle power.
    """

    configuration: str
    windows: int
    rest: RestPower
    fit: PhaseFit

    @property
    def prefill_j(self) -> float | None:
        """Energy of a prompt token, P0 over its time included; None where steps were not counted."""
        cost = self.fit.prefill()
        return None if cost is None else cost.j

    @property
    def decode_j(self) -> float | None:
        """Energy of a decoded token at `BATCH`, its share of the step included; None where steps were not counted."""
        time = self.fit.time
        if time is None:
            return None
        step_s = time.value("step_base_s") + BATCH * time.value("step_per_seq_s")
        return self.fit.energy.value("p0_w") * step_s / BATCH + self.fit.energy.value("decode_j_per_token")


def read_windows(name: str) -> Sheet:
    """Windows of a file, or of the one that comes with the package under the name `emulated`.

    Raises:
        ConfigError: the file cannot be read or is not CSV.
    """
    return shipped_sheet("controller.study.fit", EMULATED_FILE) if name == EMULATED else read_sheet(Path(name))


def tell_apart(sheet: Sheet) -> tuple[Phases, ...]:
    """Both phases of every configuration.

    Raises:
        ConfigError: a column is missing, a figure is wrong, or the windows of a configuration carry no fit.
    """
    sheet.require(COLUMNS, "windows")
    found: dict[str, list[tuple[Window, str]]] = {}
    for line in sheet.lines:
        label = line.text(LOAD) if LOAD in line.cells else str(line.number)
        found.setdefault(line.text("configuration"), []).append((_window(line), label))
    return tuple(_phases(sheet.source, name, rows) for name, rows in found.items())


def _window(line: Line) -> Window:
    window = Window(
        wall_s=line.figure("wall_s"),
        energy_j=line.figure("energy_j"),
        prompt_tokens=line.figure("prompt_tokens", above=False),
        generation_tokens=line.figure("generation_tokens", above=False),
        answers=line.figure("answers", above=False),
        busy_s=line.figure("busy_s", above=False),
        steps=line.figure(STEPS, above=False) if STEPS in line.cells else None,
    )
    try:
        window.check()
    except FitRefused as error:
        raise ConfigError(f"{line.source}, line {line.number}: {error}") from error
    return window


def _phases(source: str, name: str, rows: list[tuple[Window, str]]) -> Phases:
    worked = [(window, label) for window, label in rows if window.busy_s]
    try:
        rest = rest_power([window for window, _ in rows if not window.busy_s])
        fit = fit_phases([window for window, _ in worked], rest.mean_w, [label for _, label in worked])
    except FitRefused as error:
        raise ConfigError(f"{source}: {name}: {error}") from error
    return Phases(name, len(worked), rest, fit)


def tables(found: Sequence[Phases]) -> tuple[Table, ...]:
    """The phases' energies, then the parameters behind them."""
    return _energies(found), _parameters(found)


def _energies(found: Sequence[Phases]) -> Table:
    return Table(
        title="Prefill and decode told apart",
        columns=(
            Column("configuration"),
            Column("windows"),
            Column("prefill, mJ/prompt token", 1),
            Column(f"decode at {BATCH}, mJ/token"),
            Column("energy held out", 2, percent=True),
            Column("time held out", 2, percent=True),
        ),
        rows=tuple(
            (
                p.configuration,
                p.windows,
                _milli(p.prefill_j),
                _milli(p.decode_j),
                p.fit.energy.errors.held_out_mape_frac,
                None if p.fit.time is None else p.fit.time.errors.held_out_mape_frac,
            )
            for p in found
        ),
        note="With P0 over the time of each phase. Held out: windows are predicted by a fit to those of other loads. A "
        "dash: steps were not counted.",
    )


def _parameters(found: Sequence[Phases]) -> Table:
    return Table(
        title="Parameters of the phases",
        columns=(
            Column("configuration"),
            Column("idle, W"),
            Column("P0, W"),
            Column("e, mJ/token"),
            Column("q, mJ/prompt token"),
            Column("a, ms"),
            Column("b, ms"),
            Column("p, µs/prompt token"),
        ),
        rows=tuple((p.configuration, _spread(p.rest.mean_w, p.rest.sd_w), *_values(p.fit)) for p in found),
        note="± is one standard deviation. e and q are above P0 over the time.",
    )


def _values(fit: PhaseFit) -> tuple[Cell, ...]:
    energy = (("p0_w", 1.0), ("decode_j_per_token", 1e3), ("prefill_j_per_token", 1e3))
    time = (("step_base_s", 1e3), ("step_per_seq_s", 1e3), ("prefill_s_per_token", 1e6))
    known = tuple(_spread(unit * fit.energy.value(name), unit * fit.energy.sd(name)) for name, unit in energy)
    if fit.time is None:
        return (*known, None, None, None)
    return (*known, *(_spread(unit * fit.time.value(name), unit * fit.time.sd(name)) for name, unit in time))


def _spread(value: float, sd: float) -> str:
    return f"{value:.4g} ± {sd:.1g}"


def _milli(joules: float | None) -> float | None:
    return None if joules is None else 1000 * joules
