"""How much energy canaries may spend. Pure.

The joules of a canary are estimated from the pool's curves: a token's own part of a decode step, and the share of the
step's fixed part that falls to one of the requests in the batch with it. On an engine that is otherwise idle that is
the whole step.
"""

from __future__ import annotations

from controller.model.perf import PoolCurves

HOUR_S = 3600.0
RESERVE_FRAC = 0.5


class EnergyBudget:
    """A bucket that fills at a rate of joules an hour and holds a quarter of an hour's, half of it in reserve.

    The reserve is for canaries to what is under suspicion, so that a routine that is paced beyond the budget leaves
    enough to find out.

    Args:
        j_per_h: the rate.
        now_s: monotonic time.

    Attributes:
        spent_j: since the beginning.
    """

    def __init__(self, j_per_h: float, now_s: float) -> None:
        self._j_per_s = j_per_h / HOUR_S
        self._most_j = j_per_h / 4.0
        self._left_j = self._most_j
        self._at_s = now_s
        self.spent_j = 0.0

    def is_spent(self, now_s: float, *, urgent: bool = False) -> bool:
        """Whether the next canary must wait; an urgent one may take of the reserve."""
        self._fill(now_s)
        return self._left_j <= (0.0 if urgent else RESERVE_FRAC * self._most_j)

    def spend(self, energy_j: float, now_s: float) -> None:
        """Book a canary; the one that empties the bucket may overdraw it, and the following wait the longer."""
        self._fill(now_s)
        self._left_j -= energy_j
        self.spent_j += energy_j

    def _fill(self, now_s: float) -> None:
        self._left_j = min(self._most_j, self._left_j + self._j_per_s * max(0.0, now_s - self._at_s))
        self._at_s = max(self._at_s, now_s)


def answer_j(curves: PoolCurves, *, prompt_tokens: float, output_tokens: float, running: int) -> float:
    """Joules estimated for one answer.

    Args:
        curves: of the pool.
        prompt_tokens: of the question.
        output_tokens: of the answer.
        running: other requests in the engine's batch.
    """
    step_j = curves.step_per_seq_j + curves.step_base_j / (running + 1)
    return prompt_tokens * curves.prefill_j_per_token + output_tokens * step_j
