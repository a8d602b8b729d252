from controller.model.threshold import FeedSignal
from controller.service.feed_setup import NAMES


def test_the_signals_are_those_that_feeds_tell():
    assert tuple(signal.value for signal in FeedSignal) == NAMES
