"""GET /server_info of an emulated vLLM in development mode: what tells the engine's precision and limits. Pure.

The form is that of vLLM 0.32, the configuration either as one text or as nested objects; of the several hundred keys
only those are there that an emulated engine has a value for.
"""

from __future__ import annotations

from controller.simulation.batch import MAX_BATCHED_TOKENS
from controller.simulation.dcgm import MODEL_NAME
from controller.simulation.vllm_engine import EngineSpec

_METHODS = {"bf16": None, "fp16": None, "fp8": "fp8", "int8": "compressed-tensors", "int4": "awq_marlin"}
"""What vLLM resolves a checkpoint of each precision to; AWQ for INT4."""


def document(spec: EngineSpec, forced: str | None, *, as_text: bool) -> dict[str, object]:
    """The answer.

    Args:
        spec: of the engine.
        forced: what --quantization says; None for nothing.
        as_text: whether the configuration is one text.
    """
    method = forced or _METHODS.get(spec.precision)
    config = _text(spec, method) if as_text else _objects(spec, method)
    gpus = "\n".join(f"GPU {n}: {MODEL_NAME}" for n in range(spec.gpus))
    system = {"is_cuda_available": "True", "nvidia_driver_version": "emulated", "nvidia_gpu_models": gpus}
    return {"vllm_config": config, "vllm_env": {"VLLM_SERVER_DEV_MODE": True}, "system_env": system}


def _text(spec: EngineSpec, method: str | None) -> str:
    served = spec.served
    return (
        f"model={served.root!r}, speculative_config=None, dtype=torch.bfloat16, max_seq_len={served.max_model_len}, "
        f"tensor_parallel_size={spec.gpus}, pipeline_parallel_size=1, data_parallel_size=1, quantization={method}, "
        f"quantization_config=None, kv_cache_dtype=auto, device_config=cuda, served_model_name={served.name}, "
        "enable_prefix_caching=False, enable_chunked_prefill=True"
    )


def _objects(spec: EngineSpec, method: str | None) -> dict[str, object]:
    served = spec.served
    return {
        "model_config": {
            "model": served.root,
            "served_model_name": served.name,
            "dtype": "torch.bfloat16",
            "max_model_len": served.max_model_len,
            "quantization": method,
        },
        "cache_config": {"cache_dtype": "auto", "enable_prefix_caching": False},
        "parallel_config": {
            "tensor_parallel_size": spec.gpus,
            "pipeline_parallel_size": 1,
            "data_parallel_size": 1,
        },
        "scheduler_config": {
            "max_num_seqs": spec.curves.max_num_seqs,
            "max_num_batched_tokens": MAX_BATCHED_TOKENS,
            "enable_chunked_prefill": True,
        },
    }
