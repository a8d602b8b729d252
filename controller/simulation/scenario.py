"""A replay under the real controller's decisions, and the fleet it is compared with. Pure but for the solver's clock.

`run` takes the very `tick.decide` of the service through a virtual clock. Two runs of one scenario give the same
outcome, as long as the solver ends by its gap and not by its time limit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller import tick
from controller.errors import ConfigError
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import Instance, Pool, RequestClass, Site
from controller.model.observation import Observation
from controller.model.plan import Commands
from controller.optimizer.planner import Planner
from controller.simulation.replay import Outcome, Timing, replay
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from router.contract import InstanceId, Precision


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that determines a simulated run.

    Attributes:
        sleeping: instances that sleep at the start; the others serve.
    """

    site: Site
    policy: TickPolicy
    requests: tuple[Request, ...]
    signals: Signals
    timing: Timing
    sleeping: frozenset[InstanceId] = frozenset()


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        fallbacks: steps down a ladder, over all ticks.
        ticks: decisions taken.
    """

    outcome: Outcome
    ticks: int
    fallbacks: int


class TickDecider:
    """`tick.decide` with the memory it hands from tick to tick.

    Attributes:
        ticks, fallbacks: counted over its life.
    """

    def __init__(self, site: Site, policy: TickPolicy, planner: Planner, now_s: float) -> None:
        self._site = site
        self._policy = dataclasses.replace(policy, mode=Mode.ACT)
        self._planner = planner
        self._memory = Memory.initial(site, now_s)
        self.ticks = 0
        self.fallbacks = 0

    def decide(self, observation: Observation) -> Commands:
        """One tick."""
        decision = tick.decide(self._site, self._policy, self._planner, self._memory, observation)
        self._memory = decision.memory
        self.ticks += 1
        self.fallbacks += len(decision.diagnostics.fallbacks)
        return decision.commands


def run(scenario: Scenario, planner: Planner) -> Run:
    """Play a scenario to its end."""
    start_s = scenario.timing.start_s
    decider = TickDecider(scenario.site, scenario.policy, planner, start_s)
    site = SimulatedSite(scenario.site, start_s, sleeping=scenario.sleeping)
    outcome = replay(site, scenario.requests, scenario.signals, decider, scenario.timing)
    return Run(outcome, decider.ticks, decider.fallbacks)


def with_bf16_alone(scenario: Scenario) -> Scenario:
    """The same demand, price and GPUs, with BF16 instances alone and no grid event.

    All installed GPUs form instances of the scenario's BF16 pool; the controller is as free to put them to sleep and
    to wake them as it is in the scenario. Without an event, because BF16 alone could not keep the limit: what is
    compared is the energy of serving everything, not of refusing some. At the start as many instances serve as the
    first minute's demand needs.

    Raises:
        ConfigError: the scenario's site has no BF16 pool.
    """
    site = scenario.site
    pool = next((pool for pool in site.pools if pool.precision is Precision.BF16), None)
    if pool is None:
        raise ConfigError("the fleet has no bf16 pool to compare with; add one, or leave the comparison out")
    instances = tuple(
        Instance(
            InstanceId(f"{pool.pool_id}-{n}"),
            f"http://bf16-alone.invalid:{n + 1}",
            tuple(f"GPU-simulated-{n}-{gpu}" for gpu in range(pool.gpus_per_instance)),
        )
        for n in range(site.gpus // pool.gpus_per_instance)
    )
    alone = dataclasses.replace(pool, instances=instances, max_on=None)
    classes = tuple(dataclasses.replace(cls, precisions=()) for cls in site.classes)
    needed = instances_needed(alone, classes, scenario.requests, scenario.policy.utilisation_frac)
    return dataclasses.replace(
        scenario,
        site=dataclasses.replace(site, pools=(alone,), classes=classes),
        signals=dataclasses.replace(scenario.signals, events=()),
        sleeping=frozenset(instance.instance_id for instance in instances[max(needed, pool.min_on) :]),
    )


def instances_needed(
    pool: Pool,
    classes: Sequence[RequestClass],
    requests: Sequence[Request],
    utilisation_frac: float,
    window_s: float = 60.0,
) -> int:
    """Instances of a pool that serve the requests of the first `window_s` within the tightest class's ITL target.

    A request of I prompt and O output tokens takes prefill_s_per_token·I + O/μ of an instance, with μ the decode rate
    at the largest batch that keeps the target.
    """
    first = [request for request in requests if request.time_s < window_s]
    if not first:
        return 1
    curves = pool.curves
    given = sum(request.input_tokens for request in first)
    made = sum(request.output_tokens for request in first)
    itl_slo_s = min(cls.itl_slo_s for cls in classes)
    batch = curves.batch_at_itl(itl_slo_s, (given + made / 2) / len(first))
    if batch <= 0:
        return len(pool.instances)
    busy_s = given * curves.prefill_s_per_token + made / curves.decode_tokens_per_s_at(batch)
    span_s = max(1.0, min(window_s, requests[-1].time_s))
    return max(1, min(len(pool.instances), math.ceil(busy_s / span_s / utilisation_frac)))
