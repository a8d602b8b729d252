"""The settings of a fleet with one thing changed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.errors import ConfigError
from controller.study.fleet.settings import FleetSettings
from controller.study.fleet.site_settings import ResponseEventSettings
from controller.study.sensitivity.settings import VarySettings

AS_WRITTEN = "as written"


@dataclass(frozen=True, slots=True)
class Variation:
    """A changed fleet.

    Attributes:
        what: the key of `vary`, or `AS_WRITTEN`.
        value: what it is set to, None for the fleet as written.
    """

    what: str
    value: float | None
    settings: FleetSettings


def variations(base: FleetSettings, vary: VarySettings) -> tuple[Variation, ...]:
    """The fleet as written, then each value of each key in turn."""
    out = [Variation(AS_WRITTEN, None, base)]
    for what, change in _CHANGES.items():
        out += [Variation(what, value, change(base, value)) for value in getattr(vary, what)]
    return tuple(out)


def _reward(base: FleetSettings, value: float) -> FleetSettings:
    events = tuple(
        event.model_copy(update={"reward_usd_per_mwh": value}) if isinstance(event, ResponseEventSettings) else event
        for event in base.events
    )
    return base.model_copy(update={"events": events})


def _carbon(base: FleetSettings, value: float) -> FleetSettings:
    return base.model_copy(update={"plan": base.plan.model_copy(update={"carbon_usd_per_kg": value})})


def _quality(base: FleetSettings, value: float) -> FleetSettings:
    def changed(cls: Any) -> dict[str, Any]:
        return {"quality_budget_frac": min(1.0, value * cls.quality_budget_frac)}

    return _of_classes(base, changed)


def _daily(base: FleetSettings, value: float) -> FleetSettings:
    for cls in base.classes:
        if cls.demand.series is not None:
            raise ConfigError(
                f"vary.daily_frac: the demand of {cls.name!r} is the series {cls.demand.series.path}, which has no "
                "daily wave to change; leave daily_frac out"
            )
    return _of_classes(base, lambda cls: {"demand": cls.demand.model_copy(update={"daily_frac": value})})


def _start(base: FleetSettings, value: float) -> FleetSettings:
    models = tuple(
        model.model_copy(update={"pools": tuple(p.model_copy(update={"start_usd": value}) for p in model.pools)})
        for model in base.models
    )
    return base.model_copy(update={"models": models})


def _error(base: FleetSettings, value: float) -> FleetSettings:
    return base.model_copy(update={"forecast": base.forecast.model_copy(update={"error_at_day_frac": value})})


def _of_classes(base: FleetSettings, changed: Callable[[Any], dict[str, Any]]) -> FleetSettings:
    return base.model_copy(update={"classes": tuple(cls.model_copy(update=changed(cls)) for cls in base.classes)})


_CHANGES: dict[str, Callable[[FleetSettings, float], FleetSettings]] = {
    "reward_usd_per_mwh": _reward,
    "carbon_usd_per_kg": _carbon,
    "quality_budget_scale": _quality,
    "daily_frac": _daily,
    "start_usd": _start,
    "error_at_day_frac": _error,
}
