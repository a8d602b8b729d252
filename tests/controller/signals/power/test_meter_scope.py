import pytest

from controller.model.observation import Missing, Quality
from controller.signals.power.meter_scope import MeterScope, at_metering_point
from tests.fakes.controller_parts import NOW_S, pool, reading, site

SITE = site(pool("a", ("http://a:1",)), pue=1.25, aux_w=9000.0)
IT = MeterScope(is_it=True, aux_w=400.0)


def test_a_meter_of_the_site_is_taken_at_its_word():
    metered = reading(-5000.0)
    assert at_metering_point(metered, MeterScope(), SITE) is metered


def test_machines_stand_for_pue_times_their_power_and_the_constant_load_beside_them():
    power = at_metering_point(reading(8000.0, NOW_S - 4), IT, SITE)
    assert power.value_w == pytest.approx(1.25 * 8000 + 400)
    assert (power.observed_at_s, power.quality) == (NOW_S - 4, Quality.ESTIMATED)
    assert power.source == "a test at PUE 1.25"


def test_the_constant_load_that_stands_for_the_hosts_is_not_added_to_metered_ones():
    assert at_metering_point(reading(8000.0), MeterScope(is_it=True), SITE).value_w == pytest.approx(10_000)


def test_energy_grows_by_the_machines_and_the_constant_load():
    def energy_j(after_s, machines_j):
        return at_metering_point(reading(8000.0, NOW_S + after_s, machines_j), IT, SITE).energy_j

    assert energy_j(10, 580_000.0) - energy_j(0, 500_000.0) == pytest.approx(10 * (1.25 * 8000 + 400), rel=1e-6)


def test_emulated_stays_emulated_and_missing_stays_missing():
    assert at_metering_point(reading(1.0, quality=Quality.EMULATED), IT, SITE).quality is Quality.EMULATED
    gone = Missing("bmc", "unplugged", NOW_S)
    assert at_metering_point(gone, IT, SITE) is gone


def test_machines_that_feed_something_back_are_missing():
    told = at_metering_point(reading(-8000.0), IT, SITE)
    assert isinstance(told, Missing)
    assert told.reason == "-8000 W is no power of machines; look at its sign, or write meters: site"
