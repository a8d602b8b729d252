import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from controller.lifecycle.policy import TickPolicy
from controller.model.observation import Rung
from controller.power_settings import PowerLadderSettings
from controller.settings import SignalSettings
from controller.signals.power.ladder import LadderRules
from controller.signals.power.modbus_meter import Register
from controller.signals.power.specs import AgentSpec, CsvSpec, DcgmSpec, NvmlSpec, ZeusdSpec, rung_of


def signals(text: str) -> SignalSettings:
    return SignalSettings.model_validate(yaml.safe_load(text))


def refusal(text: str) -> str:
    with pytest.raises(ValidationError) as caught:
        signals(text)
    return str(caught.value)


def test_the_short_form_is_a_source_of_dcgm_and_comes_first():
    specs = signals(
        "{dcgm_urls: ['http://a:9400/metrics'], power: [{kind: dcgm, urls: ['http://b:9400/metrics']}, {kind: nvml}]}"
    ).power_specs()
    assert [name for name, _ in specs.gpus] == ["dcgm", "dcgm-2", "nvml"]
    assert specs.gpus[0][1].urls == ("http://a:9400/metrics",)
    assert [rung_of(spec) for _, spec in specs.gpus] == [Rung.DCGM, Rung.DCGM, Rung.NVML]


def test_without_anything_the_ladder_is_as_in_code():
    specs = signals("{}").power_specs()
    assert (specs.gpus, specs.meters, specs.rules) == ((), (), LadderRules())


def test_every_kind_of_gpu_source():
    specs = dict(
        signals(
            """
            timeout_s: 0.7
            power:
              - {kind: nvml, interval_s: 0.5}
              - {kind: agent, urls: ["https://n1:9410"], token_file: /run/t, ca_file: /ca.pem}
              - {kind: zeusd, url: "unix:/run/zeusd/zeusd.sock", gpu_uuids: [GPU-a]}
              - {kind: dcgm, urls: ["http://n1:9400/metrics"], uuid_labels: [exported_UUID], power_metric: w}
              - {kind: promql, url: "http://p:9090", user: op, token_file: /run/p}
              - {kind: csv, name: old, path: a.csv, data_start: 2026-03-01T00:00:00Z, speed: 2}
            """
        )
        .power_specs()
        .gpus
    )
    assert specs["nvml"] == NvmlSpec(0.5)
    assert isinstance(specs["agent"], AgentSpec)
    assert (specs["agent"].http.token_file, specs["agent"].http.timeout_s) == (Path("/run/t"), 0.7)
    assert isinstance(specs["zeusd"], ZeusdSpec)
    assert isinstance(specs["dcgm"], DcgmSpec)
    assert (specs["dcgm"].names.power, specs["dcgm"].names.uuid_labels) == ("w", ("exported_UUID",))
    assert specs["promql"].queries.power == "DCGM_FI_DEV_POWER_USAGE[1m]"
    assert isinstance(specs["old"], CsvSpec)
    assert (specs["old"].times.data_start_s, specs["old"].times.speed) == (1772323200.0, 2.0)


def test_every_kind_of_meter_with_its_unit_and_sign():
    meters = dict(
        signals(
            """
            meter:
              - kind: modbus
                host: 10.0.0.9
                unit_id: 3
                power: {address: 100, type: int32, word_order: little, scale: 0.1}
                unit: kW
                positive: export
                energy: {address: 200, type: uint64}
                energy_unit: kWh
              - {kind: promql, url: "http://p:9090", power_query: "m[1m]", unit: MW}
              - {kind: csv, path: m.csv}
            """
        )
        .power_specs()
        .meters
    )
    assert meters["modbus"].power == Register(100, "holding", "int32", "little", -100.0)
    assert meters["modbus"].energy.scale == 3.6e6
    assert (meters["promql"].queries.w_per_unit, meters["promql"].queries.j_per_unit) == (1e6, 3.6e6)
    assert meters["csv"].path == Path("m.csv")


def test_rules_of_the_ladder():
    rules = signals("{stale_s: 20, power_ladder: {hold_s: 5, conflict_frac: 0.2, site_conflict_frac: 0.3}}")
    rules = rules.power_specs().rules
    assert (rules.stale_s, rules.hold_s, rules.gpus.frac, rules.site.frac) == (20.0, 5.0, 0.2, 0.3)


def test_a_meter_need_not_be_compared():
    assert signals("{power_ladder: {site_conflict_frac: null}}").power_specs().rules.site is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{power: [{kind: ipmi}]}", "'dcgm', 'promql', 'nvml', 'agent', 'zeusd', 'csv'"),
        ("{power: [{kind: dcgm, urls: []}]}", "at least 1 item"),
        ("{power: [{kind: dcgm, urls: ['10.0.0.7:9400']}]}", "write http://HOST:PORT"),
        ("{power: [{kind: agent, urls: ['http://me:s3cret@n1']}]}", "write user and token_file"),
        ("{power: [{kind: agent, urls: ['http://n1'], key_file: k}]}", "go together"),
        ("{power: [{kind: agent, urls: ['http://n1'], user: me}]}", "user needs token_file"),
        ("{power: [{kind: zeusd, url: 'http://n1:4938'}]}", "gpu_uuids"),
        ("{power: [{kind: zeusd, url: 'unix:zeusd.sock', gpu_uuids: [a]}]}", "write unix:/run/zeusd/zeusd.sock"),
        ("{power: [{kind: promql, url: 'http://p', power_query: null, energy_query: null}]}", "one of power_query"),
        ("{power: [{kind: promql, url: 'http://p', power_query: 'sum(x)'}]}", "add time_query"),
        ("{power: [{kind: csv, path: a.csv, data_start: 2026-03-01T00:00:00}]}", "no time zone"),
        ("{power: [{kind: nvml, name: a}, {kind: nvml, name: a}]}", "'a' names more than one"),
        ("{meter: [{kind: promql, url: 'http://p', power_query: 'm[1m]'}]}", "unit"),
        ("{meter: [{kind: promql, url: 'http://p', power_query: 'm', unit: kW}]}", "time of the query"),
        ("{meter: [{kind: modbus, host: m, unit: kW, power: {address: 70000}}]}", "65535"),
        ("{meter: [{kind: modbus, host: m, unit: kW, power: {address: 7, scale: -1}}]}", "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    assert told in refusal(text)


def test_what_the_documentation_shows_is_valid():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "power.md").read_text()
    blocks = [yaml.safe_load(block)["signals"] for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert len(blocks) == 2
    for block in blocks:
        assert SignalSettings.model_validate(block).power_specs()


def test_the_defaults_that_the_documentation_tells_are_those_of_the_code():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "power.md").read_text()
    ladder = PowerLadderSettings()
    margins = (ladder.nvml_margin_frac, ladder.dcgm_margin_frac, ladder.model_margin_frac)
    assert "| {:g}, {:g}, {:.2f} | 0 .. 0.5 |".format(*margins) in page
    assert f"| `hold_s` | {ladder.hold_s:g} |" in page
    assert f"| {ladder.conflict_frac:.2f}, {ladder.site_conflict_frac:.2f} |" in page
    assert f"| `alarm_after_s` | {ladder.alarm_after_s:g} |" in page
    policy = TickPolicy()
    assert margins == (policy.nvml_margin_frac, policy.dcgm_margin_frac, policy.blind_margin_frac)
