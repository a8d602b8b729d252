"""Models with the published coefficients of arXiv 2407.04014, and queries as short as its."""

from __future__ import annotations

import numpy as np

from controller.study.offline_routing.case import Case, make_case
from controller.study.offline_routing.queries import Queries
from controller.study.offline_routing.workload_model import LanguageModel, Terms

# arXiv 2407.04014: accuracy, energy and time coefficients, least share (a quarter of its share of the GPUs).
PUBLISHED = {
    "7b": (0.5097, (-3.894991, 31.522735, 0.042712), (-0.010021, 0.083515, 0.000107), 0.25 * 0.05),
    "13b": (0.5569, (-6.794323, 56.008311, 0.072861), (-0.017357, 0.142605, 0.000185), 0.25 * 0.2),
    "70b": (0.6452, (-12.0294, 414.8197, 0.3145), (-0.031204, 0.703173, 0.000533), 0.25 * 0.75),
}


def published(*, bounded: bool = True, servers: int = 100) -> tuple[LanguageModel, ...]:
    return tuple(
        LanguageModel(
            name,
            accuracy,
            Terms(0.0, *energy),
            Terms(0.0, *time),
            servers,
            (1, 10_000),
            (1, 10_000),
            share if bounded else 0.0,
            1.0,
            "arXiv 2407.04014",
        )
        for name, (accuracy, energy, time, share) in PUBLISHED.items()
    )


def short_questions(count: int = 3000, rate_rps: float = 5.2) -> Queries:
    """Instructions with answers of several hundred words, as the paper's: short prompts, about 164 tokens out."""
    rng = np.random.default_rng(0)
    return Queries(
        np.cumsum(rng.exponential(1 / rate_rps, count)),
        np.maximum(1, np.rint(rng.lognormal(np.log(18), 0.6, count))).astype(np.int64),
        np.maximum(1, np.rint(rng.lognormal(np.log(128), 0.7, count))).astype(np.int64),
        0,
        "synthetic, seed 0",
    )


def case(*, bounded: bool = True, count: int = 3000) -> Case:
    return make_case(published(bounded=bounded), short_questions(count))
