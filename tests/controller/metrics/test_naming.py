import math

from prometheus_client import CollectorRegistry

from controller.metrics.naming import NamedMetrics, known, number
from tests.fakes.shown_metrics import shown


def test_what_was_never_set_is_not_zero_and_what_was_never_counted_is():
    registry = CollectorRegistry()
    make = NamedMetrics(registry)
    make.gauge("site_watts", "A gauge.")
    make.counter("lost_things", "A counter.")
    seen = shown(registry)
    assert math.isnan(seen["site_watts",])
    assert seen["lost_things_total",] == 0.0


def test_a_metric_with_labels_has_no_series_before_one_is_set():
    registry = CollectorRegistry()
    gauge = NamedMetrics(registry).gauge("pool_watts", "A gauge.", ("pool",))
    assert shown(registry) == {}
    gauge.labels("bf16").set(3.0)
    assert shown(registry) == {("pool_watts", "bf16"): 3.0}


def test_names_beyond_a_closed_set_share_one_label():
    assert (known("a", {"a"}), known("b", {"a"})) == ("a", "other")


def test_nothing_is_not_zero():
    assert math.isnan(number(None))
    assert number(0.0) == 0.0
