"""What a report tells of a baseline: how it was made, of which days or coefficients, and of which readings; pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from controller.commands.ledger_command import utc
from controller.model.programme import RegressionTerm
from controller.settlement.baseline_profile import Adjustment, Baseline, Fit, Readings
from controller.study.tables import Column, Table

COLUMNS = (
    "read_for", "date", "is_used", "stands_for_utc", "start_utc", "end_utc", "stands_for_s", "start_s", "end_s",
    "mean_w", "covered_frac", "hour", "weekday", "column",
)  # fmt: skip


def baseline_csv(baseline: Baseline | None) -> str:
    """One line a reading that the baseline was computed of; a blank is what was not measured, or does not apply."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for readings in () if baseline is None else baseline.readings:
        writer.writerows(_lines(readings))
    return out.getvalue()


def baseline_tables(baseline: Baseline | None) -> Iterable[Table]:
    """The days that were looked at, and the coefficients of a regression."""
    if baseline is None:
        return
    if baseline.days:
        yield Table(
            "Days of the baseline",
            (Column("date"), Column("mean kW", 3), Column("used")),
            tuple((day.date, _kw(day.mean_w), "used" if day.is_used else day.reason) for day in baseline.days),
            "The mean is over the event's hours on that day, of a regression over all of its hours.",
        )
    if baseline.fit is not None:
        yield Table(
            "Coefficients of the baseline",
            (Column("term"), Column("level"), Column("value", 3), Column("unit")),
            (("constant", "", baseline.fit.constant_w, "W"), *_coefficients(baseline.fit)),
            f"Fitted to {baseline.fit.hours} hours, RRMSE {baseline.fit.rrmse_frac:.1%}. The draw in an hour is the "
            "sum of the constant and its levels, at least 0.",
        )


def adjustment_told(adjustment: Adjustment) -> str:
    """The same-day adjustment in a sentence."""
    window = f"{utc(adjustment.from_s)} to {utc(adjustment.until_s)}"
    if adjustment.reason:
        return f"No same-day adjustment by {window}: {adjustment.reason}."
    held = f"{_known_kw(adjustment.actual_w)} drawn from {window}, {_known_kw(adjustment.expected_w)} by the baseline"
    if adjustment.uncapped_w is not None:
        told = f"{adjustment.added_w / 1e3:+.3f} kW ({adjustment.uncapped_w / 1e3:+.3f} without a cap)"
    else:
        told = f"by the factor {adjustment.factor:.4f} ({adjustment.uncapped or 0.0:.4f} without the cap)"
    return f"Same-day adjustment: {told}: {held}."


def _lines(readings: Readings) -> Iterable[tuple[object, ...]]:
    for number, stands_for_s in enumerate(readings.stands_for_s):
        start_s, end_s = readings.starts_s[number], readings.ends_s[number]
        yield (
            readings.read_for.value, readings.date, readings.is_used, utc(stands_for_s), utc(start_s), utc(end_s),
            stands_for_s, start_s, end_s, readings.means_w[number], readings.covered_fracs[number],
            readings.hours[number] if readings.hours else None, readings.weekday,
            readings.column[number] if readings.column else None,
        )  # fmt: skip


def _coefficients(fit: Fit) -> Iterable[tuple[str | float | None, ...]]:
    for each in fit.coefficients:
        unit = "W per unit" if each.term is RegressionTerm.COLUMN else "W"
        yield each.term.value, each.level, each.value, unit


def _kw(watts: float | None) -> float | None:
    return None if watts is None else watts / 1e3


def _known_kw(watts: float | None) -> str:
    return "an unknown power" if watts is None else f"{watts / 1e3:.3f} kW"
