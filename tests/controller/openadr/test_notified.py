import logging

from prometheus_client import CollectorRegistry

from controller.openadr.notified import Notified, NotifiedMetrics


def test_falling_back_on_polling_is_a_metric_and_is_said_once(caplog) -> None:
    registry = CollectorRegistry()
    notified = Notified(NotifiedMetrics(registry), "utility", "mqtt")
    labels = {"vtn": "utility", "way": "mqtt"}

    def stands() -> float | None:
        return registry.get_sample_value("wattroute_controller_openadr_notified", labels)

    with caplog.at_level(logging.INFO):
        assert stands() == 0
        notified.stands()
        assert stands() == 1
        notified.lost("broker gone")
        notified.lost("broker gone")
        assert stands() == 0
        notified.stands()
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]
    notified.count("taken")
    told = registry.get_sample_value("wattroute_controller_openadr_notifications_total", {**labels, "outcome": "taken"})
    assert told == 1
