"""Fits of configurations as tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from controller.energy.least_squares import Errors
from controller.energy.load_power import Load
from controller.energy.step_fit import AffineFit, StepFit
from controller.energy.uncertainty import power_interval
from controller.energy.verdict import MOST_HELD_OUT_MAPE_FRAC, REMEDY
from controller.study.fit.configurations import Fitted, medians
from controller.study.fit.ranks import rank_precisions
from controller.study.tables import Cell, Column, Table

CLEARLY = 2 / 3
"""Share of the straight fit's held-out error of throughput that a bent one may have, to be shown as better."""
WORTH_BENDING = 0.01
"""A straight fit that is off by less needs no bend."""


def _errors_of(name: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}: R²", 2),
        Column("MAPE", 1, percent=True),
        Column("held out", 1, percent=True),
    )


def tables(fits: Sequence[Fitted]) -> tuple[Table, ...]:
    """All tables, without those that would be empty."""
    made = (
        _medians(fits),
        _errors(fits),
        _coefficients(fits),
        _bends(fits),
        _ranks(fits),
        _left_out(fits),
        _refused(fits),
    )
    return tuple(table for table in made if table.rows)


def _medians(fits: Sequence[Fitted]) -> Table:
    return Table(
        title="Median held-out errors",
        columns=(
            Column("model"),
            Column("configurations"),
            Column("refused"),
            Column("power", 1, percent=True),
            Column("throughput", 1, percent=True),
            Column("ITL", 1, percent=True),
            Column("bent: power", 1, percent=True),
            Column("bent: throughput", 1, percent=True),
            Column("bent: ITL", 1, percent=True),
        ),
        rows=tuple(
            (
                m.kind.value,
                m.configurations,
                m.refused,
                m.power_frac,
                m.throughput_frac,
                m.itl_frac,
                m.bent_power_frac,
                m.bent_throughput_frac,
                m.bent_itl_frac,
            )
            for m in medians(fits)
        ),
        note="Mean absolute relative error where each measurement is predicted by a fit that did not see it; the "
        "median is over configurations, the refused ones included. Bent: with a term in log2(1 + B).",
    )


def _errors(fits: Sequence[Fitted]) -> Table:
    return Table(
        title="Errors of each configuration",
        columns=(
            Column("configuration"),
            Column("rows"),
            *_errors_of("power"),
            *_errors_of("throughput"),
            *_errors_of("ITL"),
            Column("for plans"),
        ),
        rows=tuple(
            (
                fitted.rows.name,
                len(fit.samples),
                *_figures(fit.power),
                *_figures(fit.throughput),
                *_figures(fit.itl),
                "yes" if fitted.refused is None else "refused",
            )
            for fitted, fit in _straight(fits)
        ),
        note=f"Rows in steady state. Refused: power or throughput held out is off by more than "
        f"{100 * MOST_HELD_OUT_MAPE_FRAC:.0f} %. Where power hardly changes with the batch, R² says little.",
    )


def _coefficients(fits: Sequence[Fitted]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    counted = any(fit.prefill_s_per_token is not None for _, fit in _straight(fits))
    for fitted, fit in _straight(fits):
        batch = fit.batches[1]
        rate = fit.tokens_per_s_at(batch)
        low, full = power_interval(fit, Load(0.0)), power_interval(fit, Load(rate))
        rows.append(
            (
                fitted.rows.name,
                1000 * fit.time.intercept,
                1000 * fit.time.slope,
                _with_reach(low.mean_w, low.high_w - low.mean_w),
                1000 * fit.decode_j_per_token,
                *(_prefill(fit) if counted else ()),
                batch,
                rate,
                _with_reach(full.mean_w, full.high_w - full.mean_w),
            )
        )
    return Table(
        title="Coefficients",
        columns=(
            Column("configuration"),
            Column("a, ms", 2),
            Column("b, ms", 4),
            Column("P0, W"),
            Column("e, mJ/token", 1),
            *((Column("p, µs/prompt token", 1), Column("q, mJ/prompt token", 1)) if counted else ()),
            Column("largest batch"),
            Column("tokens/s there"),
            Column("W there"),
        ),
        rows=tuple(rows),
        note=("T = a + b·B + p·K and P = P0 + e·μ + q·κ" if counted else "T = a + b·B and P = P0 + e·μ")
        + ", of the whole instance; ± is the reach of the 95 % confidence interval of the mean. e = 0: power does not "
        "rise with the rate in these rows, and the bound holds it.",
    )


def _prefill(fit: StepFit) -> tuple[Cell, Cell]:
    seconds, joules = fit.prefill_s_per_token, fit.prefill_j_per_token
    return (None if seconds is None else 1e6 * seconds, None if joules is None else 1000 * joules)


def _with_reach(mean: float, reach: float) -> str:
    return f"{mean:,.0f} ± {reach:,.0f}"


def _bends(fits: Sequence[Fitted]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for fitted, fit in _straight(fits):
        bent = fitted.bent
        off_frac = fit.throughput.held_out_mape_frac
        if bent is None or off_frac < WORTH_BENDING or bent.throughput.held_out_mape_frac > CLEARLY * off_frac:
            continue
        rows.append(
            (
                fitted.rows.name,
                1000 * bent.step_base_s,
                1000 * bent.step_per_seq_s,
                1000 * bent.step_per_doubling_s,
                fit.throughput.held_out_mape_frac,
                bent.throughput.held_out_mape_frac,
                fit.itl.held_out_mape_frac,
                bent.itl.held_out_mape_frac,
                bent.power.held_out_mape_frac,
            )
        )
    return Table(
        title="Where a bent step time predicts clearly better",
        columns=(
            Column("configuration"),
            Column("a, ms", 2),
            Column("b, ms", 4),
            Column("c, ms", 3),
            Column("throughput held out: straight", 1, percent=True),
            Column("bent", 1, percent=True),
            Column("ITL held out: straight", 1, percent=True),
            Column("bent", 1, percent=True),
            Column("power held out: bent", 1, percent=True),
        ),
        rows=tuple(rows),
        note="T = a + b·B + c·log2(1 + B), P = P0 + e·μ. Clearly: throughput held out is off by a third less.",
    )


def _ranks(fits: Sequence[Fitted]) -> Table:
    return Table(
        title="Which precision needs less energy a token, by the fits",
        columns=(
            Column("BF16"),
            Column("FP8"),
            Column("batches"),
            Column("wrong: straight"),
            Column("bent"),
            Column("rates"),
            Column("wrong: straight"),
            Column("bent"),
            Column("break-even: measured"),
            Column("straight"),
            Column("bent"),
        ),
        rows=tuple(
            (
                r.base,
                r.other,
                *astuple(r.batches),
                *astuple(r.rates),
                r.break_even,
                r.straight_break_even,
                r.bent_break_even,
            )
            for r in rank_precisions(fits)
        ),
        note="Batches: those measured at which joules a token at equal concurrency differ by more than 3 %; rates: "
        "those at which power at equal rates does, an instance of either; wrong: at how many of them the fits call the "
        "other one better. Break-even: concurrency from which on FP8 needs less a token; a dash: the rank does not "
        "change in the range that both were measured in.",
    )


def _left_out(fits: Sequence[Fitted]) -> Table:
    return Table(
        title="Rows left out",
        columns=(Column("configuration"), Column("batch", 1), Column("step time over median ITL", 2)),
        rows=tuple(
            (fitted.rows.name, sample.batch, sample.step_s / sample.median_itl_s)
            for fitted in fits
            for sample in fitted.odd
        ),
        note="A step time (batch over throughput) more than 1.5 times away from the median time between tokens: "
        "sequences were queued or preempted, and the mean batch does not describe the steps.",
    )


def _refused(fits: Sequence[Fitted]) -> Table:
    return Table(
        title="Refused, and what to do",
        columns=(
            Column("configuration"),
            Column("reason"),
            Column("straight between batches"),
            Column("throughput held out, bent", 1, percent=True),
        ),
        rows=tuple(
            (
                fitted.rows.name,
                fitted.refused.removesuffix(REMEDY),
                _range(fitted),
                None if fitted.bent is None else fitted.bent.throughput.held_out_mape_frac,
            )
            for fitted in fits
            if fitted.refused is not None
        ),
        note=f"What to do about a batch{REMEDY}. Straight between: what is left when the smallest or the largest "
        "batch is dropped until a fit is accepted; a dash: not even four batches are."
        if any(REMEDY in (fitted.refused or "") for fitted in fits)
        else "",
    )


def _range(fitted: Fitted) -> str | None:
    if fitted.narrowed is None:
        return None
    low, high = fitted.narrowed.batches
    return f"{low:,.0f} to {high:,.0f} ({len(fitted.narrowed.samples)} rows)"


def _straight(fits: Sequence[Fitted]) -> list[tuple[Fitted, StepFit]]:
    return [(fitted, fitted.straight) for fitted in fits if fitted.straight is not None]


def _figures(errors: Errors | AffineFit) -> tuple[float, float, float]:
    return errors.r2, errors.mape_frac, errors.held_out_mape_frac
