from __future__ import annotations

import json
import re
from typing import Any

import pytest

from controller.errors import ConfigError, ProfileError
from controller.profile.facts import counters, model_of, server_info
from tests.fakes.system import ROOT

BUSY = (ROOT / "tests/golden/vllm_metrics_busy.txt").read_text() + (
    'vllm:iteration_tokens_total_count{engine="0",model_name="tiny-bf16"} 876.0\n'
    'vllm:cache_config_info{block_size="128",engine="0",kv_cache_size_tokens="1048576",num_gpu_blocks="8192"} 1.0\n'
)
"""The golden file leaves these out; they are as the same server showed them."""


def test_counters_of_a_real_engine_are_read() -> None:
    found = counters(BUSY, "http://engine/metrics")
    assert found.steps > 0
    assert found.prompt_tokens > 0
    assert found.generation_tokens >= found.first_tokens
    assert found.kv_capacity_tokens == 1_048_576


def test_data_parallel_engines_are_summed_but_their_steps_are_not() -> None:
    lines = [
        f'vllm:{name}{{engine="{engine}"}} {value}'
        for engine in (0, 1)
        for name, value in (
            ("num_requests_running", 3),
            ("num_requests_waiting", 0),
            ("prompt_tokens_total", 100),
            ("generation_tokens_total", 40),
            ("iteration_tokens_total_count", 10),
            ("time_to_first_token_seconds_count", 4),
        )
    ]
    lines.append('vllm:cache_config_info{engine="0",num_gpu_blocks="100",block_size="16"} 1')
    found = counters("\n".join(lines), "x")
    assert (found.running, found.generation_tokens, found.steps) == (6, 80, 10)
    assert found.kv_capacity_tokens == 1600


@pytest.mark.parametrize(
    "text", ["", "python_info 1\n", "vllm:num_requests_running{ 1"], ids=["empty", "other", "broken"]
)
def test_what_is_no_engine_is_told(text: str) -> None:
    with pytest.raises(ProfileError, match="http://router"):
        counters(text, "http://router")


def models(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"data": entries}).encode()


def test_the_model_is_the_one_served_or_the_one_named() -> None:
    one = models({"id": "a", "max_model_len": 4096})
    assert model_of(one, None, "x") == ("a", 4096)
    both = models({"id": "a"}, {"id": "b"})
    assert model_of(both, "b", "x") == ("b", None)
    with pytest.raises(ConfigError, match=r"which model\?.*'a', 'b'.*--model"):
        model_of(both, None, "x")
    aliases = [{"id": name, "root": "/models/x", "parent": None, "max_model_len": 4096} for name in ("a", "b")]
    assert model_of(models(*aliases), None, "x") == ("a", 4096)
    for other in ({"root": "/models/y"}, {"parent": "a"}):
        with pytest.raises(ConfigError, match=r"which model\?"):
            model_of(models(aliases[0], {**aliases[1], **other}), None, "x")
    with pytest.raises(ConfigError, match="--model 'c' is not served"):
        model_of(both, "c", "x")
    for body in (b"<html>", b"[]", b"{}", b'{"data": [1]}'):
        with pytest.raises(ProfileError, match="not a list of models"):
            model_of(body, None, "x")


def test_both_forms_of_server_info_tell_the_same() -> None:
    text = {
        "vllm_config": "model='m', dtype=torch.bfloat16, max_seq_len=512, tensor_parallel_size=4, "
        "pipeline_parallel_size=1, data_parallel_size=2, quantization=awq_marlin, quantization_config=None, "
        "enforce_eager=True, kv_cache_dtype=fp8, enable_prefix_caching=True",
        "system_env": {"nvidia_driver_version": "570.1", "nvidia_gpu_models": "GPU 0: NVIDIA H100\nGPU 1: NVIDIA H100"},
    }
    objects = {
        "vllm_config": {
            "model_config": {"quantization": "awq_marlin", "dtype": "torch.bfloat16", "enforce_eager": True},
            "parallel_config": {"tensor_parallel_size": 4, "data_parallel_size": 2},
            "cache_config": {"enable_prefix_caching": True, "cache_dtype": "fp8"},
            "scheduler_config": {"max_num_seqs": 256, "max_num_batched_tokens": 2048},
        },
        "system_env": text["system_env"],
    }
    first, second = (server_info(json.dumps(form).encode()) for form in (text, objects))
    assert (second.pop("max_num_seqs"), second.pop("max_num_batched_tokens")) == (256, 2048)
    assert (first.pop("max_num_seqs"), first.pop("max_num_batched_tokens")) == (None, None)
    assert first == second
    assert first["gpus"] == 8
    assert first["quantization"] == "awq_marlin"
    assert (first["kv_cache_dtype"], first["enforce_eager"], first["prefix_caching"]) == ("fp8", True, True)
    assert first["gpu_name"] == "NVIDIA H100"


def test_a_model_that_is_not_quantized_is_told_from_one_that_is() -> None:
    body = json.dumps({"vllm_config": "quantization=None, quantization_config=None, dtype=torch.float16"}).encode()
    found = server_info(body)
    assert found["quantization"] is None
    assert found["dtype"] == "fp16"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"detail":"Not Found"}'])
def test_what_is_no_server_info_is_nothing(body: bytes) -> None:
    assert server_info(body) == {}


def test_cached_prompt_tokens_are_those_counted_with_the_prompts_where_engines_tell_them() -> None:
    older = re.sub(r"(?m)^vllm:(prompt_tokens_cached_total|prefix_cache_hits_total).*\n", "", BUSY)
    older += 'vllm:prefix_cache_hits_total{engine="0"} 48\n'
    assert counters(older, "x").cached_tokens == 48
    assert counters(older + 'vllm:prompt_tokens_cached_total{engine="0"} 32\n', "x").cached_tokens == 32
