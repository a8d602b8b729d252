"""What one observation says of requests' energy, and what was counted between two; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.energy.attribution import Signals, Tokens
from controller.model.fleet import Site
from controller.model.grid import Series
from controller.model.observation import Missing, Observation, Reading
from controller.units import J_PER_MWH
from router.contract import InstanceId

OTHER = "other"
"""Label of classes that are not the site's."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an observation says of instances, by their names.

    Attributes:
        told: tokens by class, those of classes that are not the site's as ``other``; None where no router is heard.
        silent: requests under way that have told no tokens yet.
    """

    now_s: float
    readings: Mapping[str, Reading | Missing]
    told: Mapping[str, Mapping[str, Tokens]] | None
    silent: Mapping[InstanceId, int]

    @classmethod
    def of(cls, observation: Observation, classes: Collection[str]) -> Look:
        """Sort what was observed."""
        router, readings = observation.router, dict(observation.gpu_power)
        if isinstance(router, Missing):
            return cls(observation.now_s, readings, None, {})
        told: dict[str, dict[str, Tokens]] = {}
        for each in router.spent:
            by_class = told.setdefault(each.instance_id, {})
            label = each.class_id if each.class_id in classes else OTHER
            had = by_class.get(label, Tokens())
            by_class[label] = Tokens(had.prefill + each.input_tokens, had.decode + each.output_tokens)
        streams = dict(router.streams)
        silent = {name: max(0, count - streams.get(name, 0)) for name, count in router.in_flight}
        return cls(observation.now_s, readings, told, silent)

    def silent_on(self, name: InstanceId) -> int:
        """Requests that have told nothing; routers that are not heard may have some."""
        return 1 if self.told is None else self.silent.get(name, 0)


@dataclass(slots=True)
class Seen:
    """Counters of an instance at the end of its last interval; the engine's None until it was heard.

    Attributes:
        steps: of the engine; None where it counts none, and where a former process looked last.
    """

    engine: Tokens | None
    told: Mapping[str, Tokens]
    running: int
    steps: float | None


def grown(before: Tokens, now: Tokens) -> Tokens:
    """What an engine counted since; one that restarted counts from zero."""
    if now.prefill < before.prefill or now.decode < before.decode:
        return now
    return Tokens(now.prefill - before.prefill, now.decode - before.decode)


def steps_since(before: float | None, now: float | None) -> float | None:
    """Steps since; None where they are not counted, or the engine has restarted."""
    return None if before is None or now is None or now < before else now - before


def told_since(before: Mapping[str, Tokens], now: Mapping[str, Tokens]) -> tuple[tuple[str, Tokens], ...]:
    """Tokens that routers told since, by class; classes that told none are left out."""
    since = ((label, grown(before.get(label, Tokens()), tokens)) for label, tokens in sorted(now.items()))
    return tuple((label, tokens) for label, tokens in since if tokens)


def signals_of(site: Site, observation: Observation) -> Signals:
    """What a joule at the GPUs costs at the meter, by the price and emission rate in force."""

    def at_gpus(feed: Series | Missing) -> float | None:
        value = feed.at(observation.now_s) if isinstance(feed, Series) else None
        return None if value is None else value * site.pue / J_PER_MWH

    return Signals(at_gpus(observation.price_usd_per_mwh), at_gpus(observation.carbon_kg_per_mwh))
