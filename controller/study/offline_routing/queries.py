"""The queries of a case: lengths and times of arrival. Pure; chance is a numpy Generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.errors import ConfigError
from controller.simulation.trace import Trace
from controller.study.offline_routing.settings import SyntheticQueries, TraceQueries
from controller.study.offline_routing.workload_model import LanguageModel

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries in order of arrival.

    Attributes:
        arrival_s: (Q,) from the first possible arrival on.
        input_tokens, output_tokens: (Q,).
        left_out: queries that no model may serve and that were left out.
        source: where they come from.
    """

    arrival_s: Floats
    input_tokens: Whole
    output_tokens: Whole
    left_out: int
    source: str

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def tokens(self) -> Whole:
        """(Q,) input and output together."""
        return self.input_tokens + self.output_tokens


def from_trace(trace: Trace, wanted: TraceQueries, source: str) -> Queries:
    """Queries of a trace, at its own times over `speed`."""
    arrivals = trace.arrivals[: wanted.first]
    return Queries(
        np.array([arrival.time_s for arrival in arrivals]) / wanted.speed,
        np.array([arrival.input_tokens for arrival in arrivals], dtype=np.int64),
        np.array([arrival.output_tokens for arrival in arrivals], dtype=np.int64),
        0,
        source,
    )


def synthetic(wanted: SyntheticQueries, rng: np.random.Generator) -> Queries:
    """Log-normal lengths, at least one token each, and exponential gaps between arrivals."""
    given = rng.lognormal(np.log(wanted.median_input_tokens), wanted.input_spread, wanted.count)
    made = rng.lognormal(np.log(wanted.median_output_tokens), wanted.output_spread, wanted.count)
    gaps_s = rng.exponential(1 / wanted.rate_rps, wanted.count)
    return Queries(
        np.cumsum(gaps_s),
        np.maximum(1, np.rint(given)).astype(np.int64),
        np.maximum(1, np.rint(made)).astype(np.int64),
        0,
        f"{wanted.count:,} synthetic queries: log-normal lengths of median {wanted.median_input_tokens:g} and "
        f"{wanted.median_output_tokens:g} tokens, spread {wanted.input_spread:g} and {wanted.output_spread:g}, "
        f"Poisson arrivals at {wanted.rate_rps:g}/s, seed {wanted.seed}",
    )


def within_range(queries: Queries, models: tuple[LanguageModel, ...], *, leave_out: bool) -> Queries:
    """The queries that some model may serve.

    Raises:
        ConfigError: a query may be served by no model and none may be left out, or none is left.
    """
    able = np.zeros(len(queries), dtype=bool)
    for model in models:
        able |= model.may_serve(queries.input_tokens, queries.output_tokens)
    refused = np.flatnonzero(~able)
    if len(refused) and not leave_out:
        first = int(refused[0])
        raise ConfigError(
            f"queries: {len(refused)} of {len(queries)} may be served by no model; the first is number {first + 1} "
            f"with {queries.input_tokens[first]} input and {queries.output_tokens[first]} output tokens; widen the "
            "models' input_tokens and output_tokens, or set queries.outside: leave_out"
        )
    if not able.any():
        raise ConfigError(
            f"queries: none of the {len(queries)} may be served by any model; widen input_tokens and output_tokens"
        )
    return Queries(
        queries.arrival_s[able],
        queries.input_tokens[able],
        queries.output_tokens[able],
        len(refused),
        queries.source,
    )
