"""Named curves of Qwen3-235B-A22B on H100: three measured configurations and one estimate.

Decode is fitted to the bundled ML.ENERGY v3 measurements (vLLM 0.11.1). What those do not hold is estimated, and each
profile's provenance says so: prefill from arithmetic work, room for context from memory arithmetic, power while idle,
asleep and off and the times to change state from published figures. docs/reference/curves.md explains every number.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from controller.energy.step_fit import Sample, StepFit, fit_steps
from controller.errors import ConfigError
from controller.model.perf import Evidence, PoolCurves, Provenance

DATA_FILE = "mlenergy_v3_lm_arena_chat.csv"
MEASURED_GPU = "H100"

PARAMETERS = 235.1e9
ACTIVE_PARAMETERS = 22e9
EMBEDDING_PARAMETERS = 2 * 151_936 * 4096
"""Input and output embeddings stay in BF16 at every precision."""
KV_HEADS = 4
KV_BYTES_PER_TOKEN_AND_HEAD = 2 * 94 * 128 * 2
"""Key and value, 94 layers, head size 128, two bytes each."""

TDP_W = 700.0
PREFILL_POWER_FRAC = 0.9
"""Prefill is bound by arithmetic and runs near the power limit."""
IDLE_W_PER_GPU = 120.0
OFF_W_PER_GPU = 73.0
SLEEPING_W_PER_GPU = 96.5
"""Half-way between loaded idle and no context: whether a sleeping engine falls all the way has not been measured."""
WAKE_S = 3.0
SLEEP_S = 3.0
"""About 59 GB of weights a GPU over PCIe 5 at 20 GB/s; published wakes from level 1 take 0.1 to 6 s."""
START_S = 100.0
"""Published full reloads take 30 to more than 100 s; this is among the largest models."""


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """How a profile comes about.

    Attributes:
        model_id, weight_precision, gpus: which rows are fitted.
        weight_bits: bits of a weight including its share of scales.
        peak_flops: arithmetic peak of one GPU at the precision it computes in, dense.
        mfu_frac: share of that peak that prefill is assumed to reach.
        scaled_to_gpus: for an estimate, the GPUs of the configuration the rows are scaled to.
    """

    model_id: str
    weight_precision: str
    gpus: int
    weight_bits: float
    peak_flops: float
    mfu_frac: float
    scaled_to_gpus: int | None = None


_BF16_FLOPS = 989.4e12
_FP8_FLOPS = 1978.9e12
_BF16_MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507"
_FP8_MODEL = "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"
_BF16_8 = ProfileSpec(_BF16_MODEL, "bfloat16", 8, 16.0, _BF16_FLOPS, 0.40)

PROFILES: dict[str, ProfileSpec] = {
    "qwen3-235b-a22b/bf16/8xh100": _BF16_8,
    "qwen3-235b-a22b/fp8/4xh100": ProfileSpec(_FP8_MODEL, "fp8", 4, 8.0, _FP8_FLOPS, 0.30),
    "qwen3-235b-a22b/fp8/8xh100": ProfileSpec(_FP8_MODEL, "fp8", 8, 8.0, _FP8_FLOPS, 0.30),
    "qwen3-235b-a22b/int4/2xh100": ProfileSpec(_FP8_MODEL, "fp8", 4, 4.125, _BF16_FLOPS, 0.35, scaled_to_gpus=2),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Measurements of one configuration.

    Attributes:
        largest_max_num_seqs: the largest batch any of them was started with.
        mean_answer_tokens: mean length of the answers at the largest batch.
    """

    samples: tuple[Sample, ...]
    largest_max_num_seqs: int
    mean_answer_tokens: float


def load_profile(name: str) -> PoolCurves:
    """Curves of a built-in profile.

    Raises:
        ConfigError: there is no such profile, or the bundled measurements are missing or unreadable.
    """
    spec = PROFILES.get(name)
    if spec is None:
        raise ConfigError(
            f"no built-in curves are called {name!r}; choose one of {', '.join(PROFILES)} or write them out"
        )
    return _curves(spec, fit_profile(name))


def fit_profile(name: str) -> StepFit:
    """The fit behind a profile; for an estimate, that of the configuration it is scaled from."""
    return fit_steps(_rows(PROFILES[name]).samples)


def _curves(spec: ProfileSpec, fit: StepFit) -> PoolCurves:
    gpus = spec.scaled_to_gpus or spec.gpus
    share = gpus / spec.gpus
    step_base_j = fit.energy.intercept * share
    p0_w = step_base_j / fit.time.intercept
    prefill_s_per_token = 2 * ACTIVE_PARAMETERS / (gpus * spec.peak_flops * spec.mfu_frac)
    prefill_w = PREFILL_POWER_FRAC * TDP_W * gpus
    return PoolCurves(
        step_base_s=fit.time.intercept,
        step_per_seq_s=fit.time.slope / share,
        step_base_j=step_base_j,
        step_per_seq_j=fit.energy.slope,
        prefill_s_per_token=prefill_s_per_token,
        prefill_j_per_token=max(0.0, prefill_w - p0_w) * prefill_s_per_token,
        kv_capacity_tokens=_kv_capacity_tokens(spec),
        max_num_seqs=round(_rows(spec).largest_max_num_seqs * share),
        idle_w=IDLE_W_PER_GPU * gpus,
        sleeping_w=SLEEPING_W_PER_GPU * gpus,
        off_w=OFF_W_PER_GPU * gpus,
        wake_s=WAKE_S,
        sleep_s=SLEEP_S,
        start_s=START_S,
        provenance=_provenance(spec),
    )


def _kv_capacity_tokens(spec: ProfileSpec) -> int:
    """Tokens of context that fit beside the weights.

    BF16 on 8 H100 is known to fill up at 228 sequences, taken to hold as many tokens each as a mean answer; that fixes
    the memory a GPU has for weights and context together. Other configurations divide the same memory differently.
    """
    reference = _rows(_BF16_8)
    seen_tokens = max(sample.batch for sample in reference.samples) * reference.mean_answer_tokens
    usable_bytes = _weight_bytes(_BF16_8) / _BF16_8.gpus + seen_tokens * _kv_bytes_per_token(_BF16_8.gpus)
    gpus = spec.scaled_to_gpus or spec.gpus
    return int((usable_bytes - _weight_bytes(spec) / gpus) / _kv_bytes_per_token(gpus))


def _weight_bytes(spec: ProfileSpec) -> float:
    return ((PARAMETERS - EMBEDDING_PARAMETERS) * spec.weight_bits + EMBEDDING_PARAMETERS * 16) / 8


def _kv_bytes_per_token(gpus: int) -> float:
    """Bytes of context a token takes on each GPU; heads are replicated where there are more GPUs than heads."""
    return max(1.0, KV_HEADS / gpus) * KV_BYTES_PER_TOKEN_AND_HEAD


def _provenance(spec: ProfileSpec) -> Provenance:
    configuration = f"{spec.model_id} {spec.weight_precision} on {spec.gpus}x{MEASURED_GPU}"
    rows = f"ML.ENERGY v3 lm-arena-chat, {configuration}, vLLM 0.11.1"
    rest = (
        f"prefill estimated from 2 x 22e9 FLOP a token at {spec.mfu_frac:.0%} of peak and "
        f"{PREFILL_POWER_FRAC:.0%} of TDP, "
        "context room from memory arithmetic, power without work and state changes from published figures"
    )
    if spec.scaled_to_gpus is None:
        return Provenance(Evidence.MEASURED, f"decode fitted to {rows}; {rest}")
    return Provenance(
        Evidence.ESTIMATED,
        f"no INT4 measurement exists: scaled from {rows} to {spec.scaled_to_gpus} GPUs with the same weight bytes on "
        "each (base time a kept, base energy A halved, time per sequence b doubled, energy per sequence C kept; "
        f"dequantisation cost left out); {rest}",
    )


def _rows(spec: ProfileSpec) -> Rows:
    wanted = (spec.model_id, spec.weight_precision, MEASURED_GPU, str(spec.gpus))
    try:
        text = resources.files("controller.simulation").joinpath("data", DATA_FILE).read_text(encoding="utf-8")
        rows = [
            row
            for row in csv.DictReader(text.splitlines())
            if (row["model_id"], row["weight_precision"], row["gpu_model"], row["num_gpus"]) == wanted
        ]
        samples = tuple(
            Sample(
                batch=float(row["avg_batch_size"]),
                tokens_per_s=float(row["output_tokens_per_s"]),
                power_w=float(row["power_w"]),
                median_itl_s=float(row["median_itl_ms"]) / 1000,
            )
            for row in rows
        )
        fullest = max(rows, key=lambda row: int(row["max_num_seqs"]))
        return Rows(samples, int(fullest["max_num_seqs"]), float(fullest["avg_output_len"]))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"the bundled measurements {DATA_FILE} have no usable rows for {' '.join(wanted)} ({error!r}); "
            "install wattroute again"
        ) from error
