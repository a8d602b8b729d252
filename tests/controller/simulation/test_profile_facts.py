from __future__ import annotations

import pytest

from controller.simulation import profile_facts as facts
from controller.simulation.profile_facts import B200, BF16, FP8, H100, INT4, ModelFacts

MODELS = [value for value in vars(facts).values() if isinstance(value, ModelFacts)]


def test_weights_take_what_the_checkpoints_take() -> None:
    """Sizes of the published safetensors: 16.1, 141 and 470 GB in BF16, 406 GB for 405B in FP8 and BF16 embeddings."""
    assert facts.LLAMA_8B.weight_bytes(BF16.weight_bits) == pytest.approx(16.1e9, rel=0.01)
    assert facts.LLAMA_70B.weight_bytes(BF16.weight_bits) == pytest.approx(141e9, rel=0.01)
    assert facts.QWEN_235B.weight_bytes(BF16.weight_bits) == pytest.approx(470e9, rel=0.01)
    assert facts.LLAMA_405B.weight_bytes(FP8.weight_bits) == pytest.approx(410e9, rel=0.01)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_fewer_bits_take_fewer_bytes_but_the_embeddings_stay(model: ModelFacts) -> None:
    sizes = [model.weight_bytes(precision.weight_bits) for precision in (BF16, FP8, INT4)]
    assert sizes == sorted(sizes, reverse=True)
    assert model.weight_bytes(0.0) == pytest.approx(2 * model.embedding_parameters)
    assert 0 < model.active_parameters <= model.parameters


def test_context_of_a_token_is_shared_until_there_is_one_head_a_gpu() -> None:
    assert facts.LLAMA_70B.kv_bytes_per_token(1) == 2 * 80 * 8 * 128 * 2
    assert facts.LLAMA_70B.kv_bytes_per_token(4) == 2 * 80 * 2 * 128 * 2
    assert facts.QWEN_235B.kv_bytes_per_token(8) == facts.QWEN_235B.kv_bytes_per_token(4)


@pytest.mark.parametrize("gpu", [H100, B200], ids=lambda gpu: gpu.name)
def test_a_gpu_sleeps_between_idle_and_off_and_far_below_its_limit(gpu: facts.GpuFacts) -> None:
    assert gpu.off_w < gpu.sleeping_w < gpu.idle_w < gpu.tdp_w / 2
