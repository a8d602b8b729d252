from prometheus_client import CollectorRegistry

from controller.openadr2.metrics import PREFIX, Ven2Metrics


def test_every_series_of_a_vtn_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    Ven2Metrics(registry).show("utility")
    assert registry.get_sample_value(f"{PREFIX}registered", {"vtn": "utility"}) == 0
    assert registry.get_sample_value(f"{PREFIX}events_total", {"vtn": "utility", "answer": "optOut"}) == 0
