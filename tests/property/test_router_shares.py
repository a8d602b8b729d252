"""Whatever the weights and the lengths, the share of tokens served follows the weights."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from router.contract import ClassId
from router.dispatch import Choice, Dispatcher
from router.exchange import Ask
from tests.fakes.routing import ask, choose, finish, router_file, table

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
@settings(max_examples=25, deadline=None)
def test_the_share_of_tokens_is_within_one_percent_after_a_thousand_requests(
    weights: dict[str, float], seed: int, mean: float, spread: float, concurrency: int
) -> None:
    rng = random.Random(seed)
    dispatcher = Dispatcher(router_file(dict.fromkeys(NAMES, 2), cap=100_000))
    dispatcher.apply_table(table({"standard": weights}), 1_800_000_000.0)
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
        while len(open_requests) >= concurrency:
            end_one()
    while open_requests:
        end_one()

    (standard, *_) = dispatcher.state(1_800_000_000.0).classes
    assert standard.class_id == ClassId("standard")
    served = {item.pool_id: item.output_tokens for item in dispatcher.state(1_800_000_000.0).traffic}
    total_tokens, total_weight = sum(served.values()), sum(weights.values())
    # Lengths are not known in advance: a single answer longer than the tolerance may miss it, and the next make up.
    tolerance = max(0.01, 2 * max(lengths) / total_tokens)
    for name in NAMES:
        share = served.get(name, 0) / total_tokens
        assert abs(share - weights[name] / total_weight) <= tolerance
        assert weights[name] > 0 or name not in served
