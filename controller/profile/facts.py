"""What an engine says of itself, read from the bodies of its answers. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from controller.errors import ConfigError, ProfileError
from controller.profile.design import Limits
from controller.signals.engines import CACHED
from controller.signals.prometheus_text import parse

_T = TypeVar("_T")
_RUNNING, _WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
_PROMPT, _GENERATION = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"
_STEPS = "vllm:iteration_tokens_total_count"
_FIRST = "vllm:time_to_first_token_seconds_count"
_PREEMPTED = "vllm:num_preemptions_total"
_CACHE_CONFIG = "vllm:cache_config_info"
_NEEDED = (_RUNNING, _WAITING, _PROMPT, _GENERATION, _STEPS, _FIRST)
_WANTED = frozenset((*_NEEDED, *CACHED, _PREEMPTED, _CACHE_CONFIG))


@dataclass(frozen=True, slots=True)
class Counters:
    """An engine's counters and gauges at one moment, summed over data-parallel engines.

    Attributes:
        steps: engine steps, of which each data-parallel engine counts its own: their mean.
        first_tokens: prompts completed.
        cached_tokens: prompt tokens found in the prefix cache.
    """

    running: float
    waiting: float
    prompt_tokens: float
    generation_tokens: float
    steps: float
    first_tokens: float
    cached_tokens: float
    preemptions: float
    kv_capacity_tokens: int | None


def counters(text: str, where: str) -> Counters:
    """Read an engine's exposition text.

    Raises:
        ProfileError: it is not that of a vLLM engine.
    """
    values: dict[str, list[float]] = {}
    labels: list[Mapping[str, str]] = []
    try:
        for sample in parse(text, _WANTED):
            if sample.name == _CACHE_CONFIG:
                labels.append(sample.labels)
            elif math.isfinite(sample.value):
                values.setdefault(sample.name, []).append(sample.value)
    except ValueError as error:
        raise ProfileError(f"{where}: not Prometheus text ({error}); is this the engine's own address?") from error
    absent = [name for name in _NEEDED if name not in values]
    if absent:
        raise ProfileError(
            f"{where} does not show {', '.join(absent)}: profiling needs vLLM's own counters. Give the address of one "
            "engine, not of a router, and do not start it with --disable-log-stats"
        )
    total = {name: sum(found) for name, found in values.items()}
    return Counters(
        running=total[_RUNNING],
        waiting=total[_WAITING],
        prompt_tokens=total[_PROMPT],
        generation_tokens=total[_GENERATION],
        steps=total[_STEPS] / len(values[_STEPS]),
        first_tokens=total[_FIRST],
        cached_tokens=next((total[name] for name in CACHED if name in total), 0.0),
        preemptions=total.get(_PREEMPTED, 0.0),
        kv_capacity_tokens=_kv_capacity(labels),
    )


def _kv_capacity(engines: list[Mapping[str, str]]) -> int | None:
    """Tokens of context that all engines hold; None where one does not say."""
    total = 0
    for labels in engines:
        size = _whole(labels.get("kv_cache_size_tokens"))
        blocks, block_size = _whole(labels.get("num_gpu_blocks")), _whole(labels.get("block_size"))
        if size is None and blocks is not None and block_size is not None:
            size = blocks * block_size
        if size is None:
            return None
        total += size
    return total or None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 16 else None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One engine.

    Attributes:
        model: name to ask for.
        version: of vLLM; None where it does not say.
        is_emulated: whether it says that it is emulated.
        is_told: whether it served /server_info, which the next ones come from.
        quantization: method that the checkpoint resolved to; None for a model that is not quantized.
        gpus: GPUs of the instance: tensor times pipeline parallelism.
        gpu_name, driver: of the machine.
        prefix_caching: whether prompts that begin alike are computed once.
        kv_cache_dtype: of the context.
        enforce_eager: whether steps are launched kernel by kernel.
    """

    model: str
    limits: Limits
    version: str | None = None
    is_emulated: bool = False
    is_told: bool = False
    quantization: str | None = None
    dtype: str | None = None
    gpus: int | None = None
    gpu_name: str | None = None
    driver: str | None = None
    prefix_caching: bool | None = None
    kv_cache_dtype: str | None = None
    enforce_eager: bool | None = None

    @property
    def precision(self) -> str | None:
        """Weights by the engine's own words: the quantization, else the data type."""
        return self.quantization or self.dtype


def model_of(body: bytes, wanted: str | None, where: str) -> tuple[str, int | None]:
    """Name of the served model and its longest context, from GET /v1/models.

    Raises:
        ConfigError: the wanted model is not served, or several are and none was named. Several names of one model are
            none the less one model; it is asked for by the first.
        ProfileError: the body is not a list of models.
    """
    try:
        entries = {str(entry["id"]): entry for entry in json.loads(body)["data"]}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProfileError(f"{where} is not a list of models; is this an OpenAI server?") from error
    names = ", ".join(repr(name) for name in list(entries)[:8]) or "none"
    if wanted is None and len(entries) != 1 and not _are_one_model(entries.values()):
        raise ConfigError(f"which model? {where} serves {names}; name one with --model")
    name = wanted or next(iter(entries))
    if name not in entries:
        raise ConfigError(f"--model {name!r} is not served at {where}; served are {names}")
    longest = entries[name].get("max_model_len")
    return name, longest if type(longest) is int and longest > 0 else None


def _are_one_model(entries: Iterable[Mapping[str, Any]]) -> bool:
    """Whether all are names of the same weights (vLLM's --served-model-name); an adapter has a parent."""
    roots = {(entry.get("root"), entry.get("parent")) for entry in entries}
    return len(roots) == 1 and all(isinstance(root, str) and parent is None for root, parent in roots)


def server_info(body: bytes) -> dict[str, Any]:
    """Fields of GET /server_info, of either form that vLLM gives its configuration in; empty where it has none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or "vllm_config" not in document:
        return {}
    config = document["vllm_config"]
    found = _from_text(config) if isinstance(config, str) else _from_json(config) if isinstance(config, dict) else {}
    system = document.get("system_env")
    if isinstance(system, dict):
        found["driver"] = system.get("nvidia_driver_version")
        found["gpu_name"] = _gpu_name(system.get("nvidia_gpu_models"))
    return found


def _from_text(text: str) -> dict[str, Any]:
    def field(name: str) -> str | None:
        match = re.search(rf"(?:^|[\s,(]){name}=([^,\s)]+)", text)
        value = match[1].strip("'\"") if match else None
        return None if value in (None, "None") else value

    gpus = [_whole(field(f"{kind}_parallel_size")) or 1 for kind in ("tensor", "pipeline", "data")]

    def flag(name: str) -> bool | None:
        value = field(name)
        return None if value is None else value == "True"

    return {
        "quantization": field("quantization"),
        "dtype": _dtype(field("dtype")),
        "gpus": math.prod(gpus),
        "prefix_caching": flag("enable_prefix_caching"),
        "kv_cache_dtype": field("kv_cache_dtype"),
        "enforce_eager": flag("enforce_eager"),
        "max_num_seqs": _whole(field("max_num_seqs")),
        "max_num_batched_tokens": _whole(field("max_num_batched_tokens")),
    }


def _from_json(config: dict[str, Any]) -> dict[str, Any]:
    def part(name: str) -> dict[str, Any]:
        value = config.get(f"{name}_config")
        return value if isinstance(value, dict) else {}

    sizes = [part("parallel").get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline", "data")]
    model, cache, scheduler = part("model"), part("cache"), part("scheduler")
    return {
        "quantization": model.get("quantization"),
        "dtype": _dtype(model.get("dtype")),
        "gpus": math.prod(size for size in sizes if type(size) is int),
        "prefix_caching": _typed(cache.get("enable_prefix_caching"), bool),
        "kv_cache_dtype": _typed(cache.get("cache_dtype"), str),
        "enforce_eager": _typed(model.get("enforce_eager"), bool),
        "max_num_seqs": _typed(scheduler.get("max_num_seqs"), int),
        "max_num_batched_tokens": _typed(scheduler.get("max_num_batched_tokens"), int),
    }


def _typed(value: object, kind: type[_T]) -> _T | None:
    return value if type(value) is kind else None


def _dtype(value: object) -> str | None:
    short = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    name = str(value).removeprefix("torch.") if value else ""
    return short.get(name, name) or None


def _gpu_name(value: object) -> str | None:
    """Of a text such as ``GPU 0: NVIDIA H100 80GB HBM3``, one GPU a line."""
    if not isinstance(value, str) or not value:
        return None
    return value.splitlines()[0].partition(": ")[2] or value.splitlines()[0]
