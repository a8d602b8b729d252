from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ConfigError
from controller.model.fleet import RequestClass
from controller.model.perf import Evidence, PoolCurves
from controller.optimizer.power_map import Dispatchable, Variant, power_map, rows
from controller.optimizer.workload import Lengths, busy_s_per_token, j_per_token, slo_batch
from controller.simulation.profiles import PROFILES, load_profile
from router.contract import ClassId, Precision
from tests.fakes.fake_fleet import BF16, FP8, site

CURVES = {name: load_profile(name) for name in PROFILES}
LENGTHS = Lengths(1024.0, 256.0)
names = st.sampled_from(sorted(CURVES))
slos_s = st.floats(0.005, 2.0)
lengths = st.builds(Lengths, st.floats(0.0, 32_768.0), st.floats(1.0, 8192.0))


def at(curves: PoolCurves, itl_slo_s: float = 0.06, length: Lengths = LENGTHS, gpus: int = 1) -> Dispatchable:
    cls = RequestClass(ClassId("standard"), itl_slo_s=itl_slo_s)
    return rows([Variant("pool", gpus, curves)], cls, length)[0]


def test_quality_lost_is_that_of_the_class_where_it_tells_one() -> None:
    code = RequestClass(ClassId("code"), quality_loss_frac=((Precision.INT4, 0.05),))
    variants = [Variant.of(pool) for pool in site().pools]
    assert [cell.quality_loss_frac for cell in rows(variants, code, LENGTHS)] == [0.0, 0.003, 0.05]


def test_capacity_is_the_rate_of_the_largest_batch_within_the_latency() -> None:
    cell = at(BF16)
    rate = cell.capacity_tokens_per_s
    assert cell.batch / rate == pytest.approx(0.06)
    assert rate == pytest.approx(1.0 / cell.busy_s_per_token)


def test_power_at_capacity_is_what_decode_and_prompt_work_draw_together() -> None:
    """In a second: μ tokens of P0·time + e each for decode, ρ·μ prompt tokens on top; all of the time is busy."""
    cell = at(BF16)
    rate, ratio = cell.capacity_tokens_per_s, LENGTHS.input_per_output
    decode_s = rate / cell.batch * (BF16.step_base_s + BF16.step_per_seq_s * cell.batch)
    decode_j = rate / cell.batch * (BF16.step_base_j + BF16.step_per_seq_j * cell.batch)
    prefill_s = ratio * rate * BF16.prefill_s_per_token
    assert decode_s + prefill_s == pytest.approx(1.0)
    expected_w = decode_j + prefill_s * cell.p0_w + ratio * rate * BF16.prefill_j_per_token
    assert cell.w_at_capacity == pytest.approx(expected_w)
    assert cell.j_per_token_at_capacity == pytest.approx(expected_w / rate)


def test_a_promise_that_cannot_be_kept_has_no_capacity_and_no_power_at_it() -> None:
    cell = at(BF16, itl_slo_s=0.02)
    assert not cell.keeps_latency
    assert (cell.capacity_tokens_per_s, cell.w_at_capacity, cell.j_per_token_at_capacity) == (0.0, None, None)
    assert cell.busy_s_per_token > 0


def test_states_and_changes_come_with_their_energy() -> None:
    curves = replace(BF16, idle_w=960.0, wake_s=3.0, sleep_s=2.0, start_s=100.0)
    cell = at(curves)
    assert (cell.wake.seconds, cell.wake.joules) == (3.0, 2880.0)
    assert (cell.fall_asleep.joules, cell.start.joules) == (1920.0, 96_000.0)
    assert (cell.idle_w, cell.sleeping_w, cell.off_w) == (960.0, curves.sleeping_w, curves.off_w)


def test_each_group_of_figures_tells_its_source() -> None:
    groups = at(load_profile("llama-3.1-70b/bf16/4xh100")).provenance
    assert groups.decode.evidence is Evidence.MEASURED
    assert {groups.prefill.evidence, groups.context.evidence, groups.states.evidence} == {Evidence.ESTIMATED}
    assert "TDP" in groups.prefill.source
    assert "memory" in groups.context.source
    assert "published" in groups.states.source
    assert at(BF16).provenance.states == BF16.provenance


def test_the_map_of_a_fleet_is_what_the_plan_computes_with() -> None:
    fleet = site()
    of_class = [Lengths(1155.0 + n, 211.0) for n in range(len(fleet.classes))]
    found = power_map([Variant.of(pool) for pool in fleet.pools], fleet.classes, of_class)
    for r, (cls, length) in enumerate(zip(fleet.classes, of_class, strict=True)):
        for k, pool in enumerate(fleet.pools):
            batch = slo_batch(pool.curves, cls, length)
            assert found.batches[r][k] == batch
            assert found.busy_s_per_token[r][k] == busy_s_per_token(pool.curves, batch, length)
            assert found.j_per_token[r][k] == j_per_token(pool.curves, length)
            cell = found.rows[r][k]
            assert (cell.name, cell.gpus_per_instance) == (pool.pool_id, pool.gpus_per_instance)
            assert cell.quality_loss_frac == pool.quality_loss_frac


@pytest.mark.parametrize(
    ("itl_slo_s", "length", "told"),
    [
        (0.0, LENGTHS, r"'standard': itl_slo_s is 0.*for example 0\.06"),
        (-0.06, LENGTHS, r"itl_slo_s is -0\.06, which is not above zero"),
        (float("nan"), LENGTHS, r"itl_slo_s is nan"),
        (0.06, Lengths(1024.0, 0.0), r"output_tokens is 0.*mean length of an answer"),
        (0.06, Lengths(-1.0, 256.0), r"input_tokens is -1.*mean length of a prompt"),
        (0.06, Lengths(float("inf"), 256.0), r"input_tokens is inf"),
    ],
)
def test_wrong_figures_are_named_with_their_class_and_the_remedy(itl_slo_s, length, told) -> None:
    with pytest.raises(ConfigError, match=told):
        at(BF16, itl_slo_s, length)


def test_every_class_has_its_lengths() -> None:
    with pytest.raises(ValueError, match="zip"):
        power_map([Variant("pool", 8, BF16)], [RequestClass(ClassId("a"))], [])


@given(names, slos_s, slos_s, lengths)
def test_capacity_never_rises_when_the_promise_tightens(name: str, one_s: float, other_s: float, length) -> None:
    tight, loose = (at(CURVES[name], slo_s, length) for slo_s in sorted((one_s, other_s)))
    assert tight.capacity_tokens_per_s <= loose.capacity_tokens_per_s * (1 + 1e-12)


@given(names, slos_s, lengths)
def test_energies_are_positive_and_the_power_is_the_hardwares(name: str, slo_s: float, length: Lengths) -> None:
    spec = PROFILES[name]
    cell = at(CURVES[name], slo_s, length, spec.gpus)
    assert min(cell.decode_j_per_token, cell.j_per_token, cell.p0_w) > 0
    assert cell.prefill_j_per_token >= 0
    assert 0 < cell.off_w < cell.sleeping_w < cell.idle_w < cell.p0_w
    assert min(change.joules for change in (cell.wake, cell.fall_asleep, cell.start)) > 0
    if cell.w_at_capacity is not None:
        assert cell.p0_w < cell.w_at_capacity <= spec.gpu.tdp_w * spec.gpus * (1 + 1e-9)
        assert cell.j_per_token_at_capacity > cell.j_per_token


@given(names, slos_s, lengths)
def test_longer_prompts_never_leave_more_capacity(name: str, slo_s: float, length: Lengths) -> None:
    longer = replace(length, input_tokens=length.input_tokens * 1.5 + 1.0)
    here, there = (at(CURVES[name], slo_s, each).capacity_tokens_per_s for each in (length, longer))
    assert there <= here * (1 + 1e-12)


def test_half_the_gpus_at_half_precision_take_less_energy_a_token_at_capacity() -> None:
    bf16, fp8 = at(BF16, 0.1), at(FP8, 0.1)
    assert fp8.j_per_token_at_capacity < bf16.j_per_token_at_capacity
