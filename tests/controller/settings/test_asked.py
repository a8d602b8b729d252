import pytest
from pydantic import ValidationError

from controller.model.call import Asked, Commitment
from controller.model.threshold import FeedSignal, Threshold
from controller.settings.asked import ThresholdSettings
from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, refusal, write

HIGH = {"signal": "price_usd_per_mwh", "above": 300, "asks": {"below_baseline_frac": 0.2}}
PROGRAMME = """programmes:
  spike:
    thresholds: [{signal: carbon_kg_per_mwh, above: 500, asks: {at_most_w: 5000}}]
"""


def test_it_ends_below_what_it_begins_above_unless_told_otherwise():
    asks = Commitment(Asked.BELOW_BASELINE_FRAC, 0.2)
    assert ThresholdSettings(**HIGH).threshold() == Threshold(FeedSignal.PRICE, 300.0, 300.0, asks)
    told = ThresholdSettings(**HIGH, until_below=-20, least_s=900).threshold()
    assert told == Threshold(FeedSignal.PRICE, 300.0, -20.0, asks, 900.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"until_below": 301}, "until_below is 301, more than above, 300"),
        ({"asks": {"nothing": True}}, "asks is nothing: true"),
        ({"asks": {}}, "one thing is asked for"),
        ({"asks": {"at_most_w": -1}}, "at_most_w"),
        ({"signal": "price"}, "price_usd_per_mwh"),
        ({"above": float("nan")}, "finite"),
        ({"above": 1e7}, "less than or equal to"),
        ({"least_s": 90_000}, "86400"),
    ],
)
def test_what_means_nothing_is_refused_with_its_remedy(change, problem):
    with pytest.raises(ValidationError, match=problem):
        ThresholdSettings(**HIGH | change)


@pytest.mark.parametrize(
    ("feed", "problem"),
    [
        ("", "programmes.spike.thresholds.0: signals.carbon_kg_per_mwh has no feed; add one"),
        ("signals: {carbon_kg_per_mwh: {kind: constant, value: 400}}\n", "is constant, always above or never"),
        ("signals: {price_usd_per_mwh: {kind: energy_charts, zone: FR, usd_per_unit: 1}}\n", "has no feed"),
    ],
)
def test_a_threshold_without_a_feed_that_changes_is_refused(tmp_path, feed, problem):
    assert problem in refusal(tmp_path, MINIMAL + PROGRAMME + feed)


def test_a_threshold_with_its_feed_is_taken(tmp_path):
    feed = "signals: {carbon_kg_per_mwh: {kind: uk_carbon_intensity}}\n"
    settings = load(write(tmp_path, MINIMAL + PROGRAMME + feed))
    assert settings.programmes["spike"].programme("spike").thresholds[0].above == 500.0
