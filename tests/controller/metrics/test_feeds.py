from prometheus_client import CollectorRegistry, generate_latest

from controller.clock import VirtualClock
from controller.metrics.feeds import FeedMetrics
from controller.signals.feeds.feed import ConstantFeed
from controller.signals.feeds.live import LiveFeed
from controller.signals.feeds.outlook import Interval, outlook
from tests.fakes.feed_parts import NINE_S, RULES

FEED = 'feed="price_usd_per_mwh"'


def test_ages_grow_while_nobody_answers():
    clock, registry = VirtualClock(NINE_S), CollectorRegistry()
    feed = LiveFeed("price_usd_per_mwh", "market", RULES)
    registry.register(FeedMetrics((feed, ConstantFeed(1.0, "kg_per_mwh")), clock))
    text = generate_latest(registry).decode()
    assert f"wattroute_controller_feed_age_seconds{{{FEED}}} NaN" in text
    assert f'feed_condition{{condition="waiting",{FEED}}} 1.0' in text
    feed.take(outlook([Interval(NINE_S, NINE_S + 86_400, 5.0, NINE_S)], "usd_per_mwh", "market"), NINE_S)
    feed.fail("status 500")
    clock.advance(3600.0)
    text = generate_latest(registry).decode()
    assert f"feed_age_seconds{{{FEED}}} 3600.0" in text
    assert f"feed_ahead_seconds{{{FEED}}} 82800.0" in text
    assert f'feed_condition{{condition="stale",{FEED}}} 1.0' in text
    assert f"feed_errors_total{{{FEED}}} 1.0" in text
    assert f"feed_answers_total{{{FEED}}} 1.0" in text
    assert f'feed_info{{{FEED},quality="published",source="market"}} 1.0' in text
    assert "carbon" not in text
