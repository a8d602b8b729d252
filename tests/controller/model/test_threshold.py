from dataclasses import fields

from controller.model.observation import Observation
from controller.model.threshold import FeedSignal
from controller.service.feed_setup import NAMES
from controller.service.options import Feeds


def test_the_signals_are_those_that_feeds_tell_and_observations_hold():
    signals = tuple(signal.value for signal in FeedSignal)
    assert signals == NAMES == ("price_usd_per_mwh", "carbon_kg_per_mwh")
    assert tuple(field.name for field in fields(Feeds)) == signals
    assert set(signals) <= {field.name for field in fields(Observation)}
