"""The ladder between the sources of power, `signals.power_ladder`, and all of them put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from controller.settings.power.gpus import ZeusdSettings
from controller.signals.power.conflict import ConflictRules
from controller.signals.power.ladder import LadderRules
from controller.signals.power.specs import PowerSpecs
from router.settings import Group

_SITE_FLOOR_W = 200.0
"""Difference of meter and GPUs that never counts: fans and hosts vary by as much."""
Frac = Annotated[float, Field(ge=0, le=0.5)]


class PowerLadderSettings(Group):
    """Margins and times of the ladder of power sources; see docs/reference/power.md."""

    nvml_margin_frac: Frac = 0.05
    """Share of a limit kept free while the boards' own sensors tell the power: they are up to 5 % off
    (arXiv 2312.02741). A meter keeps `plan.margin_frac`; no rung keeps less than a surer one."""
    dcgm_margin_frac: Frac = 0.07
    """The same while the boards' figures come exported: the sensors' 5 %, and 2 % for what changes in their age."""
    model_margin_frac: Frac = 0.10
    """The same while nothing is measured: the curves are some 5 % off, and what else draws power is not seen."""
    hold_s: Annotated[float, Field(ge=0, le=3600)] = 15.0
    """How long a better source must have been fresh before it is taken again, against flapping."""
    conflict_frac: Annotated[float, Field(gt=0, le=1)] = 0.10
    """Share by which two sources may differ on a GPU: twice the 5 % that sensors are off."""
    site_conflict_frac: Annotated[float, Field(gt=0, le=1)] | None = 0.15
    """Share by which the meter and the sum of the GPUs may differ; the sum rests on `site.pue` and `site.aux_w`. null
    compares them never: for a meter that nets photovoltaics, a battery or other loads."""
    alarm_after_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """How long they must disagree before an alarm is raised; the higher value counts at once."""

    def rules(self, stale_s: float) -> LadderRules:
        """The ladder's rules."""
        return LadderRules(
            stale_s=stale_s,
            hold_s=self.hold_s,
            alarm_after_s=self.alarm_after_s,
            gpus=ConflictRules(frac=self.conflict_frac),
            site=None if self.site_conflict_frac is None else ConflictRules(self.site_conflict_frac, _SITE_FLOOR_W),
        )


def power_specs(sources: tuple[Any, ...], meters: tuple[Any, ...], rules: LadderRules, timeout_s: float) -> PowerSpecs:
    """What the sources are opened from, each with its name.

    Raises:
        ValueError: two are called the same.
    """
    names = _names([*sources, *meters])
    specs = [source.spec(timeout_s) for source in (*sources, *meters)]
    named = list(zip(names, specs, strict=True))
    return PowerSpecs(tuple(named[: len(sources)]), tuple(named[len(sources) :]), rules)


def refuse_gpus(uuids: Sequence[str], sources: Sequence[object]) -> None:
    """Look at the UUIDs that the pools name.

    Raises:
        ValueError: a GPU is named twice, which would count it twice; or none of a zeusd's is named, which was then
            given the wrong ones.
    """
    twins = sorted(uuid for uuid, count in Counter(uuids).items() if count > 1)
    if twins:
        raise ValueError(f"plan.pools.*.gpu_uuids: {', '.join(map(repr, twins[:3]))} appears more than once")
    for source in sources:
        if uuids and isinstance(source, ZeusdSettings) and not set(source.gpu_uuids) & set(uuids):
            raise ValueError(
                f"signals.power: none of the gpu_uuids of {source.url} is in plan.pools.*.gpu_uuids; write both as "
                "nvidia-smi -L prints them"
            )


def _names(sources: list[Any]) -> list[str]:
    names: list[str] = []
    for place, source in enumerate(sources):
        number = 1 + sum(other.kind == source.kind for other in sources[:place])
        names.append(source.name or (source.kind if number == 1 else f"{source.kind}-{number}"))
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"signals: {', '.join(map(repr, twins))} names more than one source of power; set name")
    return names
