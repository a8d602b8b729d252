"""Prompts that begin alike find their beginning in the engines' caches, and no engine is overloaded for it."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

import pytest

from router.affinity import LOAD_FACTOR
from router.dispatch import Choice, Dispatcher
from router.exchange import Ask
from tests.fakes.chats import ChatShape, PrefixCache, Turn, chats
from tests.fakes.routing import NOW_S, choose, finish, router_file

CACHE_BLOCKS = 1000
"""Half a million tokens: a large engine's."""
PREFILL_S_A_BLOCK = 0.05
DECODE_S = 4.0
OUTPUT_TOKENS = 256


@dataclass
class Result:
    """What the engines' caches did, and how the requests spread."""

    hits: int = 0
    blocks: int = 0
    worst_excess: float = 0.0
    worst_spread: float = 0.0
    tokens: Counter[str] = field(default_factory=Counter)

    @property
    def hit_frac(self) -> float:
        return self.hits / self.blocks


def serve(turns: list[Turn], affinity: str, pools: dict[str, int]) -> Result:
    """Serve a trace; a request takes a time for its blocks that are not cached, and one for its answer."""
    dispatcher = Dispatcher(router_file(pools, cap=100_000, router={"affinity": affinity}))
    caches = {spec.instance_id: PrefixCache(CACHE_BLOCKS) for spec in dispatcher.instances()}
    in_flight: dict[str, Counter[str]] = {name: Counter() for name in pools}
    running: list[tuple[float, int, Choice, Ask]] = []
    result = Result()
    for number, turn in enumerate(turns):
        while running and running[0][0] <= turn.at_s:
            _, _, choice, request = heapq.heappop(running)
            in_flight[choice.spec.pool_id][choice.spec.instance_id] -= 1
            finish(dispatcher, choice, request, output_tokens=OUTPUT_TOKENS)
        asked = dispatcher.ask(dispatcher.hints({}), dispatcher.read_facts(turn.body), NOW_S)
        assert isinstance(asked, Ask)
        choice = choose(dispatcher, asked)
        dispatcher.expire(NOW_S)
        loads = in_flight[choice.spec.pool_id]
        loads[choice.spec.instance_id] += 1
        mean = sum(loads.values()) / pools[choice.spec.pool_id]
        result.worst_excess = max(result.worst_excess, loads[choice.spec.instance_id] - LOAD_FACTOR * mean)
        hits = caches[choice.spec.instance_id].serve(turn.blocks)
        result.hits += hits
        result.blocks += len(turn.blocks)
        result.tokens[choice.spec.pool_id] += OUTPUT_TOKENS
        service_s = DECODE_S + PREFILL_S_A_BLOCK * (len(turn.blocks) - hits)
        heapq.heappush(running, (turn.at_s + service_s, number, choice, asked))
    return result


@pytest.mark.parametrize(
    ("shape", "seed"),
    [(ChatShape(), 1), (ChatShape(system_prompts=50, zipf=1.2), 2), (ChatShape(system_prompts=1000, zipf=0.8), 3)],
    ids=["200 system prompts", "50 system prompts", "1000 system prompts"],
)
def test_more_of_the_prompts_is_found_in_the_caches_within_the_load_bound(shape: ChatShape, seed: int) -> None:
    turns = chats(shape, seed)
    without, with_prefixes = (serve(turns, affinity, {"bf16": 8}) for affinity in ("none", "prefix"))
    assert with_prefixes.hit_frac > 1.4 * without.hit_frac
    assert with_prefixes.worst_excess < 1.0, "at most 1.25 times the mean, rounded up"


def test_two_pools_keep_their_shares_and_chats_their_pool() -> None:
    turns = chats(ChatShape(), 4)
    without, with_prefixes = (serve(turns, affinity, {"bf16": 4, "fp8": 4}) for affinity in ("none", "prefix"))
    assert with_prefixes.hit_frac > 1.4 * without.hit_frac
    for result in (without, with_prefixes):
        assert result.tokens["bf16"] / result.tokens.total() == pytest.approx(0.5, abs=0.005)


def test_one_prompt_that_all_send_spreads_over_the_instances() -> None:
    (turn, *_) = chats(ChatShape(chats=1), 5)
    turns = [Turn(number / 40, turn.blocks, turn.body) for number in range(2000)]
    result = serve(turns, "prefix", {"bf16": 8})
    assert result.worst_excess < 1.0
    assert result.hit_frac > 0.99
