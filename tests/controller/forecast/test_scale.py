import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.forecast.scale import Scale, scaled, unscaled


@given(st.floats(0.0, 1e6), st.sampled_from(Scale), st.floats(1.0, 3600.0))
def test_a_value_comes_back_from_its_scale(value, scale, step_s):
    assert unscaled(scaled(value, scale, step_s), scale, step_s) == pytest.approx(value, rel=1e-9, abs=1e-6)


@given(st.floats(-1e6, 1e6))
def test_no_rate_comes_out_negative(point):
    assert unscaled(point, Scale.ROOT, 60.0) >= 0.0


def test_a_negative_price_stays_one():
    assert unscaled(scaled(-35.0, Scale.PLAIN, 300.0), Scale.PLAIN, 300.0) == -35.0


def test_counts_spread_alike_at_every_level():
    rng = np.random.default_rng(0)
    spreads = [np.std([scaled(n / 60.0, Scale.ROOT, 60.0) for n in rng.poisson(mean, 4000)]) for mean in (20, 2000)]
    assert spreads == pytest.approx([0.5, 0.5], abs=0.03)
