import pytest

from controller.forecast.policy import DemandForecast, ForecastPolicy


def test_a_quantile_above_the_mean_is_planned_unless_told_otherwise():
    assert ForecastPolicy().demand is DemandForecast.BEST
    assert 0.5 < ForecastPolicy().demand_quantile < 1.0


def test_the_words_of_the_configuration_are_those_of_the_policy():
    assert [DemandForecast(word) for word in ("best", "present")] == list(DemandForecast)
    with pytest.raises(ValueError, match="mean"):
        DemandForecast("mean")
