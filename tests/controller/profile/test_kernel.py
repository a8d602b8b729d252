from __future__ import annotations

import pytest

from controller.errors import ConfigError, ProfileError
from controller.profile.kernel import Kernel, choose, from_log

FORCED = (
    "INFO [awq_marlin.py:120] Detected that the model can run with awq_marlin, however you specified quantization=awq "
    "explicitly, so forcing awq. Use quantization=awq_marlin for faster inference\n"
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (FORCED + "Using MarlinLinearKernel for GPTQMarlinLinearMethod\n", "awq"),
        ("Layer 'x' is not supported by AutoAWQMarlin. Falling back to unoptimized AWQ kernels.\n", "awq"),
        ("The model is convertible to gptq_marlin during runtime. Using gptq_marlin kernel.\n", "gptq_marlin"),
        (
            "Using awq_marlin kernel.\nUsing MacheteLinearKernel for AWQMarlinLinearMethod\n",
            "MacheteLinearKernel",
        ),
        ("with config: model='m', dtype=torch.bfloat16, quantization=None, quantization_config=None, x", "unquantized"),
        ("with config: model='m', dtype=torch.bfloat16, quantization=gptq, quantization_config=None, x", "gptq"),
        ("Selected ChannelWiseTorchFP8ScaledMMLinearKernel for Fp8Method\n", "ChannelWiseTorchFP8ScaledMMLinearKernel"),
    ],
    ids=["forced", "fallback", "method", "kernel", "not quantized", "resolved", "fp8"],
)
def test_the_log_of_a_start_names_the_kernel(text: str, name: str) -> None:
    assert from_log(text) == Kernel(name, "engine log")


def test_a_log_without_a_kernel_tells_nothing() -> None:
    assert from_log("INFO Starting vLLM API server on http://0.0.0.0:8000\n") is None


@pytest.mark.parametrize("method", ["awq", "gptq", "bitsandbytes", "gguf"])
def test_a_slow_fallback_is_refused_with_the_remedy(method: str) -> None:
    with pytest.raises(ProfileError, match=r"slow fallback.*(without --quantization|serve)"):
        choose(log=None, method=method, is_told=True, given=None)


def test_a_method_alone_may_mislead_and_the_log_is_asked_for() -> None:
    """vLLM 0.32 on a processor calls AWQ awq, forced or not, and has a kernel of its own for it."""
    with pytest.raises(ProfileError, match=r"by the engine's /server_info.*give --engine-log"):
        choose(log=None, method="awq", is_told=True, given=None)
    log = "quantization=awq, x\nUsing CPUWNA16LinearKernel for AutoAWQMarlinLinearMethod\n"
    assert choose(log=from_log(log), method="awq", is_told=True, given=None).name == "CPUWNA16LinearKernel"
    with pytest.raises(ProfileError) as refused:
        choose(log=from_log(FORCED), method="awq", is_told=True, given=None)
    assert "--engine-log" not in str(refused.value)


def test_the_log_is_surer_than_the_method() -> None:
    log = Kernel("CPUWNA16LinearKernel", "engine log")
    assert choose(log=log, method="awq", is_told=True, given=None) is log
    with pytest.raises(ProfileError, match="awq_marlin"):
        choose(log=from_log(FORCED), method="awq_marlin", is_told=True, given=None)


def test_an_unknown_kernel_must_be_named() -> None:
    with pytest.raises(ConfigError, match=r"kernel is unknown.*--engine-log.*--kernel"):
        choose(log=None, method=None, is_told=False, given=None)
    assert choose(log=None, method=None, is_told=False, given="MarlinLinearKernel").told_by == "--kernel"
    with pytest.raises(ProfileError, match="slow"):
        choose(log=None, method=None, is_told=False, given="gptq")


def test_the_operator_may_not_say_otherwise_than_the_engine() -> None:
    assert choose(log=None, method=None, is_told=True, given="Unquantized").name == "unquantized"
    with pytest.raises(ConfigError, match="says fp8"):
        choose(log=None, method="fp8", is_told=True, given="awq_marlin")
