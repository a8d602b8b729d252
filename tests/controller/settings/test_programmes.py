import re
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from controller.model.call import Asked, Commitment
from controller.model.grid import Precedence
from controller.model.programme import BaselineMethod, OnLoss, Programme
from controller.model.threshold import FeedSignal
from controller.settings.programmes import Programmes, ProgrammeSettings, programmes_of

HIGH = {"signal": "price_usd_per_mwh", "above": 300, "asks": {"at_most_w": 5000}}


def read(**entry):
    return programmes_of(TypeAdapter(Programmes).validate_python({"dr": entry}))["dr"]


def test_the_defaults_are_those_of_the_model():
    assert read() == Programme("dr")
    assert programmes_of({}) == {"operator": Programme("operator")}


def test_the_built_in_one_has_the_plans_window_before_an_event():
    assert programmes_of({}, 30.0)["operator"].baseline.window_s == 30.0
    assert programmes_of({"operator": ProgrammeSettings()}, 30.0)["operator"].baseline.window_s == 3600.0


def test_the_built_in_one_may_be_replaced():
    own = programmes_of({"operator": ProgrammeSettings(ramp_s=5.0)})
    assert own["operator"].ramp_s == 5.0


def test_everything_an_operator_writes_arrives():
    told = read(
        precedence="qos_over_contract",
        levels={1: {"below_baseline_frac": 0.1}, 3: {"at_most_w": 5000}, 0: {"nothing": True}},
        default_limit_w=4000,
        on_loss="fail_normal",
        baseline={"method": "10_of_10", "adjust_frac": 0.2, "clips_at_zero": True},
        rates={"missing_usd_per_mwh": 1150},
        timezone="America/Los_Angeles",
        holidays=["2026-12-25"],
        restore_w_per_s=50.0,
        thresholds=[HIGH, {"signal": "carbon_kg_per_mwh", "above": 500, "asks": {"below_baseline_frac": 0.2}}],
    )
    assert [(each.signal, each.above) for each in told.thresholds] == [
        (FeedSignal.PRICE, 300.0),
        (FeedSignal.CARBON, 500.0),
    ]
    assert told.precedence is Precedence.QOS
    assert told.on_loss is OnLoss.NORMAL
    assert told.levels == (
        (0, Commitment(Asked.NOTHING)),
        (1, Commitment(Asked.BELOW_BASELINE_FRAC, 0.1)),
        (3, Commitment(Asked.AT_MOST_W, 5000.0)),
    )
    assert told.level(3) == Commitment(Asked.AT_MOST_W, 5000.0)
    assert (told.baseline.method, told.baseline.adjust_frac) == (BaselineMethod.TEN_OF_TEN, 0.2)
    assert (told.rates.missing_usd_per_mwh, told.rates.delivered_usd_per_mwh) == (1150.0, None)
    assert (told.timezone, told.holidays, told.restore_w_per_s) == ("America/Los_Angeles", ("2026-12-25",), 50.0)


def test_what_the_reference_shows_is_valid_and_tells_every_key():
    text = (Path(__file__).parents[3] / "docs/reference/grid.md").read_text()
    (block,) = re.findall(r"```yaml\n(programmes:.*?)```", text, re.DOTALL)
    shown = programmes_of(TypeAdapter(Programmes).validate_python(yaml.safe_load(block)["programmes"]))
    assert shown["utility-dr"].level(2) == Commitment(Asked.BELOW_BASELINE_FRAC, 0.25)
    assert {key for key in ProgrammeSettings.model_fields if f"`{key}`" not in text} == set()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"levels": {1: {}}}, "one thing is asked for"),
        ({"levels": {1: {"at_most_w": 1, "nothing": True}}}, "one thing is asked for"),
        ({"levels": {1: {"below_baseline_frac": 10}}}, "less than or equal to 1"),
        ({"levels": {101: {"nothing": True}}}, "less than or equal to 100"),
        ({"least_w": 2, "most_w": 1}, "least_w is 2, more than most_w 1"),
        ({"most_w": 100, "default_limit_w": 200}, "default_limit_w is 200, outside"),
        ({"most_w": 100, "thresholds": [HIGH]}, "thresholds.0.asks.at_most_w is 5000, outside"),
        ({"thresholds": [HIGH, HIGH | {"least_s": 60}]}, "thresholds.1.above is 300, as another one of price"),
        ({"most_w": 100, "levels": {2: {"at_most_w": 200}}}, "levels.2.at_most_w is 200, outside"),
        ({"baseline": {"method": "maximum_base_load"}}, "needs maximum_w"),
        ({"baseline": {"adjust_frac": 0.2, "adjust_until_s": 20_000}}, "count back from the event's start"),
        ({"timezone": "Mars/Olympus"}, "write an IANA name"),
        ({"timezone": "../etc/passwd"}, "write an IANA name"),
        ({"holidays": ["yesterday"]}, "holidays"),
        ({"hold_s": 0}, "hold_s"),
        ({"limit_kw": 3}, "limit_kw"),
        ({"precedence": "money"}, "contract_over_qos"),
    ],
)
def test_what_means_nothing_is_refused_with_its_remedy(entry, problem):
    with pytest.raises(ValidationError, match=problem):
        read(**entry)
