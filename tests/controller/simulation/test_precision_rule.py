from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulation import profile_facts as facts
from controller.simulation.precision_rule import Lines, kept, mean_ratios, scaled
from controller.simulation.profile_facts import BF16, FP8, ModelFacts
from controller.simulation.profile_rows import RowKey, Rows, load_rows
from controller.simulation.profiles import EXPERT_PAIRS

PAGE = Path(__file__).parents[3] / "docs/reference/curves.md"
QWEN_PAIR, QWEN_B200_PAIR = EXPERT_PAIRS
LLAMA = "meta-llama/Llama-3.1-405B-Instruct"
LLAMA_PAIR = (RowKey(LLAMA, "bfloat16", "B200", 8), RowKey(f"{LLAMA}-FP8", "fp8", "B200", 4))
SAME_GPUS = (QWEN_PAIR[0], RowKey(QWEN_PAIR[1].model_id, "fp8", "H100", 8))
BANDWIDTH = {"H100": 3.35e12 * 0.9, "B200": 7.7e12 * 0.9}
"""Nine tenths of the peak, in bytes/s."""
positive = st.floats(1e-6, 1e3)
lines = st.builds(Lines, positive, positive, positive, positive)


@dataclass(frozen=True)
class Pair:
    """A model measured in BF16 and in FP8."""

    title: str
    model: ModelFacts
    before: RowKey
    after: RowKey
    other: tuple[RowKey, RowKey]
    """The pair whose ratios are tried on this one."""

    @property
    def share(self) -> float:
        return self.after.gpus / self.before.gpus

    @property
    def bytes_per_gpu(self) -> tuple[float, float]:
        bf16, fp8 = (self.model.weight_bytes(precision.weight_bits) for precision in (BF16, FP8))
        return bf16 / self.before.gpus, fp8 / self.after.gpus


PAIRS = (
    Pair("405B, B200, 8 → 4", facts.LLAMA_405B, *LLAMA_PAIR, QWEN_B200_PAIR),
    Pair("235B-A22B, H100, 8 → 4", facts.QWEN_235B, *QWEN_PAIR, QWEN_B200_PAIR),
    Pair("235B-A22B, B200, 4 → 2", facts.QWEN_235B, *QWEN_B200_PAIR, QWEN_PAIR),
    Pair("235B-A22B, H100, 8 → 8", facts.QWEN_235B, *SAME_GPUS, QWEN_B200_PAIR),
)


def of(key: RowKey) -> Lines:
    return Lines.of(load_rows(key).fit())


def by_kept(pair: Pair) -> Lines:
    return kept(of(pair.before), pair.share)


def by_bytes(pair: Pair) -> Lines:
    """Base step time goes with the bytes that each GPU reads; power of a GPU at batch 0 as before."""
    before_bytes, after_bytes = pair.bytes_per_gpu
    return _with_base(by_kept(pair), after_bytes / before_bytes)


def by_bandwidth(pair: Pair) -> Lines:
    """Base step time changes by the time that the difference in bytes takes from memory."""
    (before_bytes, after_bytes), base_s = pair.bytes_per_gpu, of(pair.before).step_base_s
    return _with_base(by_kept(pair), 1 + (after_bytes - before_bytes) / BANDWIDTH[pair.before.gpu] / base_s)


def by_other_pair(pair: Pair) -> Lines:
    before, after = pair.other
    return scaled(of(pair.before), mean_ratios([(of(before), of(after))]))


def _with_base(found: Lines, ratio: float) -> Lines:
    return Lines(found.step_base_s * ratio, found.step_per_seq_s, found.step_base_j * ratio, found.step_per_seq_j)


RULES: dict[str, Callable[[Pair], Lines]] = {
    "kept": by_kept,
    "bytes read": by_bytes,
    "bandwidth": by_bandwidth,
    "ratios of another pair": by_other_pair,
}


def errors(found: Lines, measured: Rows) -> list[list[float]]:
    """Relative errors of throughput, power and J/token at each measured batch."""
    out = []
    for sample in measured.samples:
        step_s, step_j = found.step_s(sample.batch), found.step_j(sample.batch)
        out.append([sample.step_s / step_s - 1, step_j / step_s / sample.power_w - 1, step_j / sample.step_j - 1])
    return [list(column) for column in zip(*out, strict=True)]


def mean_error(found: Lines, measured: Rows) -> list[float]:
    return [sum(map(abs, column)) / len(column) for column in errors(found, measured)]


def shown(pair: Pair, name: str) -> str:
    cells = [
        f"{100 * sum(map(abs, column)) / len(column):.0f} % ({100 * min(column):+.0f} to {100 * max(column):+.0f})"
        for column in errors(RULES[name](pair), load_rows(pair.after))
    ]
    return f"| {pair.title} | {name} | {' | '.join(cells)} |"


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.title)
def test_the_reference_page_tells_how_near_each_rule_comes(pair: Pair, name: str) -> None:
    assert shown(pair, name) in PAGE.read_text()


def test_a_dense_model_on_half_of_the_gpus_is_predicted_within_a_tenth() -> None:
    pair = PAIRS[0]
    throughput, power, joules = errors(by_kept(pair), load_rows(pair.after))
    assert max(map(abs, throughput)) < 0.10
    assert max(map(abs, power)) < 0.08
    assert max(map(abs, joules)) < 0.07


@pytest.mark.parametrize("pair", PAIRS[1:3], ids=lambda pair: pair.title)
def test_ratios_of_the_other_gpu_are_nearer_for_experts_than_any_other_rule(pair: Pair) -> None:
    """Each pair is predicted from the other one alone."""
    measured = load_rows(pair.after)
    chosen = mean_error(by_other_pair(pair), measured)
    for name in ("kept", "bytes read", "bandwidth"):
        assert all(a < 0.6 * b for a, b in zip(chosen, mean_error(RULES[name](pair), measured), strict=True)), name
    assert max(chosen) < 0.15


def test_on_as_many_gpus_nothing_is_gained_and_keeping_is_the_nearest() -> None:
    pair = PAIRS[3]
    measured = load_rows(pair.after)
    chosen = mean_error(by_kept(pair), measured)
    for name in ("bytes read", "bandwidth"):
        assert all(a < b for a, b in zip(chosen, mean_error(RULES[name](pair), measured), strict=True)), name


@given(lines, st.sampled_from([0.25, 0.5, 1.0]))
def test_keeping_halves_power_and_doubles_the_batches_weight(before: Lines, share: float) -> None:
    after = kept(before, share)
    assert after.step_base_j / after.step_base_s == pytest.approx(share * before.step_base_j / before.step_base_s)
    assert after.step_s(share * 64.0) == pytest.approx(before.step_s(64.0))
    assert after.step_j(share * 64.0) == pytest.approx(share * before.step_j(64.0))


@given(lines, lines)
def test_ratios_of_a_pair_lead_from_its_first_to_its_second(before: Lines, after: Lines) -> None:
    found = scaled(before, mean_ratios([(before, after)]))
    assert found.step_s(10.0) == pytest.approx(after.step_s(10.0))
    assert found.step_j(10.0) == pytest.approx(after.step_j(10.0))


def test_ratios_are_averaged_so_that_doubling_and_halving_cancel() -> None:
    one, two = Lines(1.0, 1.0, 1.0, 1.0), Lines(2.0, 2.0, 2.0, 2.0)
    assert mean_ratios([(one, two), (two, one)]).step_base_s == pytest.approx(1.0)


def test_ratios_need_pairs_of_positive_figures() -> None:
    one = Lines(1.0, 1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="at least one pair"):
        mean_ratios([])
    with pytest.raises(ValueError, match="zero and has no ratio"):
        mean_ratios([(one, Lines(1.0, 0.0, 1.0, 1.0))])


def test_the_largest_batch_within_a_limit_meets_it() -> None:
    found = Lines(0.01, 1e-4, 4.0, 0.08)
    batch = found.largest_batch_within(700.0)
    assert found.step_j(batch) / found.step_s(batch) == pytest.approx(700.0)
    assert found.largest_batch_within(800.0) == math.inf
