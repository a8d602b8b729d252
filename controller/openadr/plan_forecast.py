"""The draw to come, as the plan in force has it."""

from __future__ import annotations

from controller.model.plan import Plan
from controller.openadr.report_inputs import Expected


def planned_draw(plan: Plan | None) -> tuple[Expected, ...]:
    """What a plan means to draw from the grid, for the reports that ask for it; nothing without a plan."""
    if plan is None:
        return ()
    horizon = plan.horizon
    return tuple(
        Expected(horizon.start_of(step), horizon.start_of(step + 1), power_w)
        for step, power_w in enumerate(plan.import_w)
    )
