from __future__ import annotations

import pytest

from controller.errors import ConfigError
from controller.study.offline_routing.models import make_model
from controller.study.offline_routing.settings import ModelSettings


def measured(**changes: object) -> ModelSettings:
    configuration = {
        "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "weight_precision": "bfloat16",
        "gpu": "H100",
        "gpus": 1,
        "max_num_seqs": 128,
        **changes,
    }
    return ModelSettings(name="m", accuracy_frac=0.7, servers=128, source="a card", measured=configuration)


def test_written_coefficients_are_taken_as_they_are() -> None:
    written = ModelSettings(
        name="m",
        accuracy_frac=0.5,
        servers=3,
        source="s",
        energy_j={"input": -1.0, "output": 2.0, "interaction": 0.5},
        runtime_s={"fixed": 0.1, "input": 0.0, "output": 0.01},
    )
    model = make_model(written)
    assert (model.energy_j.input, model.energy_j.output, model.energy_j.interaction) == (-1.0, 2.0, 0.5)
    assert (model.runtime_s.fixed, model.servers, model.source) == (0.1, 3, "s")


def test_measured_ones_come_from_the_row_and_an_estimate_of_prefill() -> None:
    model = make_model(measured())
    assert model.energy_j.output == pytest.approx(0.095, abs=0.001)
    assert model.runtime_s.output == pytest.approx(0.0165, abs=0.0005)
    assert model.energy_j.input == pytest.approx(2 * 8e9 / (989.4e12 * 0.4) * 630, rel=0.02)
    assert "ML.ENERGY" in model.source
    assert "prefill estimated" in model.source
    assert "a card" in model.source


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_id": "meta-llama/Llama-3.1-9B-Instruct"}, r"no such configuration was measured; .*Llama-3\.1-8B"),
        ({"max_num_seqs": 100}, r"'m': no row with max_num_seqs 100 .*64, 96, 128"),
    ],
)
def test_an_unknown_model_or_row_is_told(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_model(measured(**changes))
