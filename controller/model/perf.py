"""What a pool's instance does with power and time: curves with their provenance.

Decode, at a batch of B sequences (reference: ML.ENERGY v3, steady state):

    step time    T(B) = a + b·B        [s]
    step energy  E(B) = A + C·B        [J]

hence at the decode rate μ = B / T(B), for 0 < μ < 1/b, the power is exactly affine:

    P(μ) = A/a + (C - b·A/a)·μ  =  P0 + e·μ        [W]

Below one sequence in the batch on average, the instance is busy only part of the time and its power lies between
idle and P0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations


class Evidence(StrEnum):
    """How a figure is known."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a figure comes from, shown wherever the figure is used."""

    evidence: Evidence
    source: str


@dataclass(frozen=True, slots=True)
class GroupProvenance:
    """Where each group of an instance's figures comes from.

    Attributes:
        decode: step time and energy.
        prefill: engine time and energy of a prompt token.
        context: `kv_capacity_tokens` and `max_num_seqs`.
        states: power without work, and the times to change state.
    """

    decode: Provenance
    prefill: Provenance
    context: Provenance
    states: Provenance


FITTED = (
    "step_base_s",
    "step_per_seq_s",
    "step_base_j",
    "step_per_seq_j",
    "prefill_s_per_token",
    "prefill_j_per_token",
)
"""Parameters of `PoolCurves` that a fit gives, in the order of a covariance's rows and columns."""


@dataclass(frozen=True, slots=True)
class CurveUncertainty:
    """How surely the fitted parameters of a set of curves are known.

    Attributes:
        covariance: of `FITTED`, in that order: (6, 6), symmetric, each entry in the product of its two units. A
            parameter held at a bound or given by hand has a row and a column of zeros.
        held_out_mape_frac: mean absolute relative error of power on measurements that the fit had not seen.

    Raises:
        ValueError: the covariance is not six by six, finite, symmetric, with no negative variance and no correlation
            beyond one.
    """

    covariance: tuple[tuple[float, ...], ...]
    held_out_mape_frac: float

    def __post_init__(self) -> None:
        size, rows = len(FITTED), self.covariance
        if len(rows) != size or any(len(row) != size for row in rows):
            raise ValueError(f"covariance: {size} rows of {size} are expected, for {', '.join(FITTED)}")
        if not all(math.isfinite(value) for row in rows for value in row):
            raise ValueError("covariance: every entry must be a finite number")
        for i, name in enumerate(FITTED):
            if rows[i][i] < 0:
                raise ValueError(f"covariance: the variance of {name} is {rows[i][i]:g}; it cannot be negative")
        for i, j in combinations(range(size), 2):
            bound = math.sqrt(rows[i][i]) * math.sqrt(rows[j][j])
            if not math.isclose(rows[i][j], rows[j][i], rel_tol=1e-6) or abs(rows[i][j]) > bound * (1 + 1e-6):
                raise ValueError(
                    f"covariance: {FITTED[i]} with {FITTED[j]} is {rows[i][j]:g} and {rows[j][i]:g}; both must be the "
                    f"same and at most {bound:g}"
                )

    def sd(self, name: str) -> float:
        """Standard deviation of a parameter, in its own unit.

        Raises:
            ValueError: it is none of `FITTED`.
        """
        if name not in FITTED:
            raise ValueError(f"{name!r} is none of the fitted parameters {', '.join(FITTED)}")
        index = FITTED.index(name)
        return math.sqrt(self.covariance[index][index])


@dataclass(frozen=True, slots=True)
class PoolCurves:
    """Curves of one instance of (model, precision, GPU type, tensor parallelism).

    Attributes:
        step_base_s, step_per_seq_s: a and b of the step time.
        step_base_j, step_per_seq_j: A and C of the step energy, whole instance.
        prefill_s_per_token, prefill_j_per_token: engine time and energy above P0·time per prompt token computed.
        kv_capacity_tokens: tokens of context the instance holds at once.
        max_num_seqs: largest batch the engine is started with.
        idle_w, sleeping_w, off_w: whole instance, loaded but without work; asleep; process stopped.
        wake_s, sleep_s, start_s: from sleeping to serving; from serving to sleeping; cold start.
        provenance: of the curves as a whole, that is, of decode.
        groups: of each group of figures; None where `provenance` is that of all.
        uncertainty: of the fitted parameters; None where none is known, as for the built-in profiles.
    """

    step_base_s: float
    step_per_seq_s: float
    step_base_j: float
    step_per_seq_j: float
    prefill_s_per_token: float
    prefill_j_per_token: float
    kv_capacity_tokens: int
    max_num_seqs: int
    idle_w: float
    sleeping_w: float
    off_w: float
    wake_s: float
    sleep_s: float
    start_s: float
    provenance: Provenance
    groups: GroupProvenance | None = None
    uncertainty: CurveUncertainty | None = None

    @property
    def group_provenance(self) -> GroupProvenance:
        """Provenance of each group of figures."""
        known = self.provenance
        return self.groups or GroupProvenance(known, known, known, known)

    @property
    def p0_w(self) -> float:
        """Power of a decoding instance extrapolated to rate zero: A/a."""
        return self.step_base_j / self.step_base_s

    @property
    def decode_j_per_token(self) -> float:
        """Marginal energy of a decoded token: C - b·A/a."""
        return self.step_per_seq_j - self.step_per_seq_s * self.p0_w

    def batch_at_itl(self, itl_s: float, tokens_per_seq: float) -> float:
        """Largest batch whose step time is within `itl_s` and whose contexts fit: min((L-a)/b, KV, max_num_seqs)."""
        within_slo = (itl_s - self.step_base_s) / self.step_per_seq_s
        return max(0.0, min(within_slo, self.kv_capacity_tokens / tokens_per_seq, float(self.max_num_seqs)))

    def decode_tokens_per_s_at(self, batch: float) -> float:
        """Decode rate μ = B / T(B)."""
        return batch / (self.step_base_s + self.step_per_seq_s * batch)
