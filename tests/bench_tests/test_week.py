from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.planning.week import Week, week_table

GOOD = Week(gpus=40_960, pools=15, plans=168, late_plans=0, dispatches=672, wall_s=40.0, cpu_s=38.0)


@pytest.mark.parametrize(
    ("week", "verdict"),
    [(GOOD, "met"), (replace(GOOD, wall_s=121.0), "MISSED"), (replace(GOOD, late_plans=1), "MISSED")],
)
def test_a_slow_week_or_a_late_plan_is_a_miss(week: Week, verdict: str) -> None:
    last = week_table(week).splitlines()[-1]
    assert last.startswith("| paper-dr | 40,960 | 15 | 168 (")
    assert last.endswith(f"| {verdict} |")
