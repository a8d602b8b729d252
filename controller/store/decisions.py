"""The record of a tick: what was known, what was decided and why, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.model.grid import Series
from controller.model.observation import Missing, Observation, Reading, RouterObservation
from controller.store.plain import to_plain

RECORD_KIND = "decision"


def record_of(observation: Observation, decided: Mapping[str, Any], actions: tuple[str, ...]) -> dict[str, Any]:
    """A tick's record.

    Args:
        observation: what was known.
        decided: parts of the decision by name, such as plan, commands and diagnostics; dataclasses or plain values.
        actions: one line for each thing done.
    """
    return {
        "observation": to_plain(observation),
        "ages_s": ages_s(observation),
        **{name: to_plain(part) for name, part in decided.items()},
        "actions": list(actions),
    }


def ages_s(observation: Observation) -> dict[str, float | None]:
    """Age of each signal, None where it is missing; a series' age is how far its end lies in the past."""

    def age(signal: Reading | RouterObservation | Series | Missing) -> float | None:
        if isinstance(signal, Missing):
            return None
        if isinstance(signal, Series):
            return max(0.0, observation.now_s - signal.end_s)
        return observation.now_s - signal.observed_at_s

    return {
        "site_power": age(observation.site_power),
        "router": age(observation.router),
        "price": age(observation.price_usd_per_mwh),
        "carbon": age(observation.carbon_kg_per_mwh),
    }
