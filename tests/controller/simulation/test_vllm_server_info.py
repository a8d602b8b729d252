from __future__ import annotations

import json

import pytest

from controller.profile.facts import server_info
from controller.simulation.vllm_engine import EngineSpec
from controller.simulation.vllm_request import ServedModel
from controller.simulation.vllm_server_info import document
from tests.fakes.emulated import quick_curves


def spec(precision: str) -> EngineSpec:
    return EngineSpec(quick_curves(), ServedModel("m", f"m@{precision}", 4096), precision, gpus=4)


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(
    ("precision", "forced", "method"),
    [("bf16", None, None), ("fp8", None, "fp8"), ("int4", None, "awq_marlin"), ("int4", "awq", "awq")],
)
def test_the_precision_and_what_was_forced_are_told_in_both_forms(
    precision: str, forced: str | None, method: str | None, as_text: bool
) -> None:
    found = server_info(json.dumps(document(spec(precision), forced, as_text=as_text)).encode())
    assert found["quantization"] == method
    assert found["gpus"] == 4
    assert found["prefix_caching"] is False
    assert "emulated" in found["gpu_name"]
    assert found["max_num_seqs"] == (None if as_text else 256)
