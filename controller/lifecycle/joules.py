"""The energy account of a site's requests: what each class and tenant used of each pool, and what nobody did; pure.

Fed with every observation. Within a pool and a class, tenants share by the tokens that they told in a settlement
interval; a stream that runs on tells its tenant's at its end, so what is due to tenants waits for those who tell.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.energy.attribution import Attributed, IdlePolicy, Interval, Stock, Tokens, attribute
from controller.energy.joule_share import NOTHING, Share
from controller.lifecycle.instance_meter import LEAST_S, InstanceMeter, Metered, modelled_power_w
from controller.lifecycle.joule_accounts import NO_TOTALS, Accounts, PoolClass, Settlement, Totals
from controller.lifecycle.joule_looks import Look, Seen, grown, signals_of, steps_since, told_since
from controller.lifecycle.joule_resume import InstanceAccount, KeptAccount
from controller.lifecycle.roster import is_place
from controller.lifecycle.token_rate import TokenRate
from controller.model.fleet import Instance, Pool, Site
from controller.model.observation import (
    InstanceObservation,
    InstanceState,
    Missing,
    Observation,
    Quality,
    TenantTokens,
)
from router.contract import InstanceId


@dataclass(frozen=True, slots=True)
class JoulePolicy:
    """How energy is told off.

    Attributes:
        settle_s: time between two records; tenants share what was used in it.
        stale_s: age from which a reading counts as missing, and the model stands in.
    """

    idle: IdlePolicy = IdlePolicy.SHARED
    settle_s: float = 60.0
    stale_s: float = 15.0


@dataclass(frozen=True, slots=True)
class InstanceRate:
    """What a token costs on an instance now, J, with its part of the idle energy under policy ``shared``.

    Attributes:
        seq_tokens_per_s: output tokens a second of one sequence while it was measured; 0 where that was not just now.
    """

    instance_id: InstanceId
    prefill_j: float
    decode_j: float
    quality: Quality
    seq_tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Booked:
    """What an observation added.

    Attributes:
        rates: of every instance that serves.
        settlement: where an interval of settlement has ended.
    """

    rates: tuple[InstanceRate, ...]
    settlement: Settlement | None


class JouleBook:
    """Keeps the account; `totals` is what outlasts the process."""

    def __init__(self, site: Site, policy: JoulePolicy, totals: Totals = NO_TOTALS) -> None:
        self._site = site
        self._curves = {pool.pool_id: pool.curves for pool in site.pools}
        self._policy = policy
        self._places: dict[InstanceId, tuple[Pool, Instance]] = {}
        self._meters: dict[InstanceId, InstanceMeter] = {}
        self._kept: dict[InstanceId, InstanceAccount] = {}
        self._classes = {cls.class_id for cls in site.classes}
        self._seen: dict[InstanceId, Seen] = {}
        self._stocks: dict[InstanceId, Stock] = {}
        self._courses: dict[InstanceId, TokenRate] = {}
        self._rates: dict[InstanceId, InstanceRate] = {}
        self._catching_up: set[InstanceId] = set()
        self.accounts = Accounts(totals)
        self.go_by(site)

    @property
    def is_catching_up(self) -> bool:
        """Whether the next intervals reach back to before this process, of which a former one may have told a part."""
        return bool(self._catching_up)

    def go_by(self, site: Site) -> None:
        """Take the instances there are and the curves in force: weights, idle power and what stands in for a meter.

        What an instance that is gone had used for requests that never told a token goes with it.
        """
        self._curves |= {pool.pool_id: pool.curves for pool in site.pools if pool.pool_id in self._curves}
        there = {each.instance_id: (pool, each) for pool in site.pools for each in pool.instances if not is_place(each)}
        for name in self._places.keys() - there.keys():
            self._drop(name)
        for name in there.keys() - self._places.keys():
            self._meters[name] = InstanceMeter(there[name][1], self._policy.stale_s)
            self._courses[name] = TokenRate()
            if (kept := self._kept.pop(name, None)) is not None:
                self._take_up(name, kept)
        for name in there.keys() & self._places.keys():
            if there[name][1].gpu_uuids != self._places[name][1].gpu_uuids:  # they were not known until now
                self._meters[name] = InstanceMeter(there[name][1], self._policy.stale_s)
        self._places = there

    def _drop(self, name: InstanceId) -> None:
        del self._meters[name], self._courses[name]
        self._seen.pop(name, None)
        self._stocks.pop(name, None)
        self._rates.pop(name, None)
        self._catching_up.discard(name)

    def _take_up(self, name: InstanceId, kept: InstanceAccount) -> None:
        self._meters[name].resume(kept.meter)
        self._seen[name] = Seen(kept.engine, dict(kept.told), kept.running, None)
        self._stocks[name] = kept.stock
        self._catching_up.add(name)

    def kept(self, now_s: float) -> KeptAccount:
        """What the next process needs to go on from the settlement that has just ended."""
        instances = tuple(
            InstanceAccount(
                name, state, seen.engine, tuple(seen.told.items()), seen.running, self._stocks.get(name, Stock())
            )
            for name, seen in self._seen.items()
            if (state := self._meters[name].state) is not None
        )
        return KeptAccount(now_s, instances, self.accounts.due)

    def resume(self, kept: KeptAccount, tenants: tuple[TenantTokens, ...]) -> None:
        """Go on from what a former process has kept, of instances that are not there yet once they are.

        Args:
            kept: by `kept`.
            tenants: what routers had told of them by then.
        """
        for each in kept.instances:
            name = InstanceId(each.instance_id)
            if name in self._places:
                self._take_up(name, each)
            else:
                self._kept[name] = each
        self.accounts.resume(kept.kept_at_s, self.in_flight, kept.due, tenants)

    @property
    def totals(self) -> Totals:
        """All that was told off so far."""
        return self.accounts.totals

    @property
    def in_flight(self) -> dict[str, Share]:
        """Energy of requests that have told no tokens yet, by pool."""
        found: dict[str, Share] = {pool.pool_id: NOTHING for pool in self._site.pools}
        for name, stock in self._stocks.items():
            found[self._places[name][0].pool_id] += stock.share
        return found

    def take(self, observation: Observation) -> Booked:
        """Book what was used since the last observation."""
        now_s, router = observation.now_s, observation.router
        if not isinstance(router, Missing):
            self.accounts.begin(now_s, self.in_flight, router.tenants)
        look = Look.of(observation, self._classes)
        closed: list[tuple[Interval, Metered]] = []
        for seen in observation.instances:
            place = self._places.get(seen.instance_id)
            if place is not None:
                found = self._close(place, seen, look)
                if found is not None:
                    closed.append(found)
        intervals = tuple(interval for interval, _ in closed)
        results = attribute(intervals, self._stocks, self._policy.idle, signals_of(self._site, observation))
        for result, (_, metered) in zip(results, closed, strict=True):
            self._book(result, metered)
        settlement = None
        if not isinstance(router, Missing) and self.accounts.is_due(now_s, self._policy.settle_s):
            settlement = self.accounts.settle(now_s, self.in_flight, router.tenants)
        return Booked(self._current_rates(observation), settlement)

    def close(self, observation: Observation) -> Settlement | None:
        """Settle before the interval is over, as the process ends; None where nobody could be settled with."""
        router = observation.router
        if isinstance(router, Missing) or not self.accounts.is_due(observation.now_s, LEAST_S):
            return None
        return self.accounts.settle(observation.now_s, self.in_flight, router.tenants)

    def _close(
        self, place: tuple[Pool, Instance], seen: InstanceObservation, look: Look
    ) -> tuple[Interval, Metered] | None:
        """The interval that ends with this observation, if one does."""
        pool, instance = place
        name, before = instance.instance_id, self._seen.get(instance.instance_id)
        engine: Tokens | None = Tokens(seen.prompt_tokens, seen.generation_tokens)
        if not engine and seen.state is InstanceState.UNREACHABLE:
            engine = None if before is None else before.engine  # it was not heard, which is not that it counted nothing
        told = look.told.get(name, {}) if look.told is not None else before.told if before is not None else {}
        if before is None:
            before = self._seen[name] = Seen(engine, told, seen.running, seen.steps)
        made = Tokens() if engine is None or before.engine is None else grown(before.engine, engine)
        meter = self._meters[name]
        span_s, modelled_w = meter.span_s(look.now_s), 0.0
        if span_s > self._policy.stale_s:  # only then is it asked for
            steps = steps_since(before.steps, seen.steps)
            modelled_w = modelled_power_w(self._curves[pool.pool_id], seen.state, made, span_s, steps)
        metered = meter.read(look.now_s, look.readings, modelled_w)
        if metered is None:
            return None
        self._catching_up.discard(name)
        self._seen[name] = Seen(engine, told, seen.running, seen.steps)
        serves = seen.state is InstanceState.SERVING
        interval = Interval(
            instance_id=name,
            pool_id=pool.pool_id,
            curves=self._curves[pool.pool_id],
            duration_s=metered.duration_s,
            energy_j=metered.energy_j,
            batch=0.5 * (before.running + seen.running),
            engine=made if serves or made else None,
            told=told_since(before.told, told),
            silent=look.silent_on(name) if serves else 0,
            is_running=seen.running + seen.waiting > 0,
        )
        return interval, metered

    def _book(self, result: Attributed, metered: Metered) -> None:
        interval = result.interval
        self._stocks[interval.instance_id] = result.stock
        told = dict(interval.told)
        self.accounts.meter(interval.pool_id, metered)
        for label, share in result.shares.items():
            self.accounts.add(PoolClass(interval.pool_id, label), share, told[label])
        self.accounts.leave(interval.pool_id, idle=result.idle, unattributed=result.unattributed)
        rate = self._courses[interval.instance_id].take(result)
        if rate is None:
            self._rates.pop(interval.instance_id, None)
        else:
            seq_tokens_per_s = 0.0 if result.rate is None else interval.seq_tokens_per_s
            told_rate = InstanceRate(
                interval.instance_id, rate.prefill_j, rate.decode_j, metered.quality, seq_tokens_per_s
            )
            self._rates[interval.instance_id] = told_rate

    def _current_rates(self, observation: Observation) -> tuple[InstanceRate, ...]:
        """Measured ones; of an instance that made nothing, what a request on its own costs by the curves."""
        return tuple(
            self._rates.get(seen.instance_id) or self._alone(seen.instance_id)
            for seen in observation.instances
            if seen.state is InstanceState.SERVING and seen.instance_id in self._places
        )

    def _alone(self, name: InstanceId) -> InstanceRate:
        curves = self._curves[self._places[name][0].pool_id]
        prefill_j = curves.p0_w * curves.prefill_s_per_token + curves.prefill_j_per_token
        return InstanceRate(name, prefill_j, curves.step_base_j + curves.step_per_seq_j, Quality.ESTIMATED)
