from prometheus_client import CollectorRegistry

from controller.openadr.report_metrics import OUTCOMES, QUALITIES, ReportMetrics


def test_every_series_of_a_vtn_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    ReportMetrics(registry).show("utility")
    for outcome in OUTCOMES:
        labels = {"vtn": "utility", "outcome": outcome}
        assert registry.get_sample_value("wattroute_controller_openadr_reports_total", labels) == 0
    for quality in QUALITIES:
        labels = {"vtn": "utility", "quality": quality}
        assert registry.get_sample_value("wattroute_controller_openadr_report_values_total", labels) == 0
