"""Prefill and decode told apart by regression on windows of mixed load. Pure.

In a window of which the instance spent T_busy in steps, n of them, computed K prompt tokens and decoded D tokens:

    energy     E − P_idle·(wall − T_busy)  =  P0·T_busy + e·D + q·K     [J]
    time       T_busy                      =  a·n + b·D + p·K           [s]

with no negative coefficient and relative residuals. The first needs no count of steps; the second does, and gives the
time of a prompt token, without which the share of P0 that prefill holds is not known. Windows must differ in how many
sequences ran and in their ratio of prompt to answer, or the terms rise and fall together and the fit is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.energy.term_fit import TermFit, fit_terms
from controller.energy.window import Window
from controller.errors import FitRefused

ENERGY = ("p0_w", "decode_j_per_token", "prefill_j_per_token")
TIME = ("step_base_s", "step_per_seq_s", "prefill_s_per_token")


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What a token of one phase costs on its own.

    Attributes:
        busy_s: engine time; for decode without the fixed part of its step.
        j: energy, P0 over that time included.
    """

    busy_s: float
    j: float


@dataclass(frozen=True, slots=True)
class PhaseFit:
    """Both regressions.

    Attributes:
        energy: terms `ENERGY`: P0 [W], e and q [J/token].
        time: terms `TIME`: a [s], b and p [s/token]; None where a window does not count its steps.
        idle_w: as given.
    """

    energy: TermFit
    time: TermFit | None
    idle_w: float

    def prefill(self) -> PhaseCost | None:
        """Cost of a prompt token: p and q + P0·p; None where steps were not counted."""
        return self._cost("prefill_s_per_token", "prefill_j_per_token")

    def decode(self) -> PhaseCost | None:
        """Cost of one more sequence for a step: b and e + P0·b; None where steps were not counted."""
        return self._cost("step_per_seq_s", "decode_j_per_token")

    def prefill_j(self, window: Window) -> float | None:
        """Energy of the prompts in a window; None where steps were not counted."""
        cost = self.prefill()
        return None if cost is None else cost.j * window.prompt_tokens

    def decode_j(self, window: Window) -> float | None:
        """Energy of the decode steps in a window, their fixed part included; None where steps were not counted."""
        prefill = self.prefill_j(window)
        if prefill is None:
            return None
        return max(0.0, window.energy_j - self.idle_w * (window.wall_s - window.working_s) - prefill)

    def _cost(self, seconds: str, joules: str) -> PhaseCost | None:
        if self.time is None:
            return None
        busy_s = self.time.value(seconds)
        return PhaseCost(busy_s, self.energy.value(joules) + self.energy.value("p0_w") * busy_s)


def fit_phases(windows: Sequence[Window], idle_w: float, groups: Sequence[str] | None = None) -> PhaseFit:
    """Fit both phases.

    Args:
        windows: of one instance, awake, with work in each.
        idle_w: whole instance, awake without work.
        groups: windows of the same kind of load are held out together; None where each stands for itself.

    Raises:
        FitRefused: a window cannot be or did no work, drew less than idle power while idle, or the windows do not tell
            the terms apart.
    """
    for window in windows:
        window.check()
        if window.working_s <= 0:
            raise FitRefused("a window did no work; leave it out, or give it to rest_power")
    active_j = [window.energy_j - idle_w * (window.wall_s - window.working_s) for window in windows]
    if active_j and min(active_j) <= 0:
        raise FitRefused(
            f"a window drew less than {idle_w:g} W while it was idle; measure idle power again, with the model loaded"
        )
    loads = ([w.working_s for w in windows], [w.decode_tokens for w in windows], [w.prompt_tokens for w in windows])
    energy = fit_terms(dict(zip(ENERGY, loads, strict=True)), active_j, groups)
    steps = [w.steps for w in windows if w.steps is not None and w.steps > 0]
    if len(steps) < len(windows):
        return PhaseFit(energy, None, idle_w)
    time = fit_terms(dict(zip(TIME, (steps, *loads[1:]), strict=True)), loads[0], groups)
    return PhaseFit(energy, time, idle_w)
