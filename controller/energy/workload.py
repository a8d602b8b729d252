"""Energy or runtime of a request from the lengths of its prompt and its answer. Pure.

    y = w0 + w1·τin + w2·τout + w3·τin·τout + w4·τout²        with w ≥ 0

by least squares of relative errors. A fixed part and terms that cannot be negative keep every request's figure above
zero, and relative errors keep the large requests from deciding alone. The published form without a fixed part,
α0·τin + α1·τout + α2·τin·τout by ordinary least squares (Wilkins, Keshav and Mortier, HotCarbon 2024), is
`published_columns`; it is compared with this one in docs/reference/energy.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.energy.least_squares import Array
from controller.energy.term_fit import TermFit, fit_terms

TERMS = ("1", "τin", "τout", "τin·τout", "τout²")
PUBLISHED = ("τin", "τout", "τin·τout")


@dataclass(frozen=True, slots=True)
class Request:
    """One measured request, or the mean of several of the same lengths."""

    input_tokens: float
    output_tokens: float


def columns(requests: Sequence[Request]) -> dict[str, list[float]]:
    """Values of `TERMS`."""
    return {
        "1": [1.0] * len(requests),
        "τin": [r.input_tokens for r in requests],
        "τout": [r.output_tokens for r in requests],
        "τin·τout": [r.input_tokens * r.output_tokens for r in requests],
        "τout²": [r.output_tokens**2 for r in requests],
    }


def published_columns(requests: Sequence[Request]) -> Array:
    """Values of `PUBLISHED`; (requests, 3)."""
    found = columns(requests)
    return np.array([found[name] for name in PUBLISHED]).T


def fit_workload(requests: Sequence[Request], y: Sequence[float]) -> TermFit:
    """Fit a figure of requests; those of the same lengths are held out together.

    Args:
        requests: lengths.
        y: joules or seconds of each, above zero.

    Raises:
        FitRefused: too few requests, or their lengths do not tell the terms apart.
    """
    return fit_terms(columns(requests), y, groups=list(requests))


def predict(fit: TermFit, request: Request) -> float:
    """The figure of a request, never negative."""
    return fit.at({name: values[0] for name, values in columns([request]).items()})
