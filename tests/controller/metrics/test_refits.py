import math
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from controller.lifecycle.diagnostics import PoolRefit, RefitAlarm, RefitFigure
from controller.metrics.refits import RefitMetrics
from router.contract import PoolId
from tests.fakes.controller_parts import site
from tests.fakes.shown_metrics import shown

SITE = site()


def test_what_the_refit_says_of_a_pool():
    figure = RefitFigure("loaded_w", 1400.0, 1000.0, 12.0)
    alarm = RefitAlarm("loaded_w", "pool bf16: loaded_w is 1400 W")
    refit = PoolRefit(PoolId("bf16"), (figure,), 40, 2, 1, 0.01, (alarm,))
    refit = replace(refit, computed_frac=0.25)
    stranger = replace(
        refit, computed_frac=None, pool_id="stranger", figures=(replace(figure, name="strange"),), alarms=()
    )
    registry = CollectorRegistry()
    RefitMetrics(registry, SITE).take((refit, stranger))
    seen = shown(registry)
    assert seen["refit_estimate", "bf16", "loaded_w"] == 1400
    assert seen["refit_ratio", "bf16", "loaded_w"] == pytest.approx(1.4)
    assert seen["refit_sd", "bf16", "loaded_w"] == 12
    assert seen["refit_bias_frac", "bf16"] == pytest.approx(0.01)
    assert seen["refit_prompts_computed_frac", "bf16"] == 0.25
    assert math.isnan(seen["refit_prompts_computed_frac", "other"])
    assert (seen["refit_drift", "bf16"], seen["refit_drift", "other"]) == (1, 0)
    assert (seen["refit_observations", "bf16", "taken"], seen["refit_observations", "bf16", "rejected"]) == (40, 2)
    assert not any("strange" in label for name in seen for label in name)


def test_a_ratio_to_nothing_is_not_known():
    refit = PoolRefit(PoolId("bf16"), (RefitFigure("idle_w", 5.0, 0.0, 1.0),), 1, 0, 0, 0.0, ())
    registry = CollectorRegistry()
    RefitMetrics(registry, SITE).take((refit,))
    assert math.isnan(shown(registry)["refit_ratio", "bf16", "idle_w"])
