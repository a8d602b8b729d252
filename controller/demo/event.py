"""The demo's curtailment event: when it comes, how far it goes, and telling the controller of it.

The limit is a share of the power measured before, but never below what the fleet needs to go on serving everything:
the event is to show a change of precision and of instances, not refused requests.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import aiohttp

from controller.model.fleet import Pool, RequestClass, Site
from controller.model.grid import GridEvent
from controller.simulation.site_router import Request
from router.contract import ClassId

NOTICE_FRAC, MAX_NOTICE_S = 0.27, 60.0
START_FRAC = 0.48
DURATION_FRAC = 0.4
RAMP_FRAC, MAX_RAMP_S = 0.6, 30.0
BASELINE_S = 30.0
WANTED_FRAC = 0.85
HEADROOM_FRAC = 0.04
MAX_COMBINATIONS = 20_000

log = logging.getLogger("wattroute.demo")


@dataclass(frozen=True, slots=True)
class EventTimes:
    """The event, in seconds since the start of the replay.

    Attributes:
        notice_s: when it becomes known.
    """

    notice_s: float
    start_s: float
    duration_s: float
    ramp_s: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class ClassLoad:
    """One class's demand: output and input tokens per second."""

    class_id: ClassId
    output_tokens_per_s: float
    input_tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Limit:
    """The chosen limit and what it was chosen from.

    Attributes:
        least_w: least power that serves everything, None where it was not worked out.
    """

    limit_w: float
    before_w: float
    least_w: float | None


def times(seconds: float) -> EventTimes:
    """When the event comes in a run of this length."""
    duration_s = DURATION_FRAC * seconds
    start_s = START_FRAC * seconds
    return EventTimes(
        notice_s=start_s - min(MAX_NOTICE_S, NOTICE_FRAC * seconds),
        start_s=start_s,
        duration_s=duration_s,
        ramp_s=min(MAX_RAMP_S, RAMP_FRAC * duration_s),
    )


def choose_limit(before_w: float, least_w: float | None) -> Limit:
    """A limit of `WANTED_FRAC` of the power before, or what serving everything takes with some headroom."""
    wanted_w = WANTED_FRAC * before_w
    limit_w = wanted_w if least_w is None else max(wanted_w, (1 + HEADROOM_FRAC) * least_w)
    # To 0.1 kW, as an operator would say it.
    return Limit(round(limit_w / 100) * 100.0, before_w, least_w)


def loads(requests: Sequence[Request], from_s: float, to_s: float) -> tuple[ClassLoad, ...]:
    """Mean demand of each class between two times."""
    span_s = to_s - from_s
    totals: dict[ClassId, tuple[int, int]] = {}
    for request in requests:
        if from_s <= request.time_s < to_s:
            made, given = totals.get(request.class_id, (0, 0))
            totals[request.class_id] = (made + request.output_tokens, given + request.input_tokens)
    return tuple(
        ClassLoad(class_id, made / span_s, given / span_s) for class_id, (made, given) in sorted(totals.items())
    )


def least_power_w(site: Site, demand: Sequence[ClassLoad], utilisation_frac: float) -> float | None:
    """Least power at the metering point that serves a demand, over all numbers of instances serving.

    For each combination of instances the classes are placed one after another, those with the fewest allowed pools
    first, into their pools in order of marginal energy; that is not always the least, but always possible.

    Returns None where there are too many combinations to try, or none serves the demand.
    """
    if prod(pool.max_instances + 1 for pool in site.pools) > MAX_COMBINATIONS:
        return None
    classes = {cls.class_id: cls for cls in site.classes}
    order = sorted(demand, key=lambda load: sum(classes[load.class_id].may_use(pool) for pool in site.pools))
    best_w: float | None = None
    for on in product(*(range(pool.min_on, pool.max_instances + 1) for pool in site.pools)):
        power_w = _power_w(site, on, [(load, classes[load.class_id]) for load in order], utilisation_frac)
        if power_w is not None and (best_w is None or power_w < best_w):
            best_w = power_w
    return best_w


async def post(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any]) -> GridEvent | None:
    """Tell the controller of the event; None, with a log line, if it does not take it."""
    try:
        async with session.post(url, json=body, timeout=aiohttp.ClientTimeout(total=5.0)) as answer:
            told = await answer.json(content_type=None)
            if answer.status == 201:
                names = [
                    field.name
                    for field in dataclasses.fields(GridEvent)
                    if field.default is dataclasses.MISSING or field.name in told
                ]
                return GridEvent(**{name: told[name] for name in names})
            log.warning("the controller refused the event with %d: %s", answer.status, told)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the event could not be sent: %r", error)
    return None


def _power_w(
    site: Site, on: tuple[int, ...], order: Sequence[tuple[ClassLoad, RequestClass]], utilisation_frac: float
) -> float | None:
    left = [count * utilisation_frac for count in on]
    gpus_w = sum(
        count * pool.curves.p0_w + (len(pool.instances) - count) * pool.curves.sleeping_w
        for pool, count in zip(site.pools, on, strict=True)
    )
    for load, cls in order:
        unplaced = 1.0
        allowed = [k for k, pool in enumerate(site.pools) if cls.may_use(pool)]
        for k in sorted(allowed, key=lambda k: _marginal_w(site.pools[k], load)):
            busy = _busy(site.pools[k], load, cls)
            placed = min(unplaced, left[k] / busy) if busy > 0 else unplaced
            left[k] -= placed * busy
            unplaced -= placed
            gpus_w += placed * _marginal_w(site.pools[k], load)
        if unplaced > 1e-9:
            return None
    occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools)
    return site.pue * (gpus_w + (site.gpus - occupied) * site.spare_gpu_w) + site.aux_w


def _marginal_w(pool: Pool, load: ClassLoad) -> float:
    """Power above P0 of serving a whole class."""
    curves = pool.curves
    return load.output_tokens_per_s * curves.decode_j_per_token + load.input_tokens_per_s * curves.prefill_j_per_token


def _busy(pool: Pool, load: ClassLoad, cls: RequestClass) -> float:
    """Instances of a pool that a whole class keeps busy."""
    curves = pool.curves
    if load.output_tokens_per_s <= 0:
        return 0.0
    tokens_per_seq = cls.expected_output_tokens * (load.input_tokens_per_s / load.output_tokens_per_s + 0.5)
    batch = curves.batch_at_itl(cls.itl_slo_s, tokens_per_seq)
    if batch <= 0:
        return float("inf")
    decode = load.output_tokens_per_s / curves.decode_tokens_per_s_at(batch)
    return decode + load.input_tokens_per_s * curves.prefill_s_per_token
