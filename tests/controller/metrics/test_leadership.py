import math

from prometheus_client import CollectorRegistry

from controller.metrics.leadership import LeadershipFigures, LeadershipMetrics


def test_who_leads_is_read_at_each_scrape_and_what_is_not_known_is_not_zero():
    registry, figures = CollectorRegistry(), [LeadershipFigures(False, None, True, 0, None)]
    LeadershipMetrics(registry, lambda: figures[0])

    def shown(name):
        return registry.get_sample_value(f"wattroute_controller_{name}")

    assert (shown("leader"), shown("election_failing"), shown("takeovers_total")) == (0.0, 1.0, 0.0)
    assert math.isnan(shown("standby_present"))
    assert math.isnan(shown("handover_bytes"))
    figures[0] = LeadershipFigures(True, True, False, 2, 4096)
    assert (shown("leader"), shown("standby_present"), shown("handover_bytes")) == (1.0, 1.0, 4096.0)
    assert (shown("election_failing"), shown("takeovers_total")) == (0.0, 2.0)
