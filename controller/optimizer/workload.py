"""What an output token takes of an instance: batch within the latency promise, engine time, energy.

With decode step time T(B) = a + b·B and prefill of ρ prompt tokens for each output token, the mean time between two
tokens of a sequence at batch B is T(B) + ρ·s·B, s the engine time of a prompt token: prompt work of the others
delays each sequence. The largest batch that keeps a class's inter-token latency L is therefore

    B = min( (L - a) / (b + ρ·s),  KV capacity / context,  max_num_seqs )

and an output token takes a/B + b + ρ·s of engine time at that batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.fleet import RequestClass
from controller.model.perf import PoolCurves


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean tokens of a class's requests."""

    input_tokens: float
    output_tokens: float

    @property
    def input_per_output(self) -> float:
        """ρ, prompt tokens that come with an output token."""
        return self.input_tokens / self.output_tokens


def slo_batch(curves: PoolCurves, request_class: RequestClass, lengths: Lengths) -> float:
    """Largest mean batch that keeps the class's inter-token latency; below 1 the pool cannot keep it."""
    context = lengths.input_tokens + lengths.output_tokens
    step_s = curves.step_per_seq_s + lengths.input_per_output * curves.prefill_s_per_token
    within = (request_class.itl_slo_s - curves.step_base_s) / step_s
    return max(0.0, min(within, curves.batch_at_itl(request_class.itl_slo_s, context)))


def busy_s_per_token(curves: PoolCurves, batch: float, lengths: Lengths) -> float:
    """Engine time of one output token at a batch, its share of prompt work included, s."""
    prefill_s = lengths.input_per_output * curves.prefill_s_per_token
    return curves.step_base_s / max(1.0, batch) + curves.step_per_seq_s + prefill_s


def j_per_token(curves: PoolCurves, lengths: Lengths) -> float:
    """Energy of one output token above P0·time, its share of prompt work included, J."""
    return max(0.0, curves.decode_j_per_token + lengths.input_per_output * curves.prefill_j_per_token)


def batch_at_rate(curves: PoolCurves, tokens_per_s: float, lengths: Lengths) -> float:
    """Mean batch of one instance at a rate of output tokens: B = a·y / (1 - (b + ρ·s)·y), unbounded at saturation."""
    step_s = curves.step_per_seq_s + lengths.input_per_output * curves.prefill_s_per_token
    left = 1.0 - step_s * tokens_per_s
    return curves.step_base_s * tokens_per_s / left if left > 0 else float("inf")
