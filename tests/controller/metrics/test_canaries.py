import math

import pytest
from prometheus_client import CollectorRegistry

from controller.metrics.canaries import CanaryMetrics
from controller.model.observation import Barred
from controller.quality.canary import PoolReport
from controller.quality.evidence import Share
from controller.signals.quality_book import CanaryCounts, QualityReport
from router.contract import PoolId
from tests.fakes.controller_parts import NOW_S
from tests.fakes.shown_metrics import shown

POOL = PoolReport(PoolId("int4"), False, Share(0.8, 0.7, 0.9, 60), (), None, None, 0.4)
NOTHING_COUNTED = PoolReport(PoolId("int4"), False, Share(None, 0.0, 1.0, 0), (), None, None, 0.0)


def shows(report: QualityReport) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    CanaryMetrics(registry).take(report)
    return shown(registry)


def test_the_agreement_of_a_pool_is_shown_with_its_interval() -> None:
    seen = shows(QualityReport((POOL,), (), CanaryCounts()))
    assert [seen["canary_agreement_frac", *sorted(("int4", bound))] for bound in ("low", "mean", "high")] == [
        pytest.approx(0.7),
        pytest.approx(0.8),
        pytest.approx(0.9),
    ]
    assert seen["canary_suspicion_frac", "int4"] == 0.4


def test_an_agreement_that_nothing_was_counted_for_is_not_known() -> None:
    seen = shows(QualityReport((NOTHING_COUNTED,), (), CanaryCounts()))
    assert math.isnan(seen["canary_agreement_frac", "int4", "mean"])


def test_every_pool_and_instance_is_barred_or_not() -> None:
    bar = Barred("int4-0", False, "canary", "differs", NOW_S)
    seen = shows(QualityReport((), (bar,), CanaryCounts(), names=("bf16-0", "int4", "int4-0")))
    assert (seen["barred", "int4-0"], seen["barred", "int4"], seen["barred", "bf16-0"]) == (1, 0, 0)


def test_what_came_of_canaries_and_why_none_is_sent() -> None:
    counts = CanaryCounts(agreed=5, differed=1, kept=3, failed=2, spent_j=70.0, paused="budget")
    seen = shows(QualityReport((), (), counts, is_reference_doubted=True))
    assert [seen["canaries", name] for name in ("agreed", "differed", "kept", "failed")] == [5, 1, 3, 2]
    assert seen["canary_energy_joules",] == 70.0
    assert seen["canary_reference_doubted",] == 1
    assert [seen["canary_paused", why] for why in ("off", "budget", "no_target", "no_reference")] == [0, 1, 0, 0]


def test_an_instance_that_is_gone_is_told_no_more() -> None:
    registry = CollectorRegistry()
    metrics = CanaryMetrics(registry)
    metrics.take(QualityReport((), (), CanaryCounts(), names=("int4", "pod-1")))
    metrics.take(QualityReport((), (), CanaryCounts(), names=("int4", "pod-2")))
    told = {key[1] for key in shown(registry) if key[0] == "barred"}
    assert told == {"int4", "pod-2"}
