"""The controller's command with a solver and a clock that break on demand: what a file called ``odd.json`` says.

``{"solver": "error" | "fault" | "stuck" | "slow", "clock_s": 60}``; without the file all is well. The solver fails as
solvers do (`SolverError`), as faulty code does, finds nothing within its time, or takes 12 s; the clock is that many
seconds ahead.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller import cli
from controller.clock import SystemClock
from controller.errors import SolverError
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.signals import kernel_clock

PLACE = Path("odd.json")
SLOW_S = 12.0


def told(key: str) -> Any:
    """What the file says now."""
    try:
        return json.loads(PLACE.read_text()).get(key)
    except (OSError, ValueError):
        return None


def broken(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the planner that fails as it is told."""

    def call(self: CvxpyPlanner, *args: Any, **options: Any) -> Any:
        how = told("solver")
        if how == "error":
            raise SolverError("told to fail")
        if how == "fault":
            raise ZeroDivisionError("told to break")
        if how == "stuck":
            options = {key: 1e-9 if key == "time_limit_s" else value for key, value in options.items()}
        if how == "slow":
            time.sleep(SLOW_S)
        return method(self, *args, **options)

    return call


def wall_s(_: SystemClock) -> float:
    """The wall clock, moved."""
    return time.time() + (told("clock_s") or 0.0)


if __name__ == "__main__":
    CvxpyPlanner.plan = broken(CvxpyPlanner.plan)  # type: ignore[method-assign]
    CvxpyPlanner.dispatch = broken(CvxpyPlanner.dispatch)  # type: ignore[method-assign]
    SystemClock.wall_s = wall_s  # type: ignore[method-assign]
    kernel_clock._adjtimex = lambda told: -1  # the kernel knows nothing of this file, and must not vouch for the clock
    sys.exit(cli.main())
