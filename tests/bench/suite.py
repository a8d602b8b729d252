"""The measures, by name, and the subjects of each."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tests.bench import basic, flatness, install, latency, memory, soak, startup
from tests.bench.allocation import table_server
from tests.bench.bench import Bench, Subject
from tests.bench.ours import CLASS_NAMES, Ours, pool_names
from tests.bench.peers import Nginx, Peer
from tests.bench.targets import OURS_2X4

POOLS_2X4 = 2
ADDRESSES_2X4 = 8


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        ours: our router, as it is to be started.
        peers: the routers from the registry.
        rounds: of each measure.
        quick: one short round.
        soak_requests: length of the soak.
        names: measure these subjects alone; empty means all.
    """

    ours: Ours
    peers: tuple[Peer, ...]
    rounds: int
    quick: bool
    soak_requests: int
    names: frozenset[str] = frozenset()

    def few(self) -> list[Subject]:
        """Ours, and those it has targets against."""
        return self._wanted([Subject(self.ours), Subject(Nginx()), *map(Subject, self.peers[:1])])

    def more(self) -> list[Subject]:
        """The few, and ours before two pools of four."""
        two_pools = Subject(replace(self.ours, name=OURS_2X4, pools=POOLS_2X4), ADDRESSES_2X4)
        return self._wanted([Subject(self.ours), two_pools, Subject(Nginx()), *map(Subject, self.peers[:1])])

    def all(self) -> list[Subject]:
        """Everything that can be measured."""
        return [*self.more(), *self._wanted([*map(Subject, self.peers[1:])])]

    def _wanted(self, subjects: list[Subject]) -> list[Subject]:
        return [subject for subject in subjects if not self.names or subject.proxy.name in self.names]


def _basic(bench: Bench, plan: Plan) -> None:
    for number in range(plan.rounds):
        # There is no target against the slower peers: one round of them will do.
        all_or_more = plan.all() if number == 0 else plan.more()
        subjects = plan.few() if plan.quick else all_or_more
        basic.measure_round(bench, subjects, quick=plan.quick)


def _start(bench: Bench, plan: Plan) -> None:
    for number in range(1 if plan.quick else 5):
        startup.measure_round(bench, plan.few() if number < plan.rounds else plan.few()[:1])


def _memory(bench: Bench, plan: Plan) -> None:
    for _ in range(min(plan.rounds, 2)):
        memory.measure_round(bench, plan.few())


def _latency(bench: Bench, plan: Plan) -> None:
    for _ in range(plan.rounds):
        latency.measure_round(bench, plan.few(), seconds=3.0 if plan.quick else 8.0)


def _flat(bench: Bench, plan: Plan) -> None:
    for _ in range(min(plan.rounds, 2)):
        flatness.measure_round(bench, plan.ours)


def _choose(bench: Bench, plan: Plan) -> None:
    from tests.bench import choose  # runs the router in this process: only where asked for

    bench.say("cost of a decision")
    gc.disable()
    try:
        for pools, instances in ((1, 1), (2, 4), (8, 16), (1, 512)):
            costs = choose.measure(pools, instances)
            bench.results.add(plan.ours.name, **{f"choose_{pools}x{instances}_us": costs.choose})
    finally:
        gc.enable()


def _soak(bench: Bench, plan: Plan) -> None:
    with bench.noting(plan.ours.name, "soak"):
        soak.measure(bench, replace(plan.ours, pools=POOLS_2X4), requests=plan.soak_requests)


MEASURES: dict[str, Callable[[Bench, Plan], None]] = {
    "basic": _basic,
    "start": _start,
    "memory": _memory,
    "latency": _latency,
    "flat": _flat,
    "choose": _choose,
}
"""What a full run measures, in this order."""
APART: dict[str, Callable[[Bench, Plan], None]] = {"soak": _soak}
"""What is measured only when asked for."""
BESIDE_PEERS = frozenset({"basic", "start", "memory", "latency"})
"""Measures that need the peers."""


def run(bench: Bench, plan: Plan, names: list[str]) -> None:
    """Run some measures."""
    with table_server(pool_names(POOLS_2X4), CLASS_NAMES) as url:
        plan = replace(plan, ours=replace(plan.ours, table_url=url))
        for name in names:
            {**MEASURES, **APART}[name](bench, plan)


def install_peers(bench: Bench, wanted: Iterable[Peer]) -> None:
    """Install peers; one that cannot be is noted, and reported as not measured."""
    for peer in wanted:
        problem = install.ensure(peer.requirement, peer.venv)
        if problem is not None:
            bench.unavailable.add(peer.name)
            bench.results.note(peer.name, f"not measured: {problem}")
