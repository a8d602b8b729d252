"""The measures, by name, and the subjects of each."""

from __future__ import annotations

import gc
from collections.abc import Callable
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
    """

    ours: Ours
    peers: tuple[Peer, ...]
    rounds: int
    quick: bool
    soak_requests: int

    @property
    def ours_2x4(self) -> Subject:
        """Our router before two pools of four."""
        return Subject(replace(self.ours, name=OURS_2X4, pools=POOLS_2X4), ADDRESSES_2X4)

    def few(self) -> list[Subject]:
        """Ours, the limit and the closest peer."""
        return [Subject(self.ours), Subject(Nginx()), *(Subject(peer) for peer in self.peers[:1])]

    def all(self) -> list[Subject]:
        """Everything that can be measured."""
        ours, nginx, *_ = self.few()
        return [ours, self.ours_2x4, nginx, *(Subject(peer) for peer in self.peers)]


def _basic(bench: Bench, plan: Plan) -> None:
    for _ in range(plan.rounds):
        basic.measure_round(bench, plan.few() if plan.quick else plan.all(), quick=plan.quick)


def _start(bench: Bench, plan: Plan) -> None:
    for number in range(1 if plan.quick else 5):
        # Peers take seconds; their figure is for orientation, ours has a target.
        startup.measure_round(bench, plan.few() if number < plan.rounds else [Subject(plan.ours)])


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


def run(bench: Bench, plan: Plan, names: list[str]) -> None:
    """Run some measures; what the peers need is there already."""
    with table_server(pool_names(POOLS_2X4), CLASS_NAMES) as url:
        plan = replace(plan, ours=replace(plan.ours, table_url=url))
        for name in names:
            {**MEASURES, **APART}[name](bench, plan)


def installed_peers(bench: Bench, wanted: list[Peer]) -> tuple[Peer, ...]:
    """Install peers; one that cannot be is noted and stays in the list, to be reported as absent."""
    for peer in wanted:
        problem = install.ensure(peer.requirement, peer.venv)
        if problem is not None:
            bench.unavailable.add(peer.name)
            bench.results.note(peer.name, problem)
    return tuple(wanted)
