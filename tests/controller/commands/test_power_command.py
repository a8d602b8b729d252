import asyncio
import json
from pathlib import Path

import pytest

from controller.clock import SystemClock, VirtualClock
from controller.commands.power_command import look, run, told, watch
from controller.errors import ConfigError
from controller.lifecycle.policy import TickPolicy
from controller.model.observation import Missing, PowerConflict, PowerLadder, PowerSourceState, Rung
from controller.settings.file import load
from controller.signals.power.csv_replay import ReplayTimes
from controller.signals.power.ladder import PowerView
from controller.signals.power.redfish_meter import RedfishSpec
from controller.signals.power.specs import CsvSpec, PowerSpecs
from controller.signals.present import Present
from tests.fakes.controller_parts import NOW_S, pool, reading, site
from tests.fakes.fake_bmc import ENVIRONMENT, PASSWORD, USER, environment, running_bmc
from tests.fakes.http_stub import http_stub
from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.samples import endpoint, endpoint_slice
from tests.fakes.kube.server import kube_server

SITE = site(pool("a", ("http://a:1",)))
A, B = "GPU-a-0-0", "GPU-a-0-1"
CURVES = "qwen3-235b-a22b/bf16/8xh100"
LAPTOP = Path(__file__).parents[3] / "deploy" / "examples" / "laptop.yaml"


def recorded(folder: Path, *rows: str) -> Path:
    file = folder / "gpus.csv"
    file.write_text("\n".join(("time,uuid,power_w", *rows)) + "\n")
    return file


async def test_sources_are_read_for_a_while(tmp_path):
    file = recorded(tmp_path, f"0,{A},300", f"0,{B},300", f"4,{A},500")
    clock = VirtualClock(NOW_S)
    specs = PowerSpecs((("old", CsvSpec(file, ReplayTimes())),))
    view = await watch(Present(SITE), specs, clock, seconds=5.0, timeout_s=1.0)
    assert clock.wall_s() == NOW_S + 5
    assert (view.gpu_power[A].value_w, view.gpu_power[B].value_w) == (500.0, 300.0)


def test_what_is_known_and_who_disagrees_stands_in_a_few_lines():
    ladder = PowerLadder(
        Rung.DCGM,
        Rung.NVML,
        "agent is silent",
        (PowerConflict(A, "agent", 500.0, "dcgm", 400.0, NOW_S),),
        (
            PowerSourceState("agent", Rung.NVML, 0, None, "silent for 5 s"),
            PowerSourceState("dcgm", Rung.DCGM, 2, 1.5, None),
        ),
    )
    view = PowerView({A: reading(500.0), B: reading(300.0)}, reading(800.0), ladder)
    lines = told(SITE, TickPolicy(), view, NOW_S + 1.5)
    assert lines[1:] == [
        "agent   nvml   0/2      -        silent for 5 s",
        "dcgm    dcgm   2/2      1.5 s    -",
        "site: 800 W, 1.5 s old, direct, from a test; rung dcgm, margin 7 %",
        "below nvml because: agent is silent",
        f"{A}: agent says 500 W, dcgm 400 W",
    ]


def test_gpus_that_nobody_shows_are_named():
    view = PowerView(
        {A: reading(500.0), B: Missing("gpus", "not shown", NOW_S)},
        Missing("sum of GPUs", "1 of 2 GPUs", NOW_S),
        PowerLadder(Rung.MODEL, Rung.DCGM),
    )
    lines = told(SITE, TickPolicy(), view, NOW_S)
    assert "site: power is not known: 1 of 2 GPUs; rung model, margin 10 %" in lines
    assert f"no source shows {B}" in lines


def configured(folder: Path, signals: str) -> Path:
    text = LAPTOP.read_text()
    file = folder / "wattroute.yaml"
    file.write_text(text.replace("  dcgm_urls: [http://127.0.0.1:9400/metrics]\n", signals))
    return file


def test_a_configuration_without_a_source_is_told_what_to_add(tmp_path):
    with pytest.raises(ConfigError, match=r"add signals\.power or signals\.meter"):
        run(load(configured(tmp_path, "")), seconds=0.0, as_json=False)


def test_a_meter_alone_is_enough(tmp_path, capsys):
    meter = tmp_path / "meter.csv"
    meter.write_text("time,power_w\n0,5000\n")
    settings = load(configured(tmp_path, f"  meter: [{{kind: csv, path: {meter}}}]\n"))
    assert run(settings, seconds=0.0, as_json=False) == 0
    assert "5000 W" in capsys.readouterr().out
    assert run(settings, seconds=0.0, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["ladder"]["rung"] == "meter"


async def test_machines_by_redfish_tell_the_sites_power_or_which_one_does_not(tmp_path):
    async with running_bmc({ENVIRONMENT: environment(4000)}) as first, running_bmc() as second:
        (tmp_path / "password").write_text(PASSWORD)
        meter = (
            f"  meter: [{{kind: redfish, urls: ['{first.url}', '{second.url}'], path: {ENVIRONMENT}, user: {USER}, "
            f"token_file: {tmp_path / 'password'}, aux_w: 300}}]\n"
        )
        settings, clock = load(configured(tmp_path, meter)), SystemClock()

        async def lines():
            specs = settings.signals.power_specs()
            present, view = await look(settings, specs, clock, seconds=0.0)
            return present.site(), told(present.site(), TickPolicy(), view, clock.wall_s())

        _, missing = await lines()
        second.resources[ENVIRONMENT] = environment(3000)
        site_, known = await lines()
    assert any(f"1 of 2: {second.url}{ENVIRONMENT}: status 404: there is no such resource" in line for line in missing)
    assert site_.pue > 1.0
    expected_w = site_.pue * 7000 + 300
    assert any(f": {expected_w:.0f} W, " in line and line.endswith("rung meter, margin 5 %") for line in known), known
    assert any("estimated, from Redfish of 127.0.0.1 and 1 more at PUE" in line for line in known)
    assert PASSWORD not in "\n".join(missing + known)


async def test_as_many_machines_are_asked_together_as_the_service_asks():
    async with running_bmc() as bmc:
        bmc.hangs = True
        machines = RedfishSpec(tuple(f"{bmc.url}/{n}" for n in range(128)), wait_s=20.0)
        specs = PowerSpecs(meters=(("bmc", machines),))
        looking = asyncio.create_task(watch(Present(SITE), specs, SystemClock(), seconds=0.0, timeout_s=20.0))
        async with asyncio.timeout(20):
            while bmc.at_once < 128:
                await asyncio.sleep(0.01)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def scraped(*pods):
    return "".join(
        f'DCGM_FI_DEV_POWER_USAGE{{gpu="{n}",UUID="GPU-{pod}-{n}",exported_pod="{pod}"}} 400\n'
        for pod in pods
        for n in range(8)
    )


@pytest.mark.parametrize(("owned", "line"), [(True, ": 6400 W, "), (False, "8 of the GPUs of vllm-b are not known")])
async def test_gpus_of_instances_that_are_found_are_those_of_their_pods(tmp_path, owned, line):
    async with kube_server() as kube, http_stub() as exporter:
        pods = {"vllm-a": "10.0.0.1", "vllm-b": "10.0.0.2"}
        endpoints = [endpoint(address, pod) for pod, address in pods.items()]
        kube.store.create(ENDPOINT_SLICES, "llm", endpoint_slice("s", *endpoints, service="vllm"))
        exporter.set("/metrics", scraped(*pods) if owned else scraped("vllm-a"))
        file = tmp_path / "wattroute.yaml"
        document = {
            "pools": [
                {
                    "name": "bf16",
                    "precision": "bf16",
                    "discovery": {"kind": "kubernetes", "service": "vllm", "namespace": "llm"},
                }
            ],
            "kubernetes": {"url": kube.url},
            "site": {"gpus": 16, "pue": 1.0},
            "plan": {"pools": {"bf16": {"gpu": "H100", "gpus_per_instance": 8, "curves": CURVES}}},
            "signals": {"dcgm_urls": [f"{exporter.url}/metrics"]},
        }
        file.write_text(json.dumps(document))
        settings, clock = load(file), SystemClock()
        present, view = await look(settings, settings.signals.power_specs(), clock, seconds=0.0)
        lines = told(present.site(), TickPolicy(), view, clock.wall_s())
    assert any(line in each for each in lines), lines
