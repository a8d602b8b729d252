"""From the moments of a window to a measured cell, and whether the fit may use it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from controller.profile.cells import MeasuredCell
from controller.profile.design import Cell
from controller.profile.estimate import Row
from controller.profile.facts import Counters
from controller.profile.load import LoadCounts
from controller.profile.power import PowerSample, mean_w
from controller.profile.steady import Steadiness, steadiness

MOST_REFUSED_FRAC = 0.02
LEAST_RISE_FRAC = 0.05
"""Share of the idle power that work adds at least: GPUs without work vary by less, an engine's own by much more."""
STEP_COUNT_RATIO = 1.3
"""The engine's count of steps is believed within this ratio of what the times between tokens say."""


@dataclass(frozen=True, slots=True)
class Moment:
    """All counters at one time."""

    at_s: float
    engine: Counters
    power: PowerSample
    idle_s: float
    gap_s: float
    gaps: int


def is_at_rest(power_w: float, idle_w: float) -> bool:
    """Whether GPUs draw no more than they do without work."""
    return power_w <= (1 + LEAST_RISE_FRAC) * idle_w


def steadiness_of(moments: Sequence[Moment]) -> Steadiness:
    """How steady the parts between moments are."""
    pairs = list(pairwise(moments))
    power = [mean_w((first.power, last.power)) for first, last in pairs]
    rates = [
        (last.engine.generation_tokens - first.engine.generation_tokens) / (last.at_s - first.at_s)
        for first, last in pairs
    ]
    return steadiness(power, rates)


def measured_cell(
    cell: Cell, moments: Sequence[Moment], counts: LoadCounts, *, idle_w: float, max_spread_frac: float
) -> MeasuredCell:
    """The totals of a window.

    Args:
        cell: the load.
        moments: of the window, in order, three at least.
        counts: of the client, warm-up included.
        idle_w: power without work, which times without a request are taken out at.
        max_spread_frac: by how much throughput may vary between the parts, and power by half of it.

    Raises:
        PowerLost: a counter of energy went back or stood still.
    """
    first, last = moments[0], moments[-1]
    window_s = last.at_s - first.at_s
    idle_s = min(window_s, last.idle_s - first.idle_s)
    power_w = mean_w([moment.power for moment in moments])
    tokens = last.engine.generation_tokens - first.engine.generation_tokens
    firsts = last.engine.first_tokens - first.engine.first_tokens
    cached = last.engine.cached_tokens - first.engine.cached_tokens
    prompts = last.engine.prompt_tokens - first.engine.prompt_tokens
    spread = steadiness_of(moments)
    measured = MeasuredCell(
        cell=cell,
        row=Row(
            steps=last.engine.steps - first.engine.steps,
            decode_tokens=tokens - firsts,
            prompt_tokens=prompts - cached,
            busy_s=window_s - idle_s,
            energy_j=power_w * window_s - idle_w * idle_s,
        ),
        power_cv=spread.power_cv,
        rate_cv=spread.rate_cv,
        window_s=window_s,
        running=sum(moment.engine.running for moment in moments) / len(moments),
        waiting=sum(moment.engine.waiting for moment in moments) / len(moments),
        itl_s=_itl_s(first, last, counts.tokens_per_event),
        answers=counts.finished,
        refused=sum(counts.statuses.values()),
        preemptions=round(last.engine.preemptions - first.engine.preemptions),
    )
    unsteady = "" if spread.is_within(max_spread_frac) else spread.told(max_spread_frac)
    return _judged(measured, unsteady, idle_w=idle_w, cached_frac=cached / prompts if prompts > 0 else 0.0)


def _itl_s(first: Moment, last: Moment, tokens_per_event: float) -> float | None:
    """Mean time between two tokens of an answer, as the client saw it."""
    gaps = (last.gaps - first.gaps) * tokens_per_event
    return (last.gap_s - first.gap_s) / gaps if gaps > 0 else None


def _counts_steps(measured: MeasuredCell) -> bool:
    """Whether the engine's count of steps agrees with the times between tokens.

    Told where answers are at least as long as prompts: elsewhere steps without a token for most requests are the rule.
    """
    if measured.itl_s is None or measured.cell.input_tokens > measured.cell.output_tokens:
        return True
    by_gaps = measured.row.busy_s / measured.itl_s
    return by_gaps / STEP_COUNT_RATIO <= measured.row.steps <= by_gaps * STEP_COUNT_RATIO


def _judged(measured: MeasuredCell, unsteady: str, *, idle_w: float, cached_frac: float) -> MeasuredCell:
    """The cell with the reason for leaving it out, where there is one."""
    asked = measured.answers + measured.refused
    faults = (
        (measured.row.steps < 10 or measured.row.decode_tokens <= 0, "fewer than ten steps in the window"),
        (
            is_at_rest(measured.row.power_w, idle_w),
            f"{measured.row.power_w:.0f} W are hardly above the idle {idle_w:.0f} W",
        ),
        (
            not _counts_steps(measured),
            f"the engine counted {measured.row.steps:.0f} steps, the times between tokens say otherwise; start it with "
            "one API server",
        ),
        (bool(unsteady), unsteady),
        (
            measured.refused > MOST_REFUSED_FRAC * max(1, asked),
            f"the engine refused {measured.refused} of {asked} requests",
        ),
        (measured.preemptions > 0, f"{measured.preemptions} sequences were preempted: the context room is too small"),
        (cached_frac > 0.01, f"{cached_frac:.0%} of the prompt tokens came from the prefix cache"),
    )
    reason = "; ".join(text for is_so, text in faults if is_so)
    values = {name: getattr(measured, name) for name in measured.__dataclass_fields__}
    return MeasuredCell(**{**values, "fault": reason})
