from dataclasses import replace

import pytest

from controller.model.fleet import RequestClass
from controller.optimizer.workload import Lengths, batch_at_rate, busy_s_per_token, j_per_token, slo_batch
from router.contract import ClassId
from tests.fakes.fake_fleet import BF16

LENGTHS = Lengths(1100.0, 200.0)
CLASS = RequestClass(ClassId("standard"), itl_slo_s=0.06)


def test_prompt_work_of_others_counts_against_the_latency():
    expected = (0.06 - 0.0261) / (0.000164 + 5.5 * 14e-6)
    assert slo_batch(BF16, CLASS, LENGTHS) == pytest.approx(expected)


def test_at_that_batch_a_saturated_instance_just_keeps_the_latency():
    batch = slo_batch(BF16, CLASS, LENGTHS)
    assert batch / (1.0 / busy_s_per_token(BF16, batch, LENGTHS)) == pytest.approx(0.06)


def test_context_and_engine_bound_the_batch():
    assert slo_batch(replace(BF16, kv_capacity_tokens=13_000), CLASS, LENGTHS) == pytest.approx(10.0)
    assert slo_batch(replace(BF16, max_num_seqs=8), CLASS, LENGTHS) == pytest.approx(8.0)


def test_a_latency_that_cannot_be_kept_has_no_batch():
    assert slo_batch(BF16, replace(CLASS, itl_slo_s=0.02), LENGTHS) == 0.0
    assert busy_s_per_token(BF16, 0.0, LENGTHS) == pytest.approx(0.0261 + 0.000164 + 5.5 * 14e-6)


def test_energy_of_a_token_carries_its_prompt_and_is_never_negative():
    assert j_per_token(BF16, LENGTHS) == pytest.approx(BF16.decode_j_per_token + 5.5 * BF16.prefill_j_per_token)
    odd = replace(BF16, step_per_seq_j=0.0, prefill_j_per_token=0.0)
    assert j_per_token(odd, LENGTHS) == 0.0


def test_the_batch_at_a_rate_inverts_the_rate_at_a_batch():
    rate = 100.0 / (0.0261 + (0.000164 + 5.5 * 14e-6) * 100.0)
    assert batch_at_rate(BF16, rate, LENGTHS) == pytest.approx(100.0)
    assert batch_at_rate(BF16, 1e6, LENGTHS) == float("inf")
