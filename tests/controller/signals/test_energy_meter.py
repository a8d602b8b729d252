from dataclasses import replace

import pytest

from controller.model.observation import Missing
from controller.signals.energy_meter import EnergyMeter
from tests.fakes.controller_parts import reading


def test_the_counter_is_preferred():
    meter = EnergyMeter()
    assert meter.take(reading(100.0, 0.0, 5000.0)) == 0
    assert meter.take(reading(100.0, 10.0, 7000.0)) == 2000


def test_power_is_integrated_where_there_is_no_counter_or_it_was_reset():
    meter = EnergyMeter()
    meter.take(reading(100.0, 0.0))
    assert meter.take(reading(300.0, 10.0)) == pytest.approx(2000)
    assert meter.take(reading(300.0, 20.0, 9000.0)) == pytest.approx(5000)
    assert meter.take(reading(300.0, 30.0, 10.0)) == pytest.approx(8000)


def test_missing_readings_are_bridged_but_not_a_long_hole():
    meter = EnergyMeter()
    meter.take(reading(100.0, 0.0))
    assert meter.take(Missing("x", "gone", 0.0)) == 0
    assert meter.take(reading(100.0, 20.0)) == pytest.approx(2000)
    assert meter.take(reading(100.0, 500.0)) == pytest.approx(2000)


def test_the_same_reading_twice_counts_once():
    meter = EnergyMeter()
    for at_s in (0.0, 10.0, 10.0, 5.0):
        meter.take(reading(100.0, at_s))
    assert meter.total_j == pytest.approx(1000)
    assert meter.take(reading(100.0, 20.0)) == pytest.approx(2000)


def test_counters_of_two_sources_are_not_subtracted():
    meter = EnergyMeter()
    meter.take(reading(100.0, 0.0, 5000.0))
    assert meter.take(replace(reading(300.0, 10.0, 9e12), source="another")) == pytest.approx(2000)
    assert meter.take(replace(reading(300.0, 20.0, 9e12 + 2500), source="another")) == pytest.approx(4500)
