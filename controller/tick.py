"""One decision of the control loop, from what is known to what is done; the same code in service and simulation."""

from __future__ import annotations

from dataclasses import dataclass

from controller.lifecycle.diagnostics import Diagnostics
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, Precedence, TickPolicy
from controller.model.fleet import Site
from controller.model.observation import Observation
from controller.model.plan import Commands, InstanceCommand, Plan
from controller.optimizer.planner import Planner

__all__ = ["Decision", "Diagnostics", "Memory", "Mode", "Planner", "Precedence", "TickPolicy", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a tick decided.

    Attributes:
        plan: the plan in force over the horizon.
        dispatch: token rates of the present interval over the instances that serve now.
        commands: the table and what to do to instances; to be carried out only where `publish` is set.
        publish: whether the table goes to the routers (mode ``act``).
        recommended: what would be done to instances, in mode ``recommend``.
        memory: for the next tick.
        diagnostics: the reasons.
    """

    plan: Plan | None
    dispatch: Plan | None
    commands: Commands
    publish: bool
    recommended: tuple[InstanceCommand, ...]
    memory: Memory
    diagnostics: Diagnostics


def decide(site: Site, policy: TickPolicy, planner: Planner, memory: Memory, observation: Observation) -> Decision:
    """Decide what the routers and the instances are to do until the next tick."""
    raise NotImplementedError
