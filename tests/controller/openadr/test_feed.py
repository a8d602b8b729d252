from controller.model.grid import Series
from controller.model.observation import Missing
from controller.openadr.feed import SpanFeed
from tests.controller.openadr.test_follow import NONE, TERMS, desk, event
from tests.controller.openadr.test_schedule import FIVE
from tests.fakes.vtn.server import interval


def test_a_feed_tells_what_events_tell_and_follows_their_changes():
    feed, (own, _) = SpanFeed("utility", "carbon_kg_per_mwh"), desk()
    assert isinstance(feed.read(FIVE), Missing)
    feed.bind(own)
    assert "no event of openadr:utility tells it" in feed.read(FIVE).reason
    own.take(event(interval(0, "GHG", 310)), TERMS, NONE, FIVE)
    series = feed.read(FIVE)
    assert isinstance(series, Series)
    assert (series.values, series.unit, series.source) == ((310.0,), "carbon_kg_per_mwh", "openadr:utility")
    own.take(event(interval(0, "GHG", 290)), TERMS, NONE, FIVE + 1)
    assert feed.read(FIVE + 1).values == (290.0,)
    assert isinstance(feed.read(FIVE + 3600), Missing)
