"""Energy and time of a query by its tokens, fitted or measured. Pure.

    e(τin, τout) = fixed + input·τin + output·τout + interaction·τin·τout   [J],   r(τin, τout) likewise [s]

Source: Wilkins, Keshav, Mortier, arXiv 2407.04014, eqs. for e_K and r_K. Their fits have no fixed term and a negative
input coefficient, so that long prompts with short answers are predicted below zero; such a value is raised to zero and
counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Terms:
    """Coefficients of one quantity."""

    fixed: float
    input: float
    output: float
    interaction: float

    def at(self, input_tokens: Whole, output_tokens: Whole) -> Floats:
        """Values as fitted, which may be below zero; shapes as given."""
        given, made = input_tokens.astype(np.float64), output_tokens.astype(np.float64)
        return self.fixed + self.input * given + self.output * made + self.interaction * given * made


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model that queries may be assigned to.

    Attributes:
        accuracy_frac: its mean score.
        servers: queries it serves at once.
        input_tokens, output_tokens: least and most tokens of a query it may serve.
        min_share_frac, max_share_frac: bounds on its share of the queries.
        source: where the figures come from.
    """

    name: str
    accuracy_frac: float
    energy_j: Terms
    runtime_s: Terms
    servers: int
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    min_share_frac: float
    max_share_frac: float
    source: str

    def may_serve(self, input_tokens: Whole, output_tokens: Whole) -> NDArray[np.bool_]:
        """Whether each query is within its range."""
        (least_in, most_in), (least_out, most_out) = self.input_tokens, self.output_tokens
        return (
            (input_tokens >= least_in)
            & (input_tokens <= most_in)
            & (output_tokens >= least_out)
            & (output_tokens <= most_out)
        )
