from prometheus_client import CollectorRegistry

from controller.openadr.draws import Draws
from controller.openadr.follow import EventDesk
from controller.openadr.metrics import OpenAdrMetrics, VenMetrics


def test_each_poll_is_counted_by_its_outcome():
    registry = CollectorRegistry()
    metrics = VenMetrics(OpenAdrMetrics(registry), "utility")
    desk = EventDesk("openadr:utility", None, Draws(1))
    desk.told.refused = 2
    desk.told.ignored.update({"CURVE": 1, "other": 2})
    metrics.show(desk, None, 1, 70.0)
    metrics.show(desk, None, 1, 100.0)
    metrics.show(desk, 3.0, 0, 130.0)

    def value(name, **labels):
        return registry.get_sample_value(f"wattroute_controller_openadr_{name}", {"vtn": "utility", **labels})

    assert value("polls_total", outcome="failed") == 2
    assert value("polls_total", outcome="answered") == 1
    assert value("refused_events_total") == 2
    assert value("ignored_payloads_total", payload_type="CURVE") == 1
    assert value("ignored_payloads_total", payload_type="other") == 2
    assert value("answered_timestamp_seconds") == 130.0
    assert value("clock_skew_seconds") == 3.0
    assert value("failures_in_a_row") == 0
