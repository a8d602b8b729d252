"""Public facts behind the built-in curves: models, GPUs and precisions. Pure.

Models: The Llama 3 Herd of Models (arXiv 2407.21783), table 3; Qwen3 Technical Report (arXiv 2505.09388), tables 1 and
2; head size and vocabulary from the published config.json of each. docs/reference/curves.md names the other sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

HEAD_SIZE = 128
"""Of every model below."""
BYTES_PER_CACHED_VALUE = 2
LINK_BYTES_PER_S = 20e9
"""Weights from host memory into a GPU, PCIe 5."""


class Arithmetic(StrEnum):
    """What the matrix units multiply in."""

    BF16 = "bf16"
    FP8 = "fp8"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as published.

    Attributes:
        embedding_parameters: of input and output together; they stay in BF16 at every precision.
        active_parameters: those that a token is multiplied with.
        start_s: cold start of an instance, estimated from the model's size within the published 30 to more than 100 s.
        wake_s: from sleeping to serving where one value is taken for every configuration; None computes it from the
            weights of a GPU.
    """

    name: str
    parameters: float
    active_parameters: float
    embedding_parameters: int
    layers: int
    kv_heads: int
    start_s: float
    wake_s: float | None = None

    def weight_bytes(self, bits: float) -> float:
        """Bytes of the whole model with so many bits a weight."""
        return ((self.parameters - self.embedding_parameters) * bits + self.embedding_parameters * 16) / 8

    def kv_bytes_per_token(self, gpus: int) -> float:
        """Bytes of context a token takes on each GPU; heads are replicated where there are more GPUs than heads."""
        return max(1.0, self.kv_heads / gpus) * (2 * self.layers * HEAD_SIZE * BYTES_PER_CACHED_VALUE)


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """A GPU.

    Attributes:
        flops: dense peak by arithmetic.
        memory_bytes: as nvidia-smi reports it.
        idle_w, off_w: with a loaded model and no work; without a context.
    """

    name: str
    tdp_w: float
    flops: Mapping[Arithmetic, float]
    memory_bytes: float
    idle_w: float
    off_w: float

    @property
    def sleeping_w(self) -> float:
        """Half-way between the two: whether a sleeping engine falls all the way has not been measured."""
        return (self.idle_w + self.off_w) / 2


@dataclass(frozen=True, slots=True)
class PrecisionFacts:
    """A precision of the weights.

    Attributes:
        weight_bits: of a weight including its share of scales.
        mfu_frac: share of the arithmetic peak that prefill is assumed to reach.
    """

    name: str
    weight_bits: float
    arithmetic: Arithmetic
    mfu_frac: float


LLAMA_8B = ModelFacts("llama-3.1-8b", 8.03e9, 8.03e9, 2 * 128_256 * 4096, 32, 8, 30.0)
LLAMA_70B = ModelFacts("llama-3.1-70b", 70.55e9, 70.55e9, 2 * 128_256 * 8192, 80, 8, 60.0)
LLAMA_405B = ModelFacts("llama-3.1-405b", 405.9e9, 405.9e9, 2 * 128_256 * 16_384, 126, 8, 100.0)
QWEN_32B = ModelFacts("qwen3-32b", 32.8e9, 32.8e9, 2 * 151_936 * 5120, 64, 8, 45.0)
QWEN_30B = ModelFacts("qwen3-30b-a3b", 30.5e9, 3.3e9, 2 * 151_936 * 2048, 48, 4, 45.0)
QWEN_235B = ModelFacts("qwen3-235b-a22b", 235.1e9, 22e9, 2 * 151_936 * 4096, 94, 4, 100.0, wake_s=3.0)

H100 = GpuFacts("H100", 700.0, {Arithmetic.BF16: 989.4e12, Arithmetic.FP8: 1978.9e12}, 81_559 * 2**20, 120.0, 73.0)
B200 = GpuFacts("B200", 1000.0, {Arithmetic.BF16: 2250e12, Arithmetic.FP8: 4500e12}, 183_359 * 2**20, 194.0, 139.0)

BF16 = PrecisionFacts("bf16", 16.0, Arithmetic.BF16, 0.40)
FP8 = PrecisionFacts("fp8", 8.0, Arithmetic.FP8, 0.30)
INT4 = PrecisionFacts("int4", 4.125, Arithmetic.BF16, 0.35)
"""Four bits and a scale for 128 weights; computes in BF16."""
