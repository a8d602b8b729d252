"""What the router's decisions cost, in microseconds of one core: ``python -m tests.bench.choose``.

Each figure is the best of several rounds, each round's mean over `BATCH` requests. Requests come and go among as many
that stay in flight, so that loads differ and buckets fill as in service.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time
from typing import Any
from zlib import crc32

from router.contract import Precision
from router.dispatch import Ask, Choice, Dispatcher, Outcome
from router.openai import RequestFacts, Usage, read_facts, read_facts_and_prefix
from router.settings import RouterFile

NOW_S = 1_800_000_000.0
BATCH = 500
ROUNDS = 12
IN_FLIGHT = 4
"""Requests per instance that stay in flight while others come and go."""
BODY = (
    b'{"model":"m","messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"Say hello."}],'
    b'"max_tokens":64,"stream":true,"stream_options":{"include_usage":true}}'
)

KEYS = 2000
"""Sessions, or beginnings of prompts, among which the requests are drawn."""

TOPOLOGIES = ((1, 1), (1, 8), (1, 64), (1, 512), (2, 4), (8, 16), (32, 4))
"""Pools, and instances of each."""


@dataclass(frozen=True)
class Costs:
    """Microseconds per request."""

    ask: float
    choose: float
    release: float


def settings_of(pools: int, instances: int) -> RouterFile:
    """Pools of all precisions in turn, with equal weights."""
    port = iter(range(1024, 65_536))
    precisions = list(Precision)
    return RouterFile.model_validate(
        {
            "pools": [
                {
                    "name": f"pool-{number}",
                    "precision": precisions[number % len(precisions)],
                    "instances": [f"http://127.0.0.1:{next(port)}" for _ in range(instances)],
                }
                for number in range(pools)
            ]
        }
    )


def measure(pools: int, instances: int, kind: str = "alone") -> Costs:
    """Costs with so many pools of so many instances.

    Args:
        pools: how many.
        instances: of each pool.
        kind: whether the requests are `alone`, of `KEYS` sessions, or begin in `KEYS` ways (prefix).
    """
    dispatcher = Dispatcher(settings_of(pools, instances))
    facts = [
        RequestFacts(
            model="m",
            stream=True,
            max_tokens=64,
            session_key=f"session-{number}" if kind == "session" else None,
            prefix=crc32(b"%d" % number) if kind == "prefix" else None,
            body_bytes=400,
            valid=True,
        )
        for number in range(1 if kind == "alone" else KEYS)
    ]
    rng = random.Random(1)
    hints = dispatcher.hints({b"host": b"router", b"content-type": b"application/json"})
    asks = [_asked(dispatcher.ask(hints, facts[n % len(facts)], NOW_S)) for n in range(BATCH)]
    staying = [_chosen(dispatcher, asks[0]) for _ in range(IN_FLIGHT * pools * instances)]
    best = Costs(1e9, 1e9, 1e9)
    for _ in range(ROUNDS):
        batch = rng.choices(facts, k=BATCH)
        ask_s, asks = _timed(lambda: [dispatcher.ask(hints, facts, NOW_S) for facts in batch])  # noqa: B023
        choose_s, choices = _timed(lambda: [dispatcher.choose(ask, NOW_S) for ask in asks])  # noqa: B023
        pairs = list(zip(choices, asks, strict=True))
        rng.shuffle(pairs)
        release_s, _ = _timed(lambda: _release_all(dispatcher, pairs))  # noqa: B023
        best = Costs(min(best.ask, ask_s), min(best.choose, choose_s), min(best.release, release_s))
    for choice in staying:
        _release(dispatcher, choice, asks[0])
    return best


def _asked(found: Any) -> Ask:
    if not isinstance(found, Ask):
        raise TypeError(f"the request was refused: {found}")
    return found


def _chosen(dispatcher: Dispatcher, ask: Ask) -> Choice:
    found = dispatcher.choose(ask, NOW_S)
    if not isinstance(found, Choice):
        raise TypeError(f"no instance was chosen: {found}")
    return found


USAGE = Usage(100, 50)
OK = Outcome.OK


def _release(dispatcher: Dispatcher, choice: Choice, ask: Ask) -> None:
    dispatcher.release(choice, ask, OK, usage=USAGE, chunks=50, duration_s=1.0, now_s=NOW_S, ttft_s=0.1)


def _release_all(dispatcher: Dispatcher, pairs: list[tuple[Any, Any]]) -> list[None]:
    for choice, ask in pairs:
        dispatcher.release(choice, ask, OK, usage=USAGE, chunks=50, duration_s=1.0, now_s=NOW_S, ttft_s=0.1)
    dispatcher.expire(NOW_S)  # as the sweep does: the answers noted are counted there
    return []


def _timed(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    began_s = thread_time()
    result = work()
    return (thread_time() - began_s) / BATCH * 1e6, result


def _reading_us(read: Callable[[bytes], RequestFacts]) -> float:
    best_s = 1e9
    for _ in range(ROUNDS):
        began_s = thread_time()
        for _ in range(BATCH):
            read(BODY)
        best_s = min(best_s, thread_time() - began_s)
    return best_s / BATCH * 1e6


def rows() -> list[tuple[int, int, str, Costs]]:
    """Every topology with every kind of requests."""
    return [
        (pools, instances, kind, measure(pools, instances, kind))
        for pools, instances in TOPOLOGIES
        for kind in ("alone", "session", "prefix")
    ]


def main() -> None:
    """Print the table."""
    gc.disable()
    plain_us, prefix_us = _reading_us(read_facts), _reading_us(read_facts_and_prefix)
    sys.stdout.write(f"reading a small chat request: {plain_us:.2f} us, with its prefix {prefix_us:.2f} us\n\n")
    sys.stdout.write("pools x instances   requests     ask  choose  release   (us per request)\n")
    for pools, instances, kind, costs in rows():
        sys.stdout.write(
            f"{pools:5} x {instances:<9} {kind:>10}  {costs.ask:6.2f}  {costs.choose:6.2f}  {costs.release:7.2f}\n"
        )


if __name__ == "__main__":
    main()
