import pytest

from controller.errors import SignalError
from controller.signals.feeds.units import Money, kg_per_mwh

EUR, GBP = Money("EUR", 1.1), Money("GBP", 1.25)


@pytest.mark.parametrize(
    ("money", "unit", "factor"),
    [
        (EUR, "EUR/MWh", 1.1),
        (EUR, "EUR / MWh", 1.1),
        (EUR, "€/kWh", 1100.0),
        (EUR, "ct/kWh", 11.0),
        (EUR, "EUR/MWH", 1.1),
        (GBP, "p/kWh", 12.5),
        (GBP, "£/MWh", 1.25),
        (Money(), "$/kWh", 1000.0),
        (Money(), "c/kWh", 10.0),
        (Money(), "usd_per_mwh", 1.0),
    ],
)
def test_prices_become_usd_per_mwh(money, unit, factor):
    assert money.usd_per_mwh(unit, "feed") == pytest.approx(factor)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("lbs_co2_per_mwh", 0.45359237),
        ("lb/MWh", 0.45359237),
        ("gCO2eq/kWh", 1.0),
        ("g/kWh", 1.0),
        ("kg/kWh", 1000.0),
        ("kgCO2/MWh", 1.0),
        ("tCO2/MWh", 1000.0),
    ],
)
def test_rates_become_kg_per_mwh(unit, factor):
    assert kg_per_mwh(unit, "feed") == pytest.approx(factor)


@pytest.mark.parametrize(
    ("money", "unit", "says"),
    [
        (EUR, "GBP/MWh", "prices come in GBP; set currency: GBP, and usd_per_unit"),
        (EUR, "p/kWh", "prices come in GBP"),
        (EUR, "EUR/MW", "price of power, not of energy; configure a feed in eur/mwh"),
        (EUR, "EUR", "not a price of energy"),
        (EUR, "euro/MWh", "no price of energy"),
        (EUR, "EUR/day", "no price of energy"),
        (EUR, "E" * 99, "EE' ... is not"),
        (Money("EUR"), "EUR/MWh", "set usd_per_unit, how many USD one EUR is"),
    ],
)
def test_what_is_no_price_is_refused_with_the_remedy(money, unit, says):
    with pytest.raises(SignalError, match=says):
        money.usd_per_mwh(unit, "feed")


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        ("percentile", "ranks the present rate"),
        ("g/kW", "rate of power"),
        ("EUR/MWh", "no emission rate"),
        ("", "not an"),
    ],
)
def test_what_is_no_rate_is_refused(unit, says):
    with pytest.raises(SignalError, match=says):
        kg_per_mwh(unit, "feed")
