"""How much of a pool's engine time may be planned so that a class's time to first token is kept. Pure.

A request waits for a place in the batch, for the rest of the running step, and for the step that computes its prompt
and emits its first token. With step time T(i) = a + b·i, y output tokens/s of an instance, λ = y/O requests/s of I
prompt tokens and O output tokens each, s the engine time of a prompt token and r = λ·I·s its share of the engine:

1. Of i sequences in a batch of at most c each leaves after O steps of T(i) + ρ·s·i, ρ = I/O. Births at rate λ and
   these deaths make π_i ∝ Π_{j≤i} y·(a/j + b + ρ·s), beyond c with the constant ratio u = y·busy_s(c), and

       wait for a place  =  P(N ≥ c) · O·busy_s(c) / (1 - u)

   N is insensitive to the distribution of O below c (processor sharing, Kelly, Reversibility and Stochastic Networks,
   1979, section 3.3).
2. A step computes the prompts that arrived during the one before (gated service): m_i = T(i)/(1 - r) on average, with
   variance s²·E[I²]·λ·m_i/(1 - r²), so that the step an arrival meets lasts d_i = m_i + s²·E[I²]·λ/(1 - r²) on average,
   and half of it is left (inspection paradox). An instance without sequences that decode may still compute a prompt.
3. The request's own step lasts T(i) + s·I + r·d_i: its prompt, and those of others that arrived in the same step. A
   prompt longer than a step's token budget takes as many further steps.

Summed over π, which arrivals see as it is (Poisson arrivals see time averages; E[I²] = 2·I², exponential prompts):

    TTFT  =  wait + Σ_i π_i · ( (1/2 + r)·d_i + T(i) + s·I )        [s]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controller.model.fleet import RequestClass
from controller.model.perf import PoolCurves
from controller.optimizer.workload import Lengths, busy_s_per_token

Rows = Sequence[Sequence[float]]

STEP_TOKENS = 8192
"""Tokens that an engine computes in one step at most; vLLM's default max_num_batched_tokens for serving on H100."""
SECOND_MOMENT = 2.0
"""E[I²]/E[I]² of prompt lengths; that of an exponential distribution."""
_HALVINGS = 16
_FULL_FRAC = 1.0 - 1e-9
"""An engine as busy as this has no rest within the accuracy of its figures."""


def mean_ttft_s(curves: PoolCurves, lengths: Lengths, batch: float, share_frac: float) -> float:
    """Mean time to first token of an instance, its wait at the router included.

    Args:
        curves: of the instance.
        lengths: of the requests.
        batch: largest one allowed, at least 1; also the in-flight cap.
        share_frac: engine time used, where an output token takes that at the largest batch.

    Returns:
        s; infinite where the requests do not fit.
    """
    rate = share_frac / busy_s_per_token(curves, batch, lengths)
    cap = math.floor(batch)
    full_s = busy_s_per_token(curves, cap, lengths)
    used_frac = rate * full_s
    if used_frac >= _FULL_FRAC:
        return math.inf
    among = np.arange(cap + 1)
    present = _present(curves, lengths, cap, rate)
    full_frac = float(present[-1])
    prompt_s = curves.prefill_s_per_token * lengths.input_tokens
    prompt_frac = rate / lengths.output_tokens * prompt_s
    step_s = curves.step_base_s + curves.step_per_seq_s * among
    spread_s = SECOND_MOMENT * prompt_s * prompt_frac / (1.0 - prompt_frac**2)
    met_s = np.where(among > 0, step_s / (1.0 - prompt_frac), 0.0) + spread_s
    steps = max(1, math.ceil(lengths.input_tokens / STEP_TOKENS))
    served_s = float(present @ ((0.5 + prompt_frac) * met_s + steps * step_s)) + prompt_s
    return full_frac * lengths.output_tokens * full_s / (1.0 - used_frac) + served_s


def largest_share_frac(
    curves: PoolCurves, request_class: RequestClass, lengths: Lengths, batch: float, most_frac: float
) -> float:
    """Largest share of the engine time within which the class's mean time to first token is kept.

    Args:
        curves: of the pool's instances.
        request_class: its `ttft_slo_s`.
        lengths: of the class's requests.
        batch: largest one within the class's inter-token latency.
        most_frac: share that is planned at most anyway, η.

    Returns:
        At most `most_frac`. 0 where `batch` is below 1, or where the target is not kept even while an instance holds
        half a sequence on average.
    """
    if batch < 1.0:
        return 0.0

    def keeps(share_frac: float) -> bool:
        return mean_ttft_s(curves, lengths, batch, share_frac) <= request_class.ttft_slo_s

    if keeps(most_frac):
        return most_frac
    alone_s = busy_s_per_token(curves, 1.0, lengths)
    low, high = min(most_frac, 0.5 * busy_s_per_token(curves, batch, lengths) / alone_s), most_frac
    if not keeps(low):
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def largest_shares(
    curves: Sequence[PoolCurves],
    classes: Sequence[RequestClass],
    lengths: Sequence[Lengths],
    batches: Rows,
    most_frac: float,
) -> tuple[tuple[float, ...], ...]:
    """`largest_share_frac` of every class on every pool, [r][k]."""
    return tuple(
        tuple(
            largest_share_frac(of_pool, cls, length, batch, most_frac)
            for of_pool, batch in zip(curves, row, strict=True)
        )
        for cls, length, row in zip(classes, lengths, batches, strict=True)
    )


def charged(
    busy_s: Rows, shares: Rows, counts: Sequence[Sequence[bool]], most_frac: float
) -> tuple[tuple[float, ...], ...]:
    """Engine time of an output token, so dear that a plan that fills `most_frac` keeps the classes' shares.

    All classes on a pool wait in the same engines, so on each pool the least share of those that count sets it.

    Args:
        busy_s: [r][k], engine time of an output token.
        shares: [r][k], largest share of the engine time for the class.
        counts: [r][k], whether the class may have tokens on the pool.
        most_frac: share that is planned, η.

    Returns:
        [r][k], s; a class that keeps its target nowhere (share 0) makes nothing dearer.
    """
    least = [
        min((row[k] for row, may in zip(shares, counts, strict=True) if may[k] and row[k] > 0.0), default=most_frac)
        for k in range(len(busy_s[0]))
    ]
    return tuple(tuple(each * most_frac / share for each, share in zip(row, least, strict=True)) for row in busy_s)


def _present(curves: PoolCurves, lengths: Lengths, cap: int, rate: float) -> np.ndarray:
    """(cap + 1,) probability of 0, 1, … sequences in the batch; the last is that of a full one."""
    if rate <= 0.0:
        none: np.ndarray = np.eye(1, cap + 1)[0]
        return none
    each = curves.step_per_seq_s + lengths.input_per_output * curves.prefill_s_per_token
    ratios = rate * (curves.step_base_s / np.arange(1, cap + 1) + each)
    logs = np.concatenate(([0.0], np.cumsum(np.log(ratios))))
    weights: np.ndarray = np.exp(logs - logs.max())
    weights[-1] /= 1.0 - ratios[-1]
    found: np.ndarray = weights / weights.sum()
    return found
