"""Named curves: what the bundled measurements hold, and estimates where they hold nothing.

Decode is fitted to the bundled ML.ENERGY v3 measurements (vLLM 0.11.1), or for a precision that was not measured,
derived from them by a rule. What the measurements do not hold is estimated, and each profile's provenance says so:
prefill from arithmetic work, room for context from memory arithmetic, power while idle, asleep and off and the times
to change state from published figures. docs/reference/curves.md explains every number.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

from controller.energy.step_fit import StepFit
from controller.errors import ConfigError
from controller.model.perf import Evidence, GroupProvenance, PoolCurves, Provenance
from controller.simulation import profile_facts as facts
from controller.simulation.precision_rule import Lines, Rule, kept, mean_ratios, scaled
from controller.simulation.profile_facts import B200, BF16, FP8, H100, INT4, GpuFacts, ModelFacts, PrecisionFacts
from controller.simulation.profile_rows import RowKey, Rows, load_rows

PREFILL_POWER_FRAC = 0.9
"""Prefill is bound by arithmetic and runs near the power limit."""
NEAREST = 3


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """How a profile comes about.

    Attributes:
        gpus: of an instance of the profile.
        rows: the measurements behind decode.
        rule: how an estimate comes from them; None where they are of the profile itself.
    """

    model: ModelFacts
    precision: PrecisionFacts
    gpu: GpuFacts
    gpus: int
    rows: RowKey
    rule: Rule | None = None

    @property
    def name(self) -> str:
        """What configurations call the profile: model, precision, GPUs."""
        return f"{self.model.name}/{self.precision.name}/{self.gpus}x{self.gpu.name.lower()}"

    @property
    def share(self) -> float:
        """GPUs of the profile over those of the measured configuration."""
        return self.gpus / self.rows.gpus

    @property
    def weight_bytes_per_gpu(self) -> float:
        """Bytes of weights on each GPU."""
        return self.model.weight_bytes(self.precision.weight_bits) / self.gpus


_QWEN = "Qwen/Qwen3-235B-A22B-Instruct-2507"
_QWEN_BF16_8 = RowKey(_QWEN, "bfloat16", "H100", 8)
_QWEN_FP8_4 = RowKey(f"{_QWEN}-FP8", "fp8", "H100", 4)
_QWEN_FP8_2 = RowKey(f"{_QWEN}-FP8", "fp8", "B200", 2)
_L8 = RowKey("meta-llama/Llama-3.1-8B-Instruct", "bfloat16", "H100", 1)
_L70 = RowKey("meta-llama/Llama-3.1-70B-Instruct", "bfloat16", "H100", 4)
_L70_2 = RowKey("meta-llama/Llama-3.1-70B-Instruct", "bfloat16", "B200", 2)
_L405_BF16_8 = RowKey("meta-llama/Llama-3.1-405B-Instruct", "bfloat16", "B200", 8)
_L405_FP8_4 = RowKey("meta-llama/Llama-3.1-405B-Instruct-FP8", "fp8", "B200", 4)
_L405_FP8_8 = RowKey("meta-llama/Llama-3.1-405B-Instruct-FP8", "fp8", "H100", 8)
_Q32_2 = RowKey("Qwen/Qwen3-32B", "bfloat16", "H100", 2)
_Q30_2 = RowKey("Qwen/Qwen3-30B-A3B-Instruct-2507", "bfloat16", "H100", 2)

EXPERT_PAIRS = ((_QWEN_BF16_8, _QWEN_FP8_4), (RowKey(_QWEN, "bfloat16", "B200", 4), _QWEN_FP8_2))
"""Mixtures of experts measured in BF16 and, on half of the GPUs, in FP8."""

PROFILES: dict[str, ProfileSpec] = {
    spec.name: spec
    for spec in (
        ProfileSpec(facts.QWEN_235B, BF16, H100, 8, _QWEN_BF16_8),
        ProfileSpec(facts.QWEN_235B, FP8, H100, 4, _QWEN_FP8_4),
        ProfileSpec(facts.QWEN_235B, FP8, H100, 8, RowKey(f"{_QWEN}-FP8", "fp8", "H100", 8)),
        ProfileSpec(facts.QWEN_235B, INT4, H100, 2, _QWEN_FP8_4, Rule.KEPT),
        ProfileSpec(facts.QWEN_235B, FP8, B200, 2, _QWEN_FP8_2),
        ProfileSpec(facts.QWEN_30B, BF16, H100, 2, _Q30_2),
        ProfileSpec(facts.QWEN_30B, BF16, H100, 1, RowKey(_Q30_2.model_id, "bfloat16", "H100", 1)),
        ProfileSpec(facts.QWEN_30B, FP8, H100, 1, _Q30_2, Rule.EXPERTS_HALVED),
        ProfileSpec(facts.QWEN_30B, INT4, H100, 1, _Q30_2, Rule.EXPERTS_HALVED),
        ProfileSpec(facts.QWEN_32B, BF16, H100, 2, _Q32_2),
        ProfileSpec(facts.QWEN_32B, FP8, H100, 1, _Q32_2, Rule.KEPT),
        ProfileSpec(facts.QWEN_32B, INT4, H100, 1, _Q32_2, Rule.KEPT),
        ProfileSpec(facts.QWEN_32B, BF16, B200, 1, RowKey("Qwen/Qwen3-32B", "bfloat16", "B200", 1)),
        ProfileSpec(facts.LLAMA_8B, BF16, H100, 1, _L8),
        ProfileSpec(facts.LLAMA_8B, FP8, H100, 1, _L8, Rule.KEPT),
        ProfileSpec(facts.LLAMA_8B, INT4, H100, 1, _L8, Rule.KEPT),
        ProfileSpec(facts.LLAMA_70B, BF16, H100, 4, _L70),
        ProfileSpec(facts.LLAMA_70B, FP8, H100, 2, _L70, Rule.KEPT),
        ProfileSpec(facts.LLAMA_70B, INT4, H100, 1, _L70, Rule.KEPT),
        ProfileSpec(facts.LLAMA_70B, BF16, B200, 2, _L70_2),
        ProfileSpec(facts.LLAMA_70B, FP8, B200, 1, _L70_2, Rule.KEPT),
        ProfileSpec(facts.LLAMA_405B, FP8, H100, 8, _L405_FP8_8),
        ProfileSpec(facts.LLAMA_405B, INT4, H100, 4, _L405_FP8_8, Rule.KEPT),
        ProfileSpec(facts.LLAMA_405B, BF16, B200, 8, _L405_BF16_8),
        ProfileSpec(facts.LLAMA_405B, FP8, B200, 4, _L405_FP8_4),
    )
}


def load_profile(name: str) -> PoolCurves:
    """Curves of a built-in profile.

    Raises:
        ConfigError: there is no such profile, or the bundled measurements are missing or unreadable.
    """
    spec = PROFILES.get(name)
    if spec is None:
        near = difflib.get_close_matches(name, PROFILES, n=NEAREST, cutoff=0.0)
        raise ConfigError(
            f"no built-in curves are called {name!r}; near it are {', '.join(near)}; wattroute curves lists all; "
            "or write them out"
        )
    return _curves(spec, load_rows(spec.rows))


def fit_profile(name: str) -> StepFit:
    """The fit behind a profile; for an estimate, that of the configuration it is derived from."""
    return load_rows(PROFILES[name].rows).fit()


def _curves(spec: ProfileSpec, rows: Rows) -> PoolCurves:
    lines = _lines(spec, rows)
    p0_w = lines.step_base_j / lines.step_base_s
    work_per_s = spec.gpus * spec.gpu.flops[spec.precision.arithmetic] * spec.precision.mfu_frac
    prefill_s_per_token = 2 * spec.model.active_parameters / work_per_s
    prefill_w = PREFILL_POWER_FRAC * spec.gpu.tdp_w * spec.gpus
    wake_s = spec.model.wake_s or math.ceil(2 * spec.weight_bytes_per_gpu / facts.LINK_BYTES_PER_S) / 2
    groups = _groups(spec)
    return PoolCurves(
        step_base_s=lines.step_base_s,
        step_per_seq_s=lines.step_per_seq_s,
        step_base_j=lines.step_base_j,
        step_per_seq_j=lines.step_per_seq_j,
        prefill_s_per_token=prefill_s_per_token,
        prefill_j_per_token=max(0.0, prefill_w - p0_w) * prefill_s_per_token,
        kv_capacity_tokens=_kv_capacity_tokens(spec, rows),
        max_num_seqs=_max_num_seqs(spec, rows, lines),
        idle_w=spec.gpu.idle_w * spec.gpus,
        sleeping_w=spec.gpu.sleeping_w * spec.gpus,
        off_w=spec.gpu.off_w * spec.gpus,
        wake_s=wake_s,
        sleep_s=wake_s,
        start_s=spec.model.start_s,
        provenance=Provenance(
            groups.decode.evidence,
            "; ".join(group.source for group in (groups.decode, groups.prefill, groups.context, groups.states)),
        ),
        groups=groups,
    )


def _lines(spec: ProfileSpec, rows: Rows) -> Lines:
    measured = Lines.of(rows.fit())
    if spec.rule is Rule.EXPERTS_HALVED:
        return scaled(measured, expert_ratios())
    return kept(measured, spec.share)


def expert_ratios() -> Lines:
    """Ratios FP8 / BF16 of the four coefficients where a mixture of experts was put on half of the GPUs."""
    return mean_ratios(
        [(Lines.of(load_rows(before).fit()), Lines.of(load_rows(after).fit())) for before, after in EXPERT_PAIRS]
    )


def _max_num_seqs(spec: ProfileSpec, rows: Rows, lines: Lines) -> int:
    """The largest batch measured, scaled with the GPUs, but none at which the straight lines leave the GPUs' TDP."""
    within_tdp = lines.largest_batch_within(spec.gpu.tdp_w * spec.gpus)
    return math.floor(min(round(rows.largest_max_num_seqs * spec.share), within_tdp))


def _kv_capacity_tokens(spec: ProfileSpec, rows: Rows) -> int:
    """Tokens of context that fit beside the weights.

    Qwen3-235B in BF16 on 8 H100 is known to fill up at 228 sequences, taken to hold as many tokens each as a mean
    answer; that fixes the share of a GPU's memory that weights and context have together. Other configurations divide
    the same share differently. A measured one holds at least what it was seen to hold.
    """
    reference, model = load_rows(_QWEN_BF16_8), facts.QWEN_235B
    gpus = _QWEN_BF16_8.gpus
    usable_bytes = model.weight_bytes(BF16.weight_bits) / gpus + reference.held_tokens * model.kv_bytes_per_token(gpus)
    usable_bytes *= spec.gpu.memory_bytes / H100.memory_bytes
    by_memory = int((usable_bytes - spec.weight_bytes_per_gpu) / spec.model.kv_bytes_per_token(spec.gpus))
    return max(by_memory, int(rows.held_tokens)) if spec.rule is None else by_memory


def _groups(spec: ProfileSpec) -> GroupProvenance:
    work = f"2 x {spec.model.active_parameters / 1e9:g}e9 FLOP a token at {spec.precision.mfu_frac:.0%} of peak"
    prefill = f"prefill estimated from {work} and {PREFILL_POWER_FRAC:.0%} of TDP"
    states = "power without work and state changes from published figures"
    return GroupProvenance(
        decode=_decode_provenance(spec),
        prefill=Provenance(Evidence.ESTIMATED, prefill),
        context=Provenance(Evidence.ESTIMATED, "context room from memory arithmetic"),
        states=Provenance(Evidence.ESTIMATED, states),
    )


def _decode_provenance(spec: ProfileSpec) -> Provenance:
    rows = f"ML.ENERGY v3 lm-arena-chat, {spec.rows}, vLLM 0.11.1"
    if spec.rule is None:
        return Provenance(Evidence.MEASURED, f"decode fitted to {rows}")
    to = f"no {spec.precision.name.upper()} measurement exists: derived from {rows} for {spec.gpus} GPUs"
    if spec.rule is Rule.EXPERTS_HALVED:
        return Provenance(
            Evidence.ESTIMATED,
            f"{to} (a, b, A and C times their mean ratios FP8 on half of the GPUs / BF16 of Qwen3-235B-A22B on H100 "
            "and B200)",
        )
    return Provenance(
        Evidence.ESTIMATED,
        f"{to} (base time a and energy per sequence C kept, base energy A times {spec.share:g}, time per sequence b "
        f"times {1 / spec.share:g}; dequantisation cost and lighter weights' speed left out)",
    )
