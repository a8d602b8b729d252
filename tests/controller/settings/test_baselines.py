import pytest
from pydantic import TypeAdapter, ValidationError

from controller.model.programme import AdjustForm, BaselineMethod, BaselineRule, RegressionRule, RegressionTerm
from controller.settings.baselines import BaselineSettings

SETTINGS = TypeAdapter(BaselineSettings)


def rule(**entry):
    return SETTINGS.validate_python(entry).rule()


def test_nothing_said_is_the_models_own_default():
    assert rule() == BaselineRule()


def test_pjm_is_two_words():
    told = rule(method="high_4_of_5", adjust_form="additive")
    assert (told.method, told.adjust_form, told.adjust_frac) == (
        BaselineMethod.HIGH_FOUR_OF_FIVE,
        AdjustForm.ADDITIVE,
        0.0,
    )


def test_a_regression_by_the_hour_and_a_column():
    told = rule(
        method="regression",
        regression={"terms": ["hour_of_day", "column"], "column": {"file": "w.csv", "time": "at", "value": "degc"}},
    )
    terms = (RegressionTerm.HOUR_OF_DAY, RegressionTerm.COLUMN)
    assert told.regression == RegressionRule(terms, "w.csv", "at", "degc", 0.2)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"method": "maximum_base_load"}, "needs maximum_w"),
        ({"method": "high_4_of_5", "of_days": 5}, "takes 4 of 5 weekdays"),
        ({"method": "10_of_10", "regression": {"terms": ["hour_of_day"]}}, "is of the method regression alone"),
        ({"method": "regression", "regression": {"terms": []}}, "at least 1 item"),
        ({"method": "regression", "regression": {"terms": ["hour_of_day", "hour_of_day"]}}, "one twice"),
        ({"method": "regression", "regression": {"terms": ["column"]}}, "go together"),
        ({"method": "regression", "regression": {"column": {"file": "w.csv"}}}, "go together"),
        ({"method": "regression", "regression": {"terms": ["moon"]}}, "hour_of_day"),
        ({"method": "regression", "regression": {"most_rrmse_frac": 0}}, "greater than 0"),
        ({"adjust_form": "additive", "adjust_until_s": 14_400}, "both count back"),
        ({"adjust_frac": 0.2, "adjust_from_s": 60, "adjust_until_s": 60}, "both count back"),
        ({"method": "high_5_of_4"}, "high_4_of_5"),
    ],
)
def test_what_makes_no_rule_is_refused_with_its_remedy(entry, problem):
    with pytest.raises(ValidationError, match=problem):
        SETTINGS.validate_python(entry)
