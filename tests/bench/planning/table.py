"""The tables of a run, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.planning.cases import TARGET_SEED
from tests.bench.planning.measure import Found, Measured

HEAD = (
    "| instance | seed | plain HiGHS | its bound | ours | proven bound | in s | goal | |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
TIMES = "| instance | stated once, s | other values, ms | dispatch of an interval, ms |\n|---|---|---|---|\n"


def tables(measured: Sequence[Measured]) -> str:
    """Costs over the plain relaxation's bound, then what each step takes."""
    rows = "".join(_row(each, found) for each in measured for found in each.found)
    times = "".join(
        f"| {each.case.name} | {each.state_s:.2f} | {1000 * each.again_s:.1f} | {each.dispatch_ms:.1f} |\n"
        for each in measured
        if each.seed == TARGET_SEED
    )
    return HEAD + rows + "\n" + TIMES + times


def _row(each: Measured, found: Found) -> str:
    peer = "nothing" if each.plain_ratio is None else f"{each.plain_ratio:.4f}"
    wanted = "the optimum" if found.goal.ratio is None else f"≤ {found.goal.ratio:.3f}"
    verdict = "" if each.seed != TARGET_SEED else "met" if found.met else "MISSED"
    cells = (
        each.case.name,
        f"{each.seed}",
        f"{peer} in {each.plain_s:.2g} s",
        f"{each.plain_bound_ratio:.4f}",
        f"{found.ratio:.4f}",
        f"{found.bound_ratio:.4f}",
        f"{found.seconds:.2f}",
        f"{wanted} in {found.goal.seconds:g} s",
        verdict,
    )
    return f"| {' | '.join(cells)} |\n"
