import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.agent.hub import Hub
from controller.agent.identity import Identity
from controller.agent.metrics import exposition
from controller.agent.options import AgentOptions
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.dcgm import gpus_of
from controller.signals.power.nvml_gpu import Method, Moment
from controller.signals.power.nvml_reader import GpuState, NvmlSnapshot
from controller.signals.prometheus_text import parse

T = 1_763_750_000.0
SNAPSHOT = NvmlSnapshot(
    Moment(T, 0.0),
    driver="580.95.05",
    gpus=(
        GpuState(
            "GPU-a",
            'H100 "80GB"',
            Method.ENERGY_COUNTER,
            Reading(412.5, 8812.3451, T - 0.5, "nvml energy counter", Quality.DIRECT),
        ),
        GpuState("GPU-b", "H100", Method.ENERGY_COUNTER, Missing("nvml", "lost", T - 9)),
    ),
    events={"reset": 2, "lost": 1},
)


def samples(snapshot=SNAPSHOT, dcgm_names=False):
    text = exposition(
        snapshot, Hub(4), Identity(AgentOptions(), {}), node="node-1", now_s=T, dcgm_names=dcgm_names
    ).decode()
    return {
        (s.name, s.labels.get("uuid") or s.labels.get("UUID") or s.labels.get("event", "")): s
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_power_and_energy_come_by_uuid_model_and_node():
    power = samples()["wattroute_agent_gpu_power_watts", "GPU-a"]
    assert power.value == 412.5
    assert power.labels == {"uuid": "GPU-a", "model": 'H100 "80GB"', "node": "node-1"}
    assert samples()["wattroute_agent_gpu_energy_joules_total", "GPU-a"].value == 8812.3451
    assert samples()["wattroute_agent_gpu_reading_age_seconds", "GPU-a"].value == 0.5
    assert samples()["wattroute_agent_gpu_source", "GPU-a"].labels["source"] == "nvml energy counter"


def test_a_missing_gpu_has_no_power_rather_than_none():
    shown = samples()
    assert shown["wattroute_agent_gpu_up", "GPU-b"].value == 0
    assert shown["wattroute_agent_gpu_up", "GPU-a"].value == 1
    assert ("wattroute_agent_gpu_power_watts", "GPU-b") not in shown
    assert ("wattroute_agent_gpu_energy_joules_total", "GPU-b") not in shown


def test_events_are_counted_from_zero():
    shown = samples()
    assert shown["wattroute_agent_events_total", "reset"].value == 2
    assert shown["wattroute_agent_events_total", "wrap"].value == 0


def test_an_agent_without_nvml_says_so():
    shown = samples(NvmlSnapshot(Moment(T, 0.0)))
    assert shown["wattroute_agent_nvml_up", ""].value == 0
    assert not math.isnan(shown["wattroute_agent_streams", ""].value)


@pytest.mark.parametrize("dcgm_names", [False, True])
def test_dcgm_names_are_shown_only_if_asked_for_and_read_as_an_exporter_s(dcgm_names):
    text = exposition(
        SNAPSHOT, Hub(4), Identity(AgentOptions(), {}), node="node-1", now_s=T, dcgm_names=dcgm_names
    ).decode()
    names = ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")
    read = gpus_of(parse(text, names))
    assert set(read) == ({"GPU-a"} if dcgm_names else set())
    if dcgm_names:
        assert (read["GPU-a"].power_w, read["GPU-a"].energy_j) == (412.5, pytest.approx(8812.345))
