import pytest

from controller.model.observation import Missing, Quality
from controller.signals.power.site_power import site_power
from tests.fakes.controller_parts import NOW_S, pool, reading, site

SITE = site(pool("a", ("http://a:1", "http://a:2"), gpus=1), gpus=4, pue=1.5, aux_w=100.0, spare_gpu_w=10.0)


def both(**changes):
    return {"GPU-a-0-0": reading(300.0), "GPU-a-1-0": reading(500.0), **changes}


def test_the_sum_with_overhead_spare_gpus_and_constant_load():
    power = site_power(SITE, both(), now_s=NOW_S, max_age_s=10)
    assert power.value_w == pytest.approx(1.5 * (800 + 2 * 10) + 100)
    assert power.quality is Quality.ESTIMATED
    assert power.energy_j is None


def test_gpus_of_others_do_not_count():
    power = site_power(SITE, both(other=reading(9999.0)), now_s=NOW_S, max_age_s=10)
    assert power.value_w == pytest.approx(1330)


def test_the_age_is_the_oldest_and_emulated_is_told():
    old = reading(300.0, NOW_S - 8, quality=Quality.EMULATED)
    power = site_power(SITE, both(**{"GPU-a-0-0": old}), now_s=NOW_S, max_age_s=10)
    assert power.observed_at_s == NOW_S - 8
    assert power.quality is Quality.EMULATED


def test_energy_grows_by_the_gpus_and_the_constant_load():
    def at(seconds, first_j, second_j):
        readings = {
            "GPU-a-0-0": reading(1.0, NOW_S + seconds, first_j),
            "GPU-a-1-0": reading(1.0, NOW_S + seconds, second_j),
        }
        return site_power(SITE, readings, now_s=NOW_S + seconds, max_age_s=10).energy_j

    assert at(10, 1300, 2500) - at(0, 1000, 2000) == pytest.approx(1.5 * 800 + 10 * (1.5 * 20 + 100), rel=1e-6)


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ({"GPU-a-0-0": reading(1.0)}, "GPU-a-1-0 is not shown"),
        (both(**{"GPU-a-1-0": Missing("x", "sensor fault", NOW_S)}), "GPU-a-1-0: sensor fault"),
        (both(**{"GPU-a-1-0": reading(1.0, NOW_S - 60)}), "GPU-a-1-0 is 60 s old, 10 s are allowed"),
    ],
)
def test_one_gpu_that_is_not_known_makes_the_sum_missing_and_is_named(readings, told):
    power = site_power(SITE, readings, now_s=NOW_S, max_age_s=10)
    assert isinstance(power, Missing)
    assert told in power.reason
    assert power.reason.startswith("1 of 2 GPUs")


def test_many_missing_gpus_are_not_all_named():
    power = site_power(site(pool("a", tuple(f"http://a:{n}" for n in range(9)))), {}, now_s=NOW_S, max_age_s=10)
    assert "18 of 18" in power.reason
    assert "and 15 more" in power.reason


def test_a_fleet_without_gpus_is_missing_not_zero():
    assert isinstance(site_power(site(pool("a", ("http://a:1",), gpus=0)), {}, now_s=NOW_S, max_age_s=10), Missing)
