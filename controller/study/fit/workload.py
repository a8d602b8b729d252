"""Workload models of a file of requests: the published ones and ours, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.energy.term_fit import TermFit
from controller.energy.workload import PUBLISHED, TERMS, Request, fit_workload, predict
from controller.errors import ConfigError, FitRefused
from controller.study.fit.ordinary import OrdinaryFit, fit_ordinary
from controller.study.fit.sheet import Sheet, read_sheet, shipped_sheet
from controller.study.tables import Column, Table

SYNTHETIC = "synthetic"
SYNTHETIC_FILE = "SYNTHETIC_workload_grid.csv"
COLUMNS = ("model", "input_tokens", "output_tokens", "energy_j", "runtime_s")
FIGURES = (("energy", "J"), ("runtime", "s"))


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of one model by both.

    Attributes:
        figure, unit: energy in J, or runtime in s.
        negative: how many of the requests get a figure below zero by ours.
    """

    model: str
    figure: str
    unit: str
    requests: int
    published: OrdinaryFit
    ours: TermFit
    negative: int


def read_workload(name: str) -> Sheet:
    """Requests of a file, or of the grid that comes with the package under the name `synthetic`.

    Raises:
        ConfigError: the file cannot be read or is not CSV.
    """
    if name != SYNTHETIC:
        return read_sheet(Path(name))
    return shipped_sheet("controller.study.fit", SYNTHETIC_FILE)


def compare(sheet: Sheet) -> tuple[Compared, ...]:
    """Both models of every figure of every model in a file.

    Raises:
        ConfigError: a column is missing, a figure is wrong, or the requests of a model carry no fit.
    """
    sheet.require(COLUMNS, "requests")
    by_model: dict[str, list[tuple[Request, float, float]]] = {}
    for line in sheet.lines:
        request = Request(line.figure("input_tokens"), line.figure("output_tokens"))
        row = (request, line.figure("energy_j"), line.figure("runtime_s"))
        by_model.setdefault(line.text("model"), []).append(row)
    found = []
    for model, rows in by_model.items():
        requests = [row[0] for row in rows]
        for number, (figure, unit) in enumerate(FIGURES):
            measured = [(row[1], row[2])[number] for row in rows]
            found.append(_compared(sheet.source, model, figure, unit, requests, measured))
    return tuple(found)


def _compared(
    source: str, model: str, figure: str, unit: str, requests: list[Request], measured: list[float]
) -> Compared:
    try:
        ours = fit_workload(requests, measured)
    except FitRefused as error:
        raise ConfigError(f"{source}: {model}, {figure}: {error}") from error
    negative = sum(predict(ours, request) < 0 for request in requests)
    published = fit_ordinary(requests, measured)
    return Compared(model, figure, unit, len(requests), published, ours, negative)


def tables(found: Sequence[Compared]) -> tuple[Table, ...]:
    """Errors of both, then the coefficients of each."""
    return _errors(found), _published(found), _ours(found)


def _errors(found: Sequence[Compared]) -> Table:
    return Table(
        title="Published workload models and ours",
        columns=(
            Column("model"),
            Column("figure"),
            Column("requests"),
            Column("published: MAPE", percent=True),
            Column("held out", percent=True),
            Column("below zero"),
            Column("ours: MAPE", 1, percent=True),
            Column("held out", 1, percent=True),
            Column("below zero"),
        ),
        rows=tuple(
            (
                c.model,
                c.figure,
                c.requests,
                c.published.mape_frac,
                c.published.held_out_mape_frac,
                c.published.negative,
                c.ours.errors.mape_frac,
                c.ours.errors.held_out_mape_frac,
                c.negative,
            )
            for c in found
        ),
        note="Held out: each request is predicted by a fit to all others. Below zero: requests for which the fit gives "
        "a negative figure.",
    )


def _published(found: Sequence[Compared]) -> Table:
    return Table(
        title="Published form, ordinary least squares without a fixed part",
        columns=(
            Column("model"),
            Column("figure"),
            *(Column(name) for name in PUBLISHED),
            Column("R² about zero", 3),
            Column("F"),
            Column("largest p"),
        ),
        rows=tuple(
            (
                c.model,
                f"{c.figure}, {c.unit}",
                *(f"{value:.3g}" for value in c.published.values),
                c.published.r2,
                c.published.f,
                f"{max(c.published.p_values):.1g}",
            )
            for c in found
        ),
        note="R² is about zero and decided by the largest requests; the errors above are not.",
    )


def _ours(found: Sequence[Compared]) -> Table:
    return Table(
        title="Ours, relative errors and no negative coefficient",
        columns=(Column("model"), Column("figure"), *(Column(name) for name in TERMS), Column("R²", 3)),
        rows=tuple(
            (
                c.model,
                f"{c.figure}, {c.unit}",
                *(f"{value:.3g} ± {c.ours.sd(name):.1g}" for name, value in zip(TERMS, c.ours.values, strict=True)),
                c.ours.errors.r2,
            )
            for c in found
        ),
        note="± is one standard deviation; ± 0 where the bound holds the coefficient at zero.",
    )
