"""What the routers report on their admin ports: demand by class and the table they obey.

Counters are summed over routers and only grow, also when a router restarts: what it had counted before is kept. A
router that stops answering keeps its last figures for `FORGET_AFTER_S`, so that its acknowledgement still holds back
what must wait for it; after that it counts as gone. One that is not told of any more has ended after `ABSENT_AFTER_S`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from controller.errors import SignalError
from controller.model.observation import ClassDemand, Missing, RouterObservation
from controller.model.service import ServiceSource
from controller.signals.router_askers import RouterAsker
from controller.signals.router_service import ServiceTotals
from controller.signals.router_state import COUNTERS, RouterState
from controller.signals.router_tokens import NO_COUNTS, TokenCounts, TokenTotals
from router.contract import ClassId, InstanceId, PoolId

log = logging.getLogger(__name__)

FORGET_AFTER_S = 60.0
ABSENT_AFTER_S = 10.0
"""A router that is not told of any more has ended."""
KEEP_S = 86_400.0
"""How long the counters of a router that has ended are kept, in case it comes back."""


@dataclass(slots=True)
class _Router:
    first_asked_s: float
    answered_at_s: float | None = None
    is_gone: bool = False
    sequence: int = -1
    counters: Mapping[tuple[str, str], float] | None = None
    last: dict[tuple[str, str, str], float] = field(default_factory=dict)
    on_instance: Mapping[str, int] = field(default_factory=dict)
    streams: Mapping[str, int] = field(default_factory=dict)


Counts = tuple[tuple[str, str, str, float], ...]
"""Counters with what they count: ("class", class, counter, value) or ("pool", class, pool, value)."""


@dataclass(frozen=True, slots=True)
class RouterCounts:
    """What was counted so far, for the next process to go on from.

    Attributes:
        totals: summed over routers and their restarts.
        routers: (name, its counters as last seen).
    """

    totals: Counts
    routers: tuple[tuple[str, Counts], ...]


class RouterSource:
    """Sums the states of all routers."""

    def __init__(
        self,
        asker: RouterAsker,
        counted: RouterCounts | None = None,
        tokens: TokenCounts = NO_COUNTS,
    ) -> None:
        """Begin to count, or go on from what a former process had counted."""
        self._asker = asker
        self._routers: dict[str, _Router] = {}
        self._tokens = TokenTotals(tokens)
        self._service = ServiceTotals()
        self._totals = _as_map(counted.totals) if counted else {}
        self._began_s: float | None = None
        self._before = {url: _as_map(counts) for url, counts in counted.routers} if counted else {}

    @property
    def counted(self) -> RouterCounts:
        """What was counted so far."""
        last = {**self._before, **{name: router.last for name, router in self._routers.items()}}
        names = sorted(filter(self._asker.may_be, last))
        return RouterCounts(_as_counts(self._totals), tuple((name, _as_counts(last[name])) for name in names))

    @property
    def tokens(self) -> TokenCounts:
        """Tokens that routers told so far."""
        return self._tokens.counted

    @property
    def service(self) -> ServiceSource:
        """What classes got since this process began to count."""
        return self._service

    @property
    def there(self) -> int:
        """How many routers have answered and do not count as gone."""
        return sum(not each.is_gone and each.answered_at_s is not None for each in self._routers.values())

    async def read(self, now_s: float) -> RouterObservation | Missing:
        """Demand and acknowledgement, or `Missing` when no router answers."""
        try:
            results = await self._asker.ask()
        except SignalError as error:
            self._service.begin(asked=0)
            for router in self._routers.values():
                self._miss(router, error, now_s)
            return Missing("routers", str(error), now_s)
        self._service.begin(asked=len(results))
        self._miss_others(results.keys(), now_s)
        self._began_s = now_s if self._began_s is None else self._began_s
        if now_s - self._began_s > KEEP_S:
            self._before.clear()
        states: list[RouterState] = []
        errors: list[SignalError] = []
        for name, result in results.items():
            if name not in self._routers:
                self._routers[name] = _Router(first_asked_s=now_s, last=self._before.pop(name, {}))
            router = self._routers[name]
            if isinstance(result, SignalError):
                errors.append(result)
                self._miss(router, result, now_s)
            else:
                states.append(result)
                self._take(router, result, now_s, name)
        if not states:
            return Missing("routers", "; ".join(map(str, errors[:3])), now_s)
        there = {name: router for name, router in self._routers.items() if not router.is_gone}
        counted, highest = list(there.values()), max(there, key=lambda name: there[name].sequence)
        return RouterObservation(
            now_s,
            min(router.sequence for router in counted),
            self._demand(states),
            _summed(router.on_instance for router in counted),
            _summed(router.streams for router in counted),
            self._tokens.spent,
            self._tokens.tenants,
            tuple(sorted(name for name, each in results.items() if isinstance(each, RouterState) and each.name_taken)),
            (highest, there[highest].sequence),
        )

    def _miss_others(self, names: Collection[str], now_s: float) -> None:
        """Wait a little for routers that are not told of: they have ended, or what tells of them has forgotten.

        What they had counted last is kept long enough to know them again.
        """
        for name in self._routers.keys() - set(names):
            router = self._routers[name]
            heard_s = router.first_asked_s if router.answered_at_s is None else router.answered_at_s
            if not router.is_gone and now_s - heard_s > ABSENT_AFTER_S:
                router.is_gone = True
                log.info("router has ended", extra={"source": name})
            if now_s - heard_s > KEEP_S:
                del self._routers[name]
                self._tokens.keep_only(self._routers)
                self._service.keep_only(self._routers)

    def _miss(self, router: _Router, error: SignalError, now_s: float) -> None:
        heard_s = router.first_asked_s if router.answered_at_s is None else router.answered_at_s
        if not router.is_gone and now_s - heard_s > FORGET_AFTER_S:
            router.is_gone = True
            log.warning("router counts as gone", extra={"source": error.source, "reason": error.reason})

    def _take(self, router: _Router, state: RouterState, now_s: float, name: str) -> None:
        """Take in one router's answer, unless it is the one that was taken last."""
        router.sequence, router.answered_at_s, router.is_gone = state.sequence, now_s, False
        if state.counters is router.counters:
            self._service.answered()
            return
        router.counters = state.counters
        current = {("class", *key): value for key, value in state.counters.items()}
        current |= {("pool", *key): value for key, value in state.by_pool.items()}
        restarted = _has_restarted(router.last, current)
        for key, value in current.items():
            before = 0.0 if restarted else router.last.get(key, 0.0)
            self._totals[key] = self._totals.get(key, 0.0) + max(0.0, value - before)
        self._tokens.take(name, state.tokens, restarted=restarted)
        self._service.take(name, state.service, restarted=restarted)
        router.last = current
        router.streams = state.streams
        router.on_instance = state.on_instance

    def _demand(self, states: list[RouterState]) -> tuple[ClassDemand, ...]:
        classes = sorted({key[1] for key in self._totals if key[0] == "class"})
        return tuple(self._class_demand(class_id, states) for class_id in classes)

    def _class_demand(self, class_id: str, states: list[RouterState]) -> ClassDemand:
        totals = {name: self._totals.get(("class", class_id, name), 0.0) for name in COUNTERS}
        by_pool = sorted(
            (PoolId(key[2]), value) for key, value in self._totals.items() if key[0] == "pool" and key[1] == class_id
        )
        return ClassDemand(
            class_id=ClassId(class_id),
            **totals,
            in_flight=sum(state.in_flight.get(class_id, 0) for state in states),
            queued=sum(state.queued.get(class_id, 0) for state in states),
            output_tokens_by_pool=tuple(by_pool),
        )


def _as_map(counts: Counts) -> dict[tuple[str, str, str], float]:
    return {(kind, class_id, name): value for kind, class_id, name, value in counts}


def _as_counts(values: Mapping[tuple[str, str, str], float]) -> Counts:
    return tuple((*key, values[key]) for key in sorted(values))


def _summed(counts: Iterable[Mapping[str, int]]) -> tuple[tuple[InstanceId, int], ...]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return tuple((InstanceId(instance_id), count) for instance_id, count in sorted(total.items()) if count > 0)


def _has_restarted(before: Mapping[tuple[str, str, str], float], after: Mapping[tuple[str, str, str], float]) -> bool:
    """Whether a router counts from zero again: less than half of its requests are left.

    A smaller drop is one of its workers that was replaced; counting all that is left once more would then be far off.
    """

    def requests(counters: Mapping[tuple[str, str, str], float]) -> float:
        return sum(value for key, value in counters.items() if key[0] == "class" and key[2] == "requests")

    return requests(after) < 0.5 * requests(before)
