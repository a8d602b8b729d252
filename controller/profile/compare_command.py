"""`wattroute profile --compare`: profiles against each other, as a table and as a page."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase

from rich.console import Console

from controller.errors import ConfigError
from controller.model.perf import Evidence
from controller.optimizer.workload import Lengths
from controller.profile.command import written
from controller.profile.compare import Contender, LoadRow, compare
from controller.settings import curves_file
from controller.simulation.profiles import PROFILES, fit_profile, load_profile
from controller.study import drawing
from controller.study.charts import Series, XyChart
from controller.study.command import show, standard_screen
from controller.study.page import page
from controller.study.study import Report
from controller.study.tables import Cell, Column, Table


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Options of `wattroute profile --compare`.

    Attributes:
        names: curves files, or names of built-in profiles.
    """

    names: tuple[str, ...]
    input_tokens: float = 1024.0
    output_tokens: float = 256.0
    html_file: Path | None = None


def run(options: CompareOptions, console: Console | None = None) -> int:
    """Print the comparison; returns the exit status.

    Raises:
        ConfigError: a name is wrong, or the page cannot be written.
    """
    if len(options.names) > len(ascii_uppercase):
        raise ConfigError(f"{len(options.names)} profiles are more than a table holds; compare a few at a time")
    contenders = [contender(name) for name in options.names]
    lengths = Lengths(options.input_tokens, options.output_tokens)
    report = _report(contenders, compare(contenders, lengths), lengths)
    show(report, console or standard_screen())
    if options.html_file is not None:
        origin = f"wattroute profile --compare, wattroute {importlib.metadata.version('wattroute')}"
        written(options.html_file, "--html", page(report, origin, drawing.svg))
    return 0


def contender(name: str) -> Contender:
    """A curves file or a built-in profile.

    Raises:
        ConfigError: there is none of this name, or the file is bad.
    """
    if curves_file.is_path(name):
        file = curves_file.read(Path(name))
        return Contender(name, file.provenance.gpus, file.curves())
    curves = load_profile(name)
    if curves.provenance.evidence is Evidence.MEASURED:
        curves = replace(curves, uncertainty=fit_profile(name).uncertainty())
    return Contender(name, PROFILES[name].gpus, curves)


def _report(contenders: list[Contender], rows: tuple[LoadRow, ...], lengths: Lengths) -> Report:
    served = f"{lengths.input_tokens:g} prompt and {lengths.output_tokens:g} output tokens"
    return Report(
        title=f"One instance of each at {served}",
        paragraphs=tuple(_findings(contenders, rows)),
        tables=(_table(contenders, rows),),
        charts=(_chart(contenders, rows),),
        assumptions=(
            "Each row is one instance of each profile at the same output rate; who draws less power there takes less "
            "energy for a token. A dash: more than one instance can serve.",
            "Intervals hold 95 %: the covariance of the parameters, and the error on cells that a fit had not seen. Of "
            "an estimated profile neither is known; prefill of the built-in ones is an estimate and taken as given.",
        ),
        sources=tuple(f"{one.name}: {one.curves.provenance.source}" for one in contenders),
    )


def _findings(contenders: list[Contender], rows: tuple[LoadRow, ...]) -> list[str]:
    """Ranges of loads with the same outcome."""
    found: list[str] = []
    begin = 0
    for n in range(1, len(rows) + 1):
        if n < len(rows) and _outcome(rows[n]) == _outcome(rows[begin]):
            continue
        first, last = rows[begin], rows[n - 1]
        load = f"{first.tokens_per_s:,.0f}" + (f" to {last.tokens_per_s:,.0f}" if n - 1 > begin else "")
        if first.winner is None:
            told = first.reason
        elif first.lead_frac is None:
            told = f"{contenders[first.winner].name} is {first.reason}"
        else:
            leads = [row.lead_frac for row in rows[begin:n] if row.lead_frac is not None]
            told = f"{contenders[first.winner].name} takes least, by {min(leads):.0%} to {max(leads):.0%}"
        found.append(f"At {load} tokens/s: {told}.")
        begin = n
    return found


def _outcome(row: LoadRow) -> tuple[int | None, int]:
    return row.winner, sum(point is not None for point in row.points)


def _table(contenders: list[Contender], rows: tuple[LoadRow, ...]) -> Table:
    columns = [Column("tokens/s")]
    letters = ascii_uppercase[: len(contenders)]
    for letter in letters:
        columns += [Column(f"{letter}: batch", 1), Column("W"), Column("± W"), Column("J/token", 3)]
    columns += [Column("least"), Column("by", percent=True)]
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        line: list[Cell] = [row.tokens_per_s]
        for point in row.points:
            line += [None] * 4 if point is None else [point.batch, point.power_w, point.error_w, point.j_per_token]
        line += [_least(row, letters), row.lead_frac]
        lines.append(tuple(line))
    names = "; ".join(f"{letter}: {one.name}, {one.gpus} GPUs" for letter, one in zip(letters, contenders, strict=True))
    return Table("Power at equal output rate", tuple(columns), tuple(lines), f"{names}.")


def _least(row: LoadRow, letters: str) -> str:
    if row.winner is not None:
        return letters[row.winner] if row.lead_frac is not None else f"{letters[row.winner]} alone"
    return "not distinguishable"


def _chart(contenders: list[Contender], rows: tuple[LoadRow, ...]) -> XyChart:
    rates = tuple(row.tokens_per_s for row in rows)
    return XyChart(
        title="Energy of an output token",
        x_label="output tokens/s of one instance",
        y_label="J/token",
        series=tuple(
            Series(one.name, rates, tuple(None if (p := row.points[n]) is None else p.j_per_token for row in rows))
            for n, one in enumerate(contenders)
        ),
        log_x=True,
        log_y=True,
    )
