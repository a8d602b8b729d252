from __future__ import annotations

import numpy as np
import pytest

from controller.study.offline_routing.workload_model import LanguageModel, Terms

LLAMA_7B = Terms(0.0, -3.894991, 31.522735, 0.042712)


def test_energy_is_the_published_bilinear_form() -> None:
    found = LLAMA_7B.at(np.array([32]), np.array([128]))
    assert found[0] == pytest.approx(-3.894991 * 32 + 31.522735 * 128 + 0.042712 * 32 * 128)


def test_the_published_fit_is_below_zero_for_a_long_prompt_and_a_short_answer() -> None:
    """As the reference to the paper's data says: 512 in, 32 out gives about -290 J."""
    assert LLAMA_7B.at(np.array([512]), np.array([32]))[0] == pytest.approx(-286, abs=1)


def test_a_model_serves_within_its_range_only() -> None:
    model = LanguageModel("m", 0.5, LLAMA_7B, LLAMA_7B, 1, (8, 2048), (8, 2048), 0.0, 1.0, "s")
    able = model.may_serve(np.array([7, 8, 2048, 2049, 100]), np.array([8, 8, 2048, 100, 2049]))
    assert able.tolist() == [False, True, True, False, False]
