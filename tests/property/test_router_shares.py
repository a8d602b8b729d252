"""Whatever the weights and the lengths, the share of tokens served follows the weights."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.contract import ClassId
from router.dispatch import Choice, Dispatcher
from router.exchange import Ask
from router.openai import RequestFacts
from tests.fakes.routing import NOW_S, ask, choose, finish, router_file, table

NAMES = ("bf16", "fp8", "int8", "int4")
REQUESTS = 1000


@st.composite
def weights(draw: st.DrawFn) -> dict[str, float]:
    drawn = {name: draw(st.floats(0, 1)) for name in NAMES}
    return drawn if sum(drawn.values()) > 0.1 else {**drawn, "bf16": 1.0}


@given(
    weights=weights(),
    seed=st.integers(0, 1 << 32),
    mean=st.floats(3.0, 6.5),
    spread=st.floats(0.0, 1.0),
    concurrency=st.integers(1, 60),
)
@settings(max_examples=25)
def test_the_share_of_tokens_is_within_one_percent_after_a_thousand_requests(
    weights: dict[str, float], seed: int, mean: float, spread: float, concurrency: int
) -> None:
    rng = random.Random(seed)
    dispatcher = Dispatcher(router_file(dict.fromkeys(NAMES, 2), cap=100_000))
    dispatcher.apply_table(table({"standard": weights}), NOW_S)
    lengths: list[int] = []
    open_requests: list[tuple[Choice, Ask]] = []

    def end_one() -> None:
        choice, request = open_requests.pop(rng.randrange(len(open_requests)))
        tokens = min(4096, max(1, round(rng.lognormvariate(mean, spread))))
        lengths.append(tokens)
        finish(dispatcher, choice, request, output_tokens=tokens)

    for _ in range(REQUESTS):
        request = ask(dispatcher)
        open_requests.append((choose(dispatcher, request), request))
        dispatcher.expire(NOW_S)
        while len(open_requests) >= concurrency:
            end_one()
    while open_requests:
        end_one()

    (standard, *_) = dispatcher.state(NOW_S).classes
    assert standard.class_id == ClassId("standard")
    served = {item.pool_id: item.output_tokens for item in dispatcher.state(NOW_S).traffic}
    total_tokens, total_weight = sum(served.values()), sum(weights.values())
    # Lengths are not known in advance: a single answer longer than the tolerance may miss it, and the next make up.
    tolerance = max(0.01, 2 * max(lengths) / total_tokens)
    for name in NAMES:
        share = served.get(name, 0) / total_tokens
        assert abs(share - weights[name] / total_weight) <= tolerance
        assert weights[name] > 0 or name not in served


CLASSES = {
    "standard": {"bf16": 0.7, "fp8": 0.2, "int8": 0.1, "int4": 0.0},
    "premium": {"bf16": 0.5, "fp8": 0.3, "int8": 0.1, "int4": 0.1},
    "flex": {"bf16": 0.05, "fp8": 0.05, "int8": 0.45, "int4": 0.45},
}


def serve_mixed(seed: int, requests: int, checks: dict[int, float], *, workers: int = 1, prefixes: int = 0) -> None:
    """Serve requests of all classes with mixed lengths, 12 at a time, and check each class's shares on the way.

    Args:
        seed: of lengths and classes.
        requests: how many of each class.
        checks: most the shares may be off, by the number of requests of a class that have ended.
        workers: each takes any of the requests.
        prefixes: in so many ways prompts begin; 0 for prompts of which that is not known.
    """
    rng = random.Random(seed)
    settings = router_file(dict.fromkeys(NAMES, 2), cap=100_000, classes=[{"name": name} for name in CLASSES])
    dispatchers = [Dispatcher(settings) for _ in range(workers)]
    for dispatcher in dispatchers:
        dispatcher.apply_table(table(CLASSES), NOW_S)
    ended: Counter[str] = Counter()
    served: dict[str, Counter[str]] = {name: Counter() for name in CLASSES}
    running: list[tuple[Dispatcher, Choice, Ask]] = []
    for number in range(requests * len(CLASSES) + 12):
        if number < requests * len(CLASSES):
            dispatcher = rng.choice(dispatchers)
            prefix = rng.randrange(prefixes) * 0x9E3779B9 % (1 << 32) if prefixes else None
            facts = RequestFacts(stream=True, valid=True, body_bytes=400, prefix=prefix)
            request = ask(dispatcher, facts, x_wattroute_class=list(CLASSES)[number % len(CLASSES)])
            running.append((dispatcher, choose(dispatcher, request), request))
            dispatcher.expire(NOW_S)
        if len(running) <= 12 and number < requests * len(CLASSES):
            continue
        if not running:
            break
        dispatcher, choice, request = running.pop(rng.randrange(len(running)))
        tokens = min(2048, max(1, round(rng.lognormvariate(5.0, 0.8))))
        finish(dispatcher, choice, request, output_tokens=tokens)
        class_id = choice.class_id
        ended[class_id] += 1
        served[class_id][choice.spec.pool_id] += tokens
        if ended[class_id] in checks:
            for pool_id, weight in CLASSES[class_id].items():
                share = served[class_id][pool_id] / served[class_id].total()
                assert abs(share - weight) <= checks[ended[class_id]], (class_id, pool_id, share)


@pytest.mark.parametrize("seed", range(5))
def test_after_a_thousand_requests_of_mixed_lengths_the_shares_are_within_one_percent(seed: int) -> None:
    serve_mixed(seed, 1000, {1000: 0.01})


@pytest.mark.parametrize("seed", range(2))
def test_after_twenty_thousand_they_are_within_a_fifth_of_a_percent(seed: int) -> None:
    serve_mixed(seed, 20_000, {10_000: 0.004, 20_000: 0.002})


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("prefixes", [3, 100, 1 << 32])
def test_prompts_that_begin_alike_leave_the_shares_as_exact(workers: int, prefixes: int) -> None:
    serve_mixed(7, 1000, {1000: 0.01}, workers=workers, prefixes=prefixes)


@pytest.mark.parametrize("workers", [1, 3])
def test_after_twenty_thousand_prompts_that_begin_alike_they_are_as_exact(workers: int) -> None:
    serve_mixed(8, 20_000, {20_000: 0.002}, workers=workers, prefixes=100)
