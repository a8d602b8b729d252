"""Metrics of the controller, all named `wattroute_controller_*`, on a registry of their own.

Labels are bounded: pools and classes are those of the site, everything else comes from closed sets or becomes `other`.
A value that is not known is NaN, never zero.
"""

from __future__ import annotations

import math
from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from controller.lifecycle.latency import LATENCIES, POOL
from controller.metrics.canaries import CanaryMetrics
from controller.metrics.naming import PREFIX, NamedMetrics, known, number
from controller.metrics.refits import RefitMetrics
from controller.model.fleet import Site
from controller.model.grid import Precedence, Series
from controller.model.observation import (
    InstanceState,
    Missing,
    Observation,
    PowerLadder,
    Reading,
    RouterObservation,
    Rung,
)
from controller.model.plan import PlanOrigin, Verb
from controller.optimizer.check import PROMISES
from controller.tick import Decision, Diagnostics
from router.contract import EventState

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LADDERS = frozenset(
    (
        *("plan", "dispatch", "power", "ramp", "demand", "price", "carbon", "quality", "latency", "curves", "table"),
        "instances",
    )
)
_STEPS_MAX = 32
_SIGNALS = ("site_power", "router", "price", "carbon")
_FAULTS = frozenset(
    (
        *("read", "tick", "late", "publish", "record", "watch", "state", "energy", "supervisor", "handover", "loads"),
        "routers",
    )
)


class Telemetry:
    """Holds the metrics; every method only sets values.

    Attributes:
        registry: of all metrics of the controller.
        canaries: those of the quality of pools' answers.
    """

    def __init__(self, site: Site, precedence: Precedence = Precedence.CONTRACT) -> None:
        self.registry = CollectorRegistry()
        self._site = site
        self._steps: set[str] = set()
        self._energy_j = 0.0
        make = NamedMetrics(self.registry)
        self._define_loop(make)
        self._define_power(make, precedence)
        self._define_fleet(make)
        self.canaries = CanaryMetrics(self.registry)
        self._refits = RefitMetrics(self.registry, site)

    def exposition(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self.registry)

    def _define_loop(self, make: NamedMetrics) -> None:
        gauge, counter = make.gauge, make.counter
        self._tick_s = Histogram(
            f"{PREFIX}tick_seconds", "Time from reading to acting.", buckets=_SECONDS, registry=self.registry
        )
        self._solver_s = Histogram(
            f"{PREFIX}solver_seconds",
            "Solver time: slow moves instances, fast moves shares.",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        for kind in ("slow", "fast"):
            self._solver_s.labels(kind)
        self._fallbacks = counter("fallbacks", "Ticks on which a ladder stood below its top.", ("ladder", "step"))
        self._origin = gauge("plan_origin", "1 for the rung that made the plan in force.", ("origin",))
        self._faults = counter("faults", "Faults of the loop's own steps.", ("step",))
        for step in sorted(_FAULTS):
            self._faults.labels(step)
        self._actuations = counter("actuations", "Commands to instances, by how they ended.", ("verb", "outcome"))
        for verb in Verb:
            for outcome in ("done", "failed"):
                self._actuations.labels(verb.value, outcome)
        self._sequence = gauge("table_sequence", "Sequence of the last table.")
        self._acknowledged = gauge("acknowledged_sequence", "Smallest table sequence that a router obeys.")
        self._age_s = gauge("reading_age_seconds", "Age of a signal; NaN while it is missing.", ("signal",))

    def _define_power(self, make: NamedMetrics, precedence: Precedence) -> None:
        gauge, counter = make.gauge, make.counter
        self._power_w = gauge("power_watts", "Measured power at the metering point.")
        self._predicted_w = gauge("predicted_power_watts", "Power that the plan predicts for now.")
        self._modelled_w = gauge("modelled_power_watts", "Power by the model for the observed state.")
        self._limit_w = gauge("limit_watts", "Limit in force at the metering point; NaN without one.")
        self._effective_limit_w = gauge("effective_limit_watts", "The limit after its margin.")
        self._rung = gauge("power_rung", "1 for where the site's power is known from.", ("rung",))
        self._margin = gauge("power_margin_frac", "Share of the limits kept free on that rung.")
        self._conflicts = gauge("power_conflicts", "GPUs, and the site, on whose power two sources disagree.")
        self._source_gpus = gauge(
            "power_source_gpus", "GPUs of the site of which a source has a fresh reading; 1 for a meter.", ("source",)
        )
        self._source_age_s = gauge(
            "power_source_age_seconds", "Age of a source's oldest reading; NaN without one.", ("source",)
        )
        self._energy = counter("energy_joules", "Energy of the site since the controller began.")
        self._price = gauge("price_usd_per_mwh", "Electricity price in force.")
        self._carbon = gauge("carbon_kg_per_mwh", "Marginal emission rate in force.")
        self._event = gauge("event_state", "1 for the state of the grid event that binds now.", ("state",))
        self._over_limit = gauge("event_over_limit", "1 while power exceeds the limit after the ramp.")
        self._delivered_w = gauge("event_delivered_watts", "Baseline less measured power during an event.")
        self._order = gauge("precedence", "1 for the order in which promises yield now.", ("order",))
        for each in Precedence:
            self._order.labels(each.value).set(each is precedence)
        self._foreseen = gauge(
            "foreseen_slack", "What the plan will lack under a limit to keep a promise, in its own unit.", ("promise",)
        )
        self._slack = gauge("slack", "What the plan lacks to keep a promise, in its own unit.", ("promise",))

    def _define_fleet(self, make: NamedMetrics) -> None:
        gauge, counter = make.gauge, make.counter
        self._instances = gauge("instances", "Instances of a pool by observed state.", ("pool", "state"))
        self._sleepers = gauge("sleepers", "Instances that sleep or are off by the controller's command.")
        self._given_back = counter("given_back", "Wakes and starts begun because the controller lets go.")
        self._target_on = gauge("plan_on_instances", "Instances that the plan wants serving.", ("pool",))
        self._replicas = gauge(
            "desired_replicas", "Instances that are to exist by the plan, asleep or serving.", ("pool",)
        )
        self._demand = gauge("demand_tokens_per_second", "Planned output tokens.", ("class",))
        self._quality = gauge("quality_burnt_frac", "Mean quality loss within the class's window.", ("class",))
        self._quality_left = gauge(
            "quality_left_frac",
            "Share of the window's quality budget that is not burnt, negative if overdrawn; NaN without a budget.",
            ("class",),
        )
        self._latency = gauge(
            "latency_kept", "1 where a pool keeps the class's latency target, 0 where none does.", ("class", "promise")
        )

    def take_observation(self, observation: Observation, energy_j: float) -> None:
        """Set what was measured."""
        power = observation.site_power
        self._power_w.set(power.value_w if isinstance(power, Reading) else math.nan)
        self._energy.inc(max(0.0, energy_j - self._energy_j))
        self._energy_j = max(self._energy_j, energy_j)
        self._take_ladder(observation.power_ladder)
        router = observation.router
        acknowledged = router.acknowledged_sequence if isinstance(router, RouterObservation) else math.nan
        self._acknowledged.set(acknowledged)
        feeds = (observation.price_usd_per_mwh, observation.carbon_kg_per_mwh)
        for signal, value in zip(_SIGNALS, (power, router, *feeds), strict=True):
            self._age_s.labels(signal).set(_age_s(value, observation.now_s))
        for gauge, feed in zip((self._price, self._carbon), feeds, strict=True):
            gauge.set(number(feed.at(observation.now_s) if isinstance(feed, Series) else None))
        states = Tally((instance.pool_id, instance.state) for instance in observation.instances)
        for pool in self._site.pools:
            for state in InstanceState:
                self._instances.labels(pool.pool_id, state.value).set(states[pool.pool_id, state])

    def _take_ladder(self, ladder: PowerLadder | None) -> None:
        """Set how the sources of power stand; their names are those of the configuration."""
        if ladder is None:
            return
        self._conflicts.set(len(ladder.conflicts))
        for state in ladder.sources:
            self._source_gpus.labels(state.name).set(state.gpus)
            self._source_age_s.labels(state.name).set(number(state.age_s))

    def take_decision(self, decision: Decision, took_s: float) -> None:
        """Set what was decided."""
        diagnostics = decision.diagnostics
        self._tick_s.observe(took_s)
        for kind, solve_s in (("slow", diagnostics.slow_solve_s), ("fast", diagnostics.fast_solve_s)):
            if solve_s is not None:
                self._solver_s.labels(kind).observe(solve_s)
        for fallback in diagnostics.steps_down:
            ladder = fallback.ladder if fallback.ladder in _LADDERS else "other"
            self._fallbacks.labels(ladder, self._bounded_step(fallback.step)).inc()
        for origin in PlanOrigin:
            self._origin.labels(origin.value).set(diagnostics.plan_origin is origin)
        self._sequence.set(decision.commands.table.sequence)
        self._take_power(diagnostics)
        known_pools = {pool.pool_id for pool in self._site.pools}
        for entry in diagnostics.pools:
            self._target_on.labels(known(entry.pool_id, known_pools)).set(entry.target_on)
        self._refits.take(diagnostics.refits)
        known_classes = {cls.class_id for cls in self._site.classes}
        for item in diagnostics.classes:
            name = known(item.class_id, known_classes)
            self._demand.labels(name).set(item.demand_tokens_per_s)
            self._quality.labels(name).set(item.quality_burnt_frac)
            self._quality_left.labels(name).set(number(item.quality_left_frac))
            for promise in LATENCIES:
                self._latency.labels(name, promise).set(promise not in item.unkept and POOL not in item.unkept)

    def take_replicas(self, decision: Decision) -> None:
        """Set how many instances are to exist; before it is acted upon, so that none that comes back is taken."""
        for pool_id, replicas in decision.replicas:
            self._replicas.labels(pool_id).set(replicas)

    def take_fault(self, step: str) -> None:
        """Count a fault of one of the loop's own steps; what is none of them is told as `other`."""
        self._faults.labels(known(step, _FAULTS)).inc()

    def take_outcome(self, verb: Verb, *, is_done: bool) -> None:
        """Count a command that ended."""
        self._actuations.labels(verb.value, "done" if is_done else "failed").inc()

    def take_sleepers(self, count: int) -> None:
        """Set how many instances rest by the controller's command."""
        self._sleepers.set(count)

    def take_given_back(self, count: int) -> None:
        """Count wakes and starts that were begun to give instances back."""
        self._given_back.inc(count)

    def _take_power(self, diagnostics: Diagnostics) -> None:
        self._predicted_w.set(diagnostics.planned_w)
        self._modelled_w.set(diagnostics.modelled_w)
        self._limit_w.set(number(diagnostics.limit_w))
        self._effective_limit_w.set(number(diagnostics.effective_limit_w))
        for rung in Rung:
            self._rung.labels(rung.value).set(rung is diagnostics.power_rung)
        self._margin.set(diagnostics.margin_frac)
        event = diagnostics.event
        for state in EventState:
            self._event.labels(state.value).set(event is not None and event.state is state)
        self._over_limit.set(event is not None and event.over_limit)
        self._delivered_w.set(number(event.delivered_w if event is not None else None))
        for promise in (*PROMISES, "other"):
            amounts = [item.amount for item in diagnostics.slack if known(item.promise, PROMISES) == promise]
            self._slack.labels(promise).set(sum(amounts))
            coming = [item.amount for item in diagnostics.foreseen if known(item.promise, PROMISES) == promise]
            self._foreseen.labels(promise).set(sum(coming))
        for order in Precedence:
            self._order.labels(order.value).set(order is diagnostics.precedence)

    def _bounded_step(self, step: str) -> str:
        if step not in self._steps:
            if len(self._steps) >= _STEPS_MAX:
                return "other"
            self._steps.add(step)
        return step


def _age_s(signal: Reading | RouterObservation | Series | Missing, now_s: float) -> float:
    if isinstance(signal, Missing):
        return math.nan
    if isinstance(signal, Series):
        return max(0.0, now_s - signal.end_s)
    return now_s - signal.observed_at_s
