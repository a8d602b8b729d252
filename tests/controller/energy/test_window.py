from __future__ import annotations

import dataclasses
import math

import pytest

from controller.energy.window import Window
from controller.errors import FitRefused

GOOD = Window(10.0, 5000.0, 2000.0, 4100.0, 100.0, steps=400.0)


def test_a_steady_window_becomes_a_sample_of_its_steps() -> None:
    sample = GOOD.sample("b10")
    assert sample.batch == pytest.approx(4000 / 400)
    assert sample.step_s == pytest.approx(10 / 400)
    assert sample.step_j == pytest.approx(5000 / 400)
    assert sample.prompt_tokens_per_step == pytest.approx(2000 / 400)
    assert sample.cell == "b10"


def test_running_sequences_tell_the_steps_where_the_engine_does_not() -> None:
    unknown = dataclasses.replace(GOOD, steps=None)
    assert dataclasses.replace(unknown, mean_running=10.25).sample().batch == pytest.approx(10.0)
    with pytest.raises(FitRefused, match="neither steps nor mean_running"):
        unknown.sample()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"energy_j": -5.0}, r"energy_j is -5; a counter was reset"),
        ({"prompt_tokens": math.nan}, r"prompt_tokens is nan"),
        ({"wall_s": 0.0}, r"5000 J in 0 s"),
        ({"busy_s": 11.0}, r"busy_s is 11 of 10 s"),
        ({"generation_tokens": 50.0}, r"100 answers began with 50 tokens"),
        ({"generation_tokens": 100.0}, r"nothing was decoded"),
        ({"busy_s": 9.0}, r"idle for 1 of 10 s; keep at least one request"),
    ],
)
def test_windows_that_cannot_be_are_refused_with_the_reason(changes: dict[str, float], told: str) -> None:
    with pytest.raises(FitRefused, match=told):
        dataclasses.replace(GOOD, **changes).sample()
