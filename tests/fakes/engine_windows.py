"""Counters of an emulated engine under load, as windows. The engine is physics alone: no GPU draws this power."""

from __future__ import annotations

import itertools
from random import Random

from controller.energy.window import Window
from controller.model.perf import PoolCurves
from controller.simulation.batch import Sequence
from controller.simulation.engine import EnginePhysics


class Driven:
    """An engine whose clients are told by callers; `window` says what it did since the window before."""

    def __init__(self, curves: PoolCurves) -> None:
        self.engine = EnginePhysics(curves, 0.0)
        self.now_s = 0.0
        self.answers = 0
        self._begun: set[int] = set()
        self._ids = itertools.count()
        self._told = self._counters()

    def _counters(self) -> tuple[float, ...]:
        e = self.engine
        return (self.now_s, e.energy_j, e.prompt_tokens, e.generation_tokens, self.answers, e.busy_s, e.steps)

    def submit(self, input_tokens: int, output_tokens: int) -> None:
        self.engine.submit(Sequence(next(self._ids), input_tokens, output_tokens, self.now_s))

    def advance(self, to_s: float) -> int:
        """Go on; returns the answers that ended."""
        ended = 0
        for event in self.engine.advance(to_s):
            ended += event.finished
            self._begun.add(event.seq.seq_id)
        self.answers = len(self._begun)
        self.now_s = to_s
        return ended

    def window(self) -> Window:
        now = self._counters()
        wall, energy, prompts, tokens, answers, busy, steps = (b - a for a, b in zip(self._told, now, strict=True))
        self._told = now
        return Window(wall, energy, prompts, tokens, answers, busy_s=busy, steps=steps)


def closed_loop(curves: PoolCurves, clients: int, lengths: tuple[int, int], *, steps: int, rng: Random) -> Window:
    """So many clients, each with the next request as soon as its answer ends; after a warm-up."""
    driven = Driven(curves)

    def ask() -> None:
        driven.submit(*(max(2, round(rng.expovariate(1 / length))) for length in lengths))

    for _ in range(clients):
        ask()
    for _ in range(2):
        until = driven.engine.steps + steps
        driven.window()
        while driven.engine.steps < until:
            due_s = driven.engine.next_step_at()
            for _ in range(driven.advance(due_s)):
                ask()
    return driven.window()


def at_random(curves: PoolCurves, rate_per_s: float, lengths: tuple[int, int], *, wall_s: float, rng: Random) -> Window:
    """Requests come at random, whatever the engine does."""
    driven = Driven(curves)
    next_s = rng.expovariate(rate_per_s)
    while next_s < wall_s:
        driven.advance(next_s)
        driven.submit(*(max(2, round(rng.expovariate(1 / length))) for length in lengths))
        next_s += rng.expovariate(rate_per_s)
    driven.advance(wall_s)
    return driven.window()
