"""Single requests in place of constant flows: when they come and how long they are. Pure."""

from __future__ import annotations

import numpy as np

from controller.model.fleet import RequestClass
from controller.simulation.site_router import Request

LONGEST = 8.0
"""No prompt and no answer is longer than this many times its class's mean."""


def draw(
    asked_per_s: np.ndarray, tick_s: float, classes: tuple[RequestClass, ...], rng: np.random.Generator
) -> tuple[Request, ...]:
    """Requests in order of arrival that ask, on average, for the given flows.

    They come at random within a tick (Poisson); their prompts and answers have geometrically distributed lengths of at
    least a token, cut at `LONGEST` times the mean, which shortens the mean by a third of a per cent.

    Args:
        asked_per_s: (ticks, R, 3) requests, prompt tokens and output tokens a second.
        tick_s: length of a tick.
        classes: of the site, in its order.
        rng: source of chance.
    """
    drawn: list[tuple[float, int, int, int]] = []
    for r in range(len(classes)):
        for tick, (requests_per_s, prompts_per_s, answers_per_s) in enumerate(asked_per_s[:, r].tolist()):
            count = int(rng.poisson(requests_per_s * tick_s))
            if not count:
                continue
            at_s = tick_s * (tick + rng.random(count))
            given = _lengths(prompts_per_s / requests_per_s, count, rng)
            made = _lengths(answers_per_s / requests_per_s, count, rng)
            drawn += zip(at_s.tolist(), [r] * count, given.tolist(), made.tolist(), strict=True)
    drawn.sort()
    return tuple(
        Request(index, at_s, classes[r].class_id, given, made) for index, (at_s, r, given, made) in enumerate(drawn)
    )


def _lengths(mean_tokens: float, count: int, rng: np.random.Generator) -> np.ndarray:
    mean = max(1.0, mean_tokens)
    return np.minimum(rng.geometric(1.0 / mean, count), int(LONGEST * mean))
