from pathlib import Path

import pytest

from controller.settings.file import load
from controller.signals.power.meter_scope import MeterScope
from tests.fakes import controller_files
from tests.fakes.power_settings import refusal, signals

KINDS = (
    "kind: modbus, host: m, unit: kW, power: {address: 7}",
    "kind: promql, url: 'http://p', power_query: 'm[1m]', unit: MW",
    "kind: csv, path: m.csv",
    "kind: redfish, urls: ['https://b/redfish/v1/Chassis/1/Power'], error_frac: null",
)


def scope(meter):
    ((_, spec),) = signals(f"{{meter: [{{{meter}}}]}}").power_specs().meters
    return spec.scope


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_may_see_the_machines_or_the_site_with_an_error_of_its_own(kind):
    assert scope(f"{kind}, meters: it, aux_w: 300") == MeterScope(is_it=True, aux_w=300.0)
    assert scope(f"{kind}, meters: site") == MeterScope()
    wide = kind.replace("error_frac: null", "meters: site")
    assert scope(f"{wide}, error_frac: 0.02") == MeterScope(error_frac=0.02)


def test_a_meter_is_the_sites_unless_it_is_told_or_asks_machines():
    assert [scope(kind).is_it for kind in KINDS] == [False, False, False, True]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("aux_w: 300", "write meters: it, or drop it"),
        ("meters: it, aux_w: -1", "greater than or equal to 0"),
        ("meters: gpus", "'site' or 'it'"),
        ("error_frac: 0.6", "less than or equal to 0.5"),
        ("error_frac: -0.1", "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(more, told):
    assert told in refusal(f"{{meter: [{{{KINDS[0]}, {more}}}]}}")


def file(site, more):
    return f"{controller_files.MINIMAL}site: {site}\nsignals: {{meter: [{{{KINDS[0]}}}, {{{KINDS[2]}, {more}}}]}}\n"


@pytest.mark.parametrize(
    ("site", "more", "told"),
    [
        ("{}", "meters: it", "signals.meter.1 sees the machines alone: write site.pue"),
        ("{aux_w: 900}", "meters: it, aux_w: 0", "write site.pue"),
        (
            "{pue: 1.2, aux_w: 900}",
            "meters: it",
            "signals.meter.1.aux_w is absent: write how much of the site's constant 900 W",
        ),
    ],
)
def test_what_the_meter_does_not_see_must_be_told(tmp_path: Path, site, more, told):
    assert told in controller_files.refusal(tmp_path, file(site, more))


@pytest.mark.parametrize(
    ("site", "more"),
    [
        ("{pue: 1.0}", "meters: it"),
        ("{pue: 1.2, aux_w: 900}", "meters: it, aux_w: 0"),
        ("{aux_w: 900}", "meters: site"),
    ],
)
def test_what_the_meter_does_not_see_is_told(tmp_path: Path, site, more):
    assert load(controller_files.write(tmp_path, file(site, more)))
