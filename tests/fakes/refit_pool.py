"""A pool of simulated engines under a load of one's own, as the intervals that a re-fit takes in."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator

from controller.energy.refit_interval import Doing, Interval
from controller.model.perf import PoolCurves
from controller.simulation.batch import Sequence
from controller.simulation.engine import EnginePhysics

TICK_S = 5.0


def scaled_power(curves: PoolCurves, factor: float) -> PoolCurves:
    """Curves of an instance that draws `factor` times as much in everything it does, as fast as before."""
    return dataclasses.replace(
        curves,
        step_base_j=factor * curves.step_base_j,
        step_per_seq_j=factor * curves.step_per_seq_j,
        prefill_j_per_token=factor * curves.prefill_j_per_token,
        idle_w=factor * curves.idle_w,
        sleeping_w=factor * curves.sleeping_w,
        off_w=factor * curves.off_w,
    )


def scaled_time(curves: PoolCurves, factor: float) -> PoolCurves:
    """Curves of an instance that takes `factor` times as long for everything at the same power."""
    return dataclasses.replace(
        curves,
        step_base_s=factor * curves.step_base_s,
        step_per_seq_s=factor * curves.step_per_seq_s,
        step_base_j=factor * curves.step_base_j,
        step_per_seq_j=factor * curves.step_per_seq_j,
        prefill_s_per_token=factor * curves.prefill_s_per_token,
        prefill_j_per_token=factor * curves.prefill_j_per_token,
    )


@dataclasses.dataclass(frozen=True)
class Load:
    """Requests/s of one instance at a time, and their mean lengths."""

    per_s: Callable[[float], float]
    input_tokens: int = 300
    output_tokens: int = 150


def intervals(
    curves: Callable[[float], PoolCurves],
    load: Load,
    *,
    seconds: float,
    seed: int,
    counts_steps: bool = True,
    meter_sd: float = 0.01,
) -> Iterator[Interval]:
    """One instance's intervals of `TICK_S`, its meter's noise included; `curves` may change with time."""
    rng = random.Random(seed)
    now_s, number, next_s = 0.0, 0, 0.0
    engine = EnginePhysics(curves(0.0), 0.0)
    before = _counted(engine)
    while now_s < seconds:
        end_s = now_s + TICK_S
        engine.curves = curves(now_s)
        rate = max(1e-9, load.per_s(now_s))
        next_s = max(next_s, now_s)
        while next_s < end_s:
            engine.advance(next_s)
            given = rng.randint(1, 2 * load.input_tokens)
            engine.submit(Sequence(number, given, rng.randint(2, 2 * load.output_tokens), next_s))
            number += 1
            next_s += rng.expovariate(rate)
        engine.advance(end_s)
        after = _counted(engine)
        energy_j, generated, prompted, steps = (x - y for x, y in zip(after[:4], before[:4], strict=True))
        yield Interval(
            Doing.SERVING,
            TICK_S,
            energy_j * rng.gauss(1.0, meter_sd),
            meter_sd,
            generated,
            prompted,
            steps if counts_steps else None,
            (int(before[4]), int(after[4])),
        )
        before, now_s = after, end_s


def _counted(engine: EnginePhysics) -> tuple[float, ...]:
    return (engine.energy_j, engine.generation_tokens, engine.prompt_tokens, engine.steps, engine.running)
