"""What the loop tells: its status for the page and the desks, and the records and log lines of what it did; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.loop.faults import Fault
from controller.model.observation import Missing, Observation, Reading
from controller.store import decisions
from controller.tick import Decision


@dataclass(frozen=True, slots=True)
class Status:
    """The latest of everything, for the page and the API.

    Attributes:
        decision: None before the first one.
        energy_j: energy of the site since the controller began.
        j_per_output_token: what requests bore of it in the last settlement, by pool and class.
    """

    observation: Observation
    decision: Decision | None
    faults: tuple[Fault, ...]
    energy_j: float
    j_per_output_token: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def sample_record(observation: Observation, decision: Decision | None, energy_j: float) -> dict[str, object]:
    """What the ledger keeps of a look; `decision` is the latest, whose limit holds."""
    power = observation.site_power
    limit_w = decision.diagnostics.limit_w if decision is not None else None
    return {
        "power_w": None if isinstance(power, Missing) else power.value_w,
        "observed_at_s": None if isinstance(power, Missing) else power.observed_at_s,
        "quality": power.quality.value if isinstance(power, Reading) else None,
        "limit_w": limit_w,
        "energy_j": energy_j,
    }


def decision_record(observation: Observation, decision: Decision, actions: tuple[str, ...]) -> dict[str, object]:
    """What the ledger keeps of a decision; `actions` are the lines that its publishers and drivers told."""
    decided = {
        "plan": decision.plan,
        "commands": decision.commands,
        "recommended": decision.recommended,
        "publish": decision.publish,
        "diagnostics": decision.diagnostics,
    }
    return decisions.record_of(observation, decided, actions)


def summary_of(decision: Decision, took_s: float) -> dict[str, object]:
    """The fields of a decision's line in the log; it took that long, s."""
    diagnostics = decision.diagnostics
    return {
        "origin": diagnostics.plan_origin.value if diagnostics.plan_origin else None,
        "measured_w": diagnostics.measured_w,
        "planned_w": diagnostics.planned_w,
        "limit_w": diagnostics.limit_w,
        "sequence": decision.commands.table.sequence,
        "commands": [f"{c.verb.value} {c.instance_id}" for c in decision.commands.instances],
        "recommended": [f"{c.verb.value} {c.instance_id}" for c in decision.recommended],
        "fallbacks": [f"{f.ladder}:{f.step}" for f in diagnostics.fallbacks],
        "took_s": round(took_s, 4),
    }
