import pytest

from controller.errors import MessageError
from controller.openadr.messages import EventDescriptor
from controller.openadr.quantities import kg_per_mwh, share, usd_per_mwh, watts


@pytest.mark.parametrize(("units", "factor"), [(None, 1e3), ("KW", 1e3), ("kW", 1e3), ("MW", 1e6), ("W", 1.0)])
def test_power_is_in_kw_unless_said(units, factor):
    assert watts(EventDescriptor("IMPORT_CAPACITY_LIMIT", units), "d") == factor


@pytest.mark.parametrize("units", ["KWH", "PERCENT", "KVA", "AMPS", "horses", ""])
def test_what_is_no_power_is_refused_and_told(units):
    if units == "":
        assert watts(EventDescriptor("X", units), "d") == 1e3
        return
    with pytest.raises(MessageError, match=rf"d\.units: '{units}' is not a power of X; known are W, KW, MW"):
        watts(EventDescriptor("X", units), "d")


def test_prices_are_turned_to_usd_per_mwh():
    rates = {"USD": 1.0, "EUR": 1.1}
    assert usd_per_mwh(EventDescriptor("PRICE", "KWH", "USD"), rates, "d") == 1000.0
    assert usd_per_mwh(EventDescriptor("PRICE", None, "eur"), rates, "d") == pytest.approx(1100.0)
    assert usd_per_mwh(EventDescriptor("PRICE", "MWH", "USD"), rates, "d") == 1.0


def test_a_currency_without_a_rate_is_refused():
    with pytest.raises(MessageError, match=r"d\.currency: prices come in 'GBP'; configure usd_per_unit"):
        usd_per_mwh(EventDescriptor("PRICE", "KWH", "GBP"), {"USD": 1.0}, "d")
    with pytest.raises(MessageError, match="prices name no currency; configure currency, the one that they are in"):
        usd_per_mwh(EventDescriptor("PRICE", "KWH"), {"USD": 1.0}, "d")
    assert usd_per_mwh(EventDescriptor("PRICE", "KWH"), {"": 1.0}, "d") == 1000.0


def test_a_price_of_power_is_refused():
    with pytest.raises(MessageError, match="'KW' is not an energy that is priced"):
        usd_per_mwh(EventDescriptor("PRICE", "KW", "USD"), {"USD": 1.0}, "d")


def test_emissions_of_a_gram_a_kwh_are_a_kilogram_a_mwh():
    assert kg_per_mwh(EventDescriptor("GHG"), "d") == 1.0
    assert kg_per_mwh(EventDescriptor("GHG", "g/kWh"), "d") == 1.0
    with pytest.raises(MessageError, match="'lb/MWh' is not an emission rate"):
        kg_per_mwh(EventDescriptor("GHG", "lb/MWh"), "d")


def test_a_percentage_is_written_as_a_share():
    assert share(EventDescriptor("X"), "d") == share(EventDescriptor("X", "percent"), "d") == 1.0
    with pytest.raises(MessageError, match=r"'KW' is not a percentage of X; known are PERCENT"):
        share(EventDescriptor("X", "KW"), "d")
