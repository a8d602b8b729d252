"""A second call close behind the first, on the demo's fleet under a virtual clock: ``python -m tests.bench.calls``.

The demo's event is followed by another that begins a few seconds before or after it, known long enough before, and
calls for the coming day are told meanwhile, as operators do. GPUs, engines and the grid are simulated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

from controller.demo import event as demo_event
from controller.demo.compare import scenario_of
from controller.demo.options import DemoOptions
from controller.demo.stage import prepare
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.solving import SolverOptions
from controller.simulation import scenario
from controller.simulation.replay import Outcome
from controller.simulation.scenario import Scenario
from tests.bench.levers import mean

BEGAN_S = 1_795_397_627.0
SECONDS = 150.0
SECOND_LASTS_S, SECOND_RAMP_S, SECOND_NOTICE_S = 40.0, 15.0, 70.0
TOLD_MEANWHILE_S = (81.0, 90.0, 93.0, 97.0)
WINDOW_S = 5
SOLVE_S = 60.0
"""As long as any search takes: how fast the machine is does not bear on the figures."""
TRACE_STARTS_S = (120.0, 400.0, 600.0, 900.0, 1300.0, 1700.0, 2200.0, 2600.0)
SECONDS_CALLED = (
    None,
    (-12.0, 0.1),
    (0.0, 0.15),
    (8.0, 0.12),
    (15.0, 0.2),
    (22.0, 0.12),
    (22.0, 0.2),
    (28.0, 0.12),
    (35.0, 0.18),
    (45.0, 0.12),
)
"""How long after the first the second begins, s, and its depth below what is drawn; None for the first alone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of the calls of a run.

    Attributes:
        intervals, over: of 5 s with a limit after its ramp, and those of which the mean was over it.
        over_j: energy above the limits after their ramps.
        to_90_s: time from the first call's start until 90 % of its cut; None where it never was.
    """

    intervals: int
    over: int
    over_j: float
    to_90_s: int | None
    ttft_p99_s: float
    tokens_lost: int


def prepared(trace_start_s: float) -> Scenario:
    """The demo from a time of its trace on, without any event."""
    with tempfile.TemporaryDirectory() as folder:
        options = DemoOptions(seconds=SECONDS, data_dir=Path(folder), trace_start_s=trace_start_s)
        of = scenario_of(prepare(options, BEGAN_S), BEGAN_S, ())
    return replace(of, policy=replace(of.policy, slow_time_limit_s=SOLVE_S))


def played(of: Scenario, events: tuple[GridEvent, ...]) -> Outcome:
    """The run with these events."""
    planner = CvxpyPlanner(lambda: 0.0, SolverOptions(lp_time_limit_s=SOLVE_S))
    return scenario.run(replace(of, signals=replace(of.signals, events=events)), planner).outcome


@cache
def uncalled(trace_start_s: float) -> tuple[Scenario, tuple[float, ...]]:
    """The demo from a time of its trace on, and what it draws where nobody calls, W a second."""
    of = prepared(trace_start_s)
    return of, played(of, ()).power_w


def events_of(trace_start_s: float, second: tuple[float, float] | None) -> tuple[GridEvent, ...]:
    """The demo's event, the second one if there is one, and those of the coming day."""
    of, drawn_w = uncalled(trace_start_s)
    times = demo_event.times(SECONDS)
    asked = int(times.notice_s)
    loads = demo_event.loads(of.requests, asked - 15, asked)
    least_w = demo_event.least_power_w(of.site, loads, of.policy.utilisation_frac)
    limit = demo_event.choose_limit(sum(drawn_w[asked - 15 : asked]) / 15, least_w)
    first = _event("first", limit.limit_w, (times.start_s, times.duration_s, times.notice_s, times.ramp_s))
    later = tuple(_event(f"later-{s:g}", limit.limit_w, (7200.0, 1800.0, s, 300.0)) for s in TOLD_MEANWHILE_S)
    if second is None:
        return (first, *later)
    gap_s, depth_frac = second
    start_s = times.start_s + gap_s
    known_s = max(30.0, start_s - SECOND_NOTICE_S)
    before_w = sum(drawn_w[int(known_s) - 10 : int(known_s)]) / 10
    when = (start_s, SECOND_LASTS_S, known_s, SECOND_RAMP_S)
    return (first, _event("second", (1.0 - depth_frac) * before_w, when), *later)


def _event(event_id: str, limit_w: float, when: tuple[float, float, float, float]) -> GridEvent:
    start_s, lasts_s, known_s, ramp_s = when
    begins_s = BEGAN_S + start_s
    return GridEvent(event_id, limit_w, begins_s, begins_s + lasts_s, BEGAN_S + known_s, ramp_s=ramp_s)


def kept(trace_start_s: float, second: tuple[float, float] | None) -> Kept:
    """Play the calls and see how they were kept."""
    of, _ = uncalled(trace_start_s)
    events = events_of(trace_start_s, second)
    outcome = played(of, events)
    watts, first = outcome.power_w, events[0]
    bound = {s: most for s in range(int(SECONDS)) if (most := _most_w(events, s)) is not None}
    starts = [s for s in bound if all(s + n in bound for n in range(WINDOW_S))][::WINDOW_S]
    begins = int(first.start_s - BEGAN_S)
    before_w = sum(watts[begins - 30 : begins]) / 30
    enough_w = before_w - 0.9 * (before_w - first.limit_w)
    return Kept(
        intervals=len(starts),
        over=sum(mean(watts, s, s + WINDOW_S) > min(bound[s + n] for n in range(WINDOW_S)) for s in starts),
        over_j=sum(max(0.0, watts[s] - most) for s, most in bound.items()),
        to_90_s=next(
            (s - begins for s in range(begins, begins + 60) if mean(watts, s, s + WINDOW_S) <= enough_w), None
        ),
        ttft_p99_s=outcome.ttft.quantile_s(0.99) or 0.0,
        tokens_lost=outcome.tokens_lost,
    )


def _most_w(events: tuple[GridEvent, ...], second: int) -> float | None:
    """The most restrictive limit at a second whose ramp is over."""
    now_s = BEGAN_S + second
    return min((each.limit_w for each in events if each.start_s + each.ramp_s <= now_s < each.end_s), default=None)


def rows(starts_s: tuple[float, ...]) -> Iterator[str]:
    """The table, a line each."""
    yield "| trace from | second call | over the limit after the ramp | above it | 90 % after | TTFT p99 |"
    yield "|---|---|---|---|---|---|"
    found = []
    for start_s, second in product(starts_s, SECONDS_CALLED):
        one = kept(start_s, second)
        found.append(one)
        after = "-" if one.to_90_s is None else f"{one.to_90_s} s"
        called = "none" if second is None else f"{second[0]:+g} s, {second[1]:.0%}"
        cells = (f"{start_s:g} s", called, f"{one.over} of {one.intervals}", f"{one.over_j / 1000:.1f} kJ", after)
        yield f"| {' | '.join(cells)} | {one.ttft_p99_s:.1f} s |"
    late = sorted(60 if one.to_90_s is None else one.to_90_s for one in found)
    ttfts_s = sorted(one.ttft_p99_s for one in found)
    yield (
        f"| all {len(found)} | | {sum(one.over for one in found)} of {sum(one.intervals for one in found)} | "
        f"{sum(one.over_j for one in found) / 1000:.0f} kJ | median {late[len(late) // 2]} s, longest {late[-1]} s | "
        f"median {ttfts_s[len(ttfts_s) // 2]:.1f} s, longest {ttfts_s[-1]:.1f} s |"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=float, nargs="+", default=TRACE_STARTS_S, help="times of the trace, s")
    for line in rows(tuple(parser.parse_args().starts)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
