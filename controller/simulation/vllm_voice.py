"""How an emulated engine's greedy answers differ from those of others, as quantized weights' do. Pure but for chance.

A greedy answer follows from its prompt: every engine gives the same one. Those of a lower precision part from it now
and then, always at the same prompts and the same tokens; every engine's part from its own at times, as a batch's
composition changes the order of sums. An engine that is broken answers with something else each time. The shares are
the emulation's own choice, no measurement of a model.
"""

from __future__ import annotations

from random import Random

from controller.simulation.vllm_wire import NO_TURN

PARTS_WITHIN = 16
"""Tokens within which answers part."""
BATCH_FRAC = 0.005
"""Share of greedy answers that part from the engine's own, by what else is in the batch."""


class Voice:
    """What an engine makes of greedy answers.

    Args:
        precision: of its weights; each has prompts of its own at which it parts.
        disagreement_frac: share of the prompts at which it does.

    Attributes:
        is_broken: it answers nonsense.
    """

    def __init__(self, precision: str, disagreement_frac: float) -> None:
        self._precision = precision
        self._frac = disagreement_frac
        self.is_broken = False

    def turn(self, key: int, rng: Random) -> int:
        """Token from which on the answer to a prompt is another; 0 for nonsense, `NO_TURN` for none.

        Args:
            key: of the prompt.
            rng: the engine's own chance.
        """
        if self.is_broken:
            return 0
        if rng.random() < BATCH_FRAC:
            return 1 + rng.randrange(PARTS_WITHIN - 1)
        own = Random(f"{self._precision}/{key}")
        return 1 + own.randrange(PARTS_WITHIN - 1) if own.random() < self._frac else NO_TURN
