"""The conversions between units; everywhere else a name's suffix tells its unit.

Conventions: power is positive when drawn from the grid; energy is kWh in plans and J in per-token figures; prices are
USD/MWh, emissions kg/MWh; intervals are [start, start + dt), UTC, labelled by their start; fractions are 0..1.
"""

J_PER_KWH = 3.6e6
J_PER_MWH = 3.6e9
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0


def joules_to_kwh(energy_j: float) -> float:
    """Energy in kWh."""
    return energy_j / J_PER_KWH


def usd_of_energy(energy_j: float, price_usd_per_mwh: float) -> float:
    """Cost in USD of an energy at a price."""
    return energy_j / J_PER_MWH * price_usd_per_mwh


def kg_of_energy(energy_j: float, carbon_kg_per_mwh: float) -> float:
    """Emissions in kg of an energy at an emission rate."""
    return energy_j / J_PER_MWH * carbon_kg_per_mwh
