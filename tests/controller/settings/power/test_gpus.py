from pathlib import Path

import pytest

from controller.model.observation import Rung
from controller.signals.power.specs import AgentSpec, CsvSpec, DcgmSpec, NvmlSpec, ZeusdSpec, rung_of
from tests.fakes.power_settings import refusal, signals


def test_the_short_form_is_a_source_of_dcgm_and_comes_first():
    specs = signals(
        "{dcgm_urls: ['http://a:9400/metrics'], power: [{kind: dcgm, urls: ['http://b:9400/metrics']}, {kind: nvml}]}"
    ).power_specs()
    assert [name for name, _ in specs.gpus] == ["dcgm", "dcgm-2", "nvml"]
    assert specs.gpus[0][1].urls == ("http://a:9400/metrics",)
    assert [rung_of(spec) for _, spec in specs.gpus] == [Rung.DCGM, Rung.DCGM, Rung.NVML]


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
              - {kind: promql, url: "https://p:9090", user: op, token_file: /run/p}
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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{power: [{kind: ipmi}]}", "'dcgm', 'promql', 'nvml', 'agent', 'zeusd', 'csv'"),
        ("{power: [{kind: dcgm, urls: []}]}", "at least 1 item"),
        ("{power: [{kind: zeusd, url: 'http://n1:4938'}]}", "gpu_uuids"),
        ("{power: [{kind: zeusd, url: 'unix:zeusd.sock', gpu_uuids: [a]}]}", "write unix:/run/zeusd/zeusd.sock"),
        ("{power: [{kind: promql, url: 'http://p', power_query: null, energy_query: null}]}", "one of power_query"),
        ("{power: [{kind: promql, url: 'http://p', power_query: 'sum(x)'}]}", "add time_query"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, told):
    assert told in refusal(text)
