import pytest

from controller.units import joules_to_kwh, kg_of_energy, usd_of_energy


def test_energy_price_and_emissions():
    assert joules_to_kwh(7.2e6) == pytest.approx(2.0)
    assert usd_of_energy(3.6e9, 55.0) == pytest.approx(55.0)
    assert usd_of_energy(3.6e9, -20.0) == pytest.approx(-20.0)
    assert kg_of_energy(1.8e9, 400.0) == pytest.approx(200.0)
