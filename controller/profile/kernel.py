"""Which kernel an engine computes with, and whether it is a slow fallback. Pure.

vLLM resolves the checkpoint's quantization to a method at its start. Where `--quantization awq` or `gptq` is forced,
versions with separate Marlin methods keep the unoptimised kernel, at 0.6 of the BF16 throughput and less; left out,
they resolve to `awq_marlin` or `gptq_marlin`, newer ones to `auto_awq` and `auto_gptq`, which choose the fastest kernel
themselves. GET /server_info in development mode tells the method, the log of the start tells the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from controller.errors import ConfigError, ProfileError

UNQUANTIZED = "unquantized"
_REMEDY = {
    "awq": "start vLLM without --quantization, which then takes the Marlin kernel (awq_marlin)",
    "gptq": "start vLLM without --quantization, which then takes the Marlin kernel (gptq_marlin)",
    "bitsandbytes": "serve a checkpoint in FP8, or in INT4 of AWQ, GPTQ or compressed-tensors form",
    "gguf": "serve the checkpoint in another form: vLLM's GGUF kernels are not optimised",
    "exllamalinearkernel": "see in the engine's log why Marlin and Machete do not fit these shapes",
    "autoawqlinearmethod": "see in the engine's log why the Marlin kernel does not fit this checkpoint",
}
_BY_METHOD = "if the log of its start says 'Using NAME for ...', as with AWQ on processors, give --engine-log FILE"
"""Where /server_info alone told: on processors vLLM 0.32 keeps the name awq, forced or not, and has its own kernel."""
_FORCED = re.compile(r"however you specified quantization=(\w+) explicitly, so forcing")
_FALLBACK = re.compile(r"Falling back to unoptimized (AWQ|GPTQ) kernels", re.IGNORECASE)
_CHOSEN = re.compile(r"(?:Using|Selected) (\w*LinearKernel|\w*ScaledMM\w*Kernel|\w+MMKernel) for")
_METHOD = re.compile(r"Using (\w+_marlin) kernel")
_CONFIG = re.compile(r"\bquantization='?([\w-]+)'?, ")
"""In the line in which an engine tells its configuration; None for a model that is not quantized, for which no line
names a kernel."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel of the linear layers.

    Attributes:
        name: as the engine calls it.
        told_by: what says so.
    """

    name: str
    told_by: str


def from_log(text: str) -> Kernel | None:
    """What the log of an engine's start says; the kernel named last, but a fallback before all else."""
    for pattern in (_FORCED, _FALLBACK):
        if (match := pattern.search(text)) is not None:
            return Kernel(match[1].lower(), "engine log")
    for pattern in (_CHOSEN, _METHOD):
        if found := pattern.findall(text):
            return Kernel(found[-1], "engine log")
    if found := _CONFIG.findall(text):
        return Kernel(UNQUANTIZED if found[-1] == "None" else found[-1], "engine log")
    return None


def choose(*, log: Kernel | None, method: str | None, is_told: bool, given: str | None) -> Kernel:
    """The kernel by the surest of the sources.

    Args:
        log: from the engine's log, where there is one.
        method: the quantization that the engine resolved to; None for a model that is not quantized.
        is_told: whether the engine told its quantization at all.
        given: what the operator says.

    Raises:
        ConfigError: nothing tells, and the operator has not said; or he says something else than the engine.
        ProfileError: it is a slow fallback.
    """
    told = log or (Kernel(method or UNQUANTIZED, "engine's /server_info") if is_told else None)
    if told is not None and given is not None and told.name.lower() != given.lower():
        raise ConfigError(f"--kernel {given}: the {told.told_by} says {told.name}; leave the option out")
    if told is None and given is None:
        raise ConfigError(
            "the kernel is unknown: the engine does not serve /server_info. Start it with VLLM_SERVER_DEV_MODE=1, or "
            "give the log of its start with --engine-log FILE, or name the kernel with --kernel NAME, which the log "
            "shows as 'Using NAME for ...' (a model that is not quantized: --kernel unquantized)"
        )
    kernel = told or Kernel(str(given), "--kernel")
    remedy = _REMEDY.get(kernel.name.lower())
    if remedy is not None:
        by_method = f"; {_BY_METHOD}" if told is not None and log is None else ""
        raise ProfileError(
            f"the instance computes with {kernel.name!r} (by the {kernel.told_by}), a slow fallback whose curves would "
            f"be true of no pool worth running: {remedy}{by_method}"
        )
    return kernel
