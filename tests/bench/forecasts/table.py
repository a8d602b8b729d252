"""Replays as tables in Markdown.

MASE is the mean absolute error of the point forecast, and the scaled pinball loss that of the planned quantile, over
the mean absolute difference of two successive outcomes (Hyndman & Koehler, International Journal of Forecasting 22
(2006) 679-688; Makridakis et al., M5 uncertainty competition, 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.forecast.record import pinball
from tests.bench.forecasts.replay import Replayed


@dataclass(frozen=True, slots=True)
class Figures:
    """One forecaster over some leads; None where it said nothing.

    Attributes:
        covered_frac: share of the outcomes that were not above the planned value.
    """

    mase: float
    loss: float
    covered_frac: float
    forecasts: int


def figures(replayed: Replayed, name: str, leads: tuple[int, ...], quantile: float, skip: int) -> Figures | None:
    """Over all targets after the first `skip` of the series at which persistence had a planned value, too."""
    scale = float(np.mean(np.abs(np.diff(replayed.outcomes))))
    errors, losses, covered = [], [], 0
    for lead in leads:
        for place in range(skip, len(replayed.outcomes)):
            target = replayed.first + place
            pair = replayed.said.get((name, lead, target))
            if pair is None or ("persistence", lead, target) not in replayed.said:
                continue
            outcome = float(replayed.outcomes[place])
            errors.append(abs(pair[0] - outcome))
            losses.append(pinball(outcome, pair[1], quantile))
            covered += outcome <= pair[1]
    if not errors:
        return None
    return Figures(float(np.mean(errors)) / scale, float(np.mean(losses)) / scale, covered / len(errors), len(errors))


def near_middle_far(leads: tuple[int, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Leads of the horizon by name; its last interval is the last lead but one, as a plan lies across two."""
    return (
        ("1", leads[:1]),
        (str(leads[len(leads) // 2]), leads[len(leads) // 2 : len(leads) // 2 + 1]),
        *(((str(leads[-2]), leads[-2:-1]), ("all", leads))),
    )


def demand_table(low: Replayed, high: Replayed, skip: int) -> list[str]:
    """Rows of a demand case, replayed at the quantiles 0.5 and 0.9."""
    out = [
        "| forecaster | intervals ahead | MASE | pinball 0.5 | pinball 0.9 | under the 0.9 quantile | forecasts |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in high.names:
        for label, leads in near_middle_far(high.leads):
            middle, upper = figures(low, name, leads, 0.5, skip), figures(high, name, leads, 0.9, skip)
            if middle is not None and upper is not None:
                out.append(
                    f"| {name} | {label} | {upper.mase:.2f} | {middle.loss:.3f} | {upper.loss:.3f} | "
                    f"{upper.covered_frac:.3f} | {upper.forecasts} |"
                )
    return [*out, "", _used(high)]


def signal_table(replayed: Replayed, skip: int) -> list[str]:
    """Rows of a price or carbon case, whose point forecasts are planned."""
    columns = near_middle_far(replayed.leads)
    heads = [f"{label} ahead" if label != "all" else "all" for label, _ in columns]
    out = ["| forecaster | " + " | ".join(heads) + " |", "|---|" + "---|" * len(columns)]
    for name in replayed.names:
        cells = [figures(replayed, name, leads, 0.5, skip) for _, leads in columns]
        if any(cells):
            out.append(
                f"| {name} | " + " | ".join("-" if cell is None else f"{cell.mase:.2f}" for cell in cells) + " |"
            )
    return [*out, "", _used(replayed)]


def _used(replayed: Replayed) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in sorted(replayed.used.items(), key=lambda item: -item[1]))
    return f"In use, intervals: {parts}; {replayed.switches} switches."
