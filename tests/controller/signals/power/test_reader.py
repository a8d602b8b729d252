import asyncio
import math

import pytest

from controller.errors import SignalError
from controller.model.observation import Missing, Quality, Reading, Rung
from controller.signals.power.meter_scope import MeterScope
from controller.signals.power.reader import PowerReader, PowerSources
from controller.signals.power.source import NamedGpus, NamedMeter
from tests.fakes.controller_parts import NOW_S, pool, reading, site
from tests.fakes.fixed_source import Fixed

SITE = site(pool("a", ("http://a:1",), gpus=1))
UUID = "GPU-a-0-0"


async def test_a_source_that_hangs_or_breaks_hides_no_other():
    sources = PowerSources(
        (
            NamedGpus("agent", Rung.NVML, Fixed(asyncio.sleep)),
            NamedGpus("nvml", Rung.NVML, Fixed(RuntimeError("boom"))),
            NamedGpus("dcgm", Rung.DCGM, Fixed(({UUID: reading(300.0)}, (SignalError("http://b", "down"),)))),
        ),
        (NamedMeter("main", Fixed(asyncio.sleep)), NamedMeter("spare", Fixed(OSError("gone")))),
    )
    view = await PowerReader(SITE, sources, 0.1).read(NOW_S)
    assert view.gpu_power[UUID].value_w == 300.0
    assert (view.ladder.rung, view.ladder.best) == (Rung.DCGM, Rung.METER)
    told = {state.name: state.error for state in view.ladder.sources}
    assert told == {
        "agent": "no result within 0.1 s",
        "nvml": "RuntimeError: boom",
        "dcgm": "http://b: down",
        "main": "no result within 0.1 s",
        "spare": "OSError: gone",
    }


@pytest.mark.parametrize("value_w", [1e30, -1e30, math.nan, math.inf])
async def test_what_no_site_draws_is_not_the_sites_power(value_w):
    meter = Reading(value_w, None, NOW_S, "meter", Quality.DIRECT)
    view = await PowerReader(SITE, PowerSources(meters=(NamedMeter("main", Fixed(meter)),)), 1.0).read(NOW_S)
    assert isinstance(view.site_power, Missing)


async def test_a_meter_is_read():
    meter = Reading(5000.0, None, NOW_S, "meter", Quality.DIRECT)
    sources = PowerSources(meters=(NamedMeter("main", Fixed(meter)),))
    view = await PowerReader(SITE, sources, 0.1).read(NOW_S)
    assert view.site_power == meter
    assert isinstance(view.gpu_power[UUID], Missing)


async def test_a_meter_of_the_machines_stands_for_the_site_by_its_pue():
    loaded = site(pool("a", ("http://a:1",), gpus=1), pue=1.25, aux_w=9000.0)
    machines = Reading(8000.0, None, NOW_S, "machines", Quality.DIRECT)
    scope = MeterScope(is_it=True, aux_w=400.0, error_frac=0.05)
    sources = PowerSources(meters=(NamedMeter("bmc", Fixed(machines), scope),))
    view = await PowerReader(loaded, sources, 0.1).read(NOW_S)
    assert view.site_power.value_w == pytest.approx(1.25 * 8000 + 400)
    assert (view.ladder.rung, view.ladder.error_frac) == (Rung.METER, 0.05)
    gone = PowerSources(meters=(NamedMeter("bmc", Fixed(asyncio.sleep), scope),))
    assert isinstance((await PowerReader(loaded, gone, 0.1).read(NOW_S)).site_power, Missing)


async def test_what_no_machines_draw_is_not_brought_to_the_site():
    meter = NamedMeter("bmc", Fixed(Reading(9e30, None, NOW_S, "machines", Quality.DIRECT)), MeterScope(is_it=True))
    view = await PowerReader(SITE, PowerSources(meters=(meter,)), 1.0).read(NOW_S)
    assert "9e+30 W is no site's power" in view.site_power.reason
