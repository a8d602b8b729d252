from __future__ import annotations

import dataclasses
import math

import pytest

from controller.energy.steady_sample import ODD_RATIO, Sample, in_steady_state

STEADY = Sample(batch=64, tokens_per_s=1280.0, power_w=3000.0, median_itl_s=0.05)


def test_a_step_gives_each_sequence_a_token() -> None:
    assert (STEADY.step_s, STEADY.step_j) == pytest.approx((0.05, 150.0))
    with_prompts = dataclasses.replace(STEADY, prompt_tokens_per_s=4000.0)
    assert with_prompts.prompt_tokens_per_step == pytest.approx(200.0)
    assert STEADY.prompt_tokens_per_step == 0.0


@pytest.mark.parametrize("field", ["batch", "tokens_per_s", "power_w", "median_itl_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_positive_figure_is_no_measurement(field: str, value: float) -> None:
    assert not in_steady_state(dataclasses.replace(STEADY, **{field: value}))


@pytest.mark.parametrize("prompts", [-1.0, math.nan, math.inf])
def test_prompts_that_are_no_rate_are_no_measurement(prompts: float) -> None:
    assert not in_steady_state(dataclasses.replace(STEADY, prompt_tokens_per_s=prompts))


@pytest.mark.parametrize(
    ("stretch", "prompts_per_s", "is_steady"),
    [
        (1.0, None, True),
        (0.99 * ODD_RATIO, None, True),
        (1.01 * ODD_RATIO, None, False),
        (1.01 * ODD_RATIO, 0.0, False),
        (1.01 * ODD_RATIO, 4000.0, True),
        (0.99 / ODD_RATIO, None, False),
        (0.99 / ODD_RATIO, 4000.0, False),
    ],
)
def test_steps_much_longer_than_the_median_one_are_steady_with_prompts_alone(
    stretch: float, prompts_per_s: float | None, is_steady: bool
) -> None:
    sample = dataclasses.replace(STEADY, median_itl_s=STEADY.step_s / stretch, prompt_tokens_per_s=prompts_per_s)
    assert in_steady_state(sample) is is_steady
