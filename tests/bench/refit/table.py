"""The re-fit's figures as tables."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.refit.cases import Case, play
from tests.bench.refit.convergence import CASES, minutes_of


def limit_table(cases: Sequence[Case]) -> list[str]:
    """A row a run under a limit."""
    lines = [
        "| true power | re-fit | limit, W | over it, s | highest 5 s | unused | tokens not served | energy, kJ | "
        "model off by | CPU a tick, ms |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in cases:
        played = play(case)
        lines.append(
            f"| {case.factor:.2f} x | {'on' if case.refit else 'off'} | {played.limit_w:,.0f} | {played.over_s:.0f} | "
            f"{played.worst_frac:.1%} | {played.unused_frac:.1%} | {played.outcome.tokens_lost:,} | "
            f"{played.outcome.energy_j / 1000:,.0f} | {played.model_error_frac:.1%} | {played.cpu_ms:.1f} |"
        )
    return lines


def convergence_table(minutes: int) -> list[str]:
    """A row a pool and load: error of the predicted energy in some minutes."""
    shown = sorted({n for n in (1, 2, 5, 10, minutes) if n <= minutes})
    lines = [
        "| pool | load | true power / curves | " + " | ".join(f"minute {n}" for n in shown) + " |",
        "|---|---|---:|" + "---:|" * len(shown),
    ]
    for case in CASES:
        errors = minutes_of(case, minutes)
        lines.append(
            f"| `{case.profile}` | {case.load} | {case.factor:.2f} | "
            + " | ".join(f"{errors[n - 1]:+.1%}" for n in shown)
            + " |"
        )
    return lines
