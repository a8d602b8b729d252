import aiohttp
import pytest

from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.dcgm import ENERGY, POWER, DcgmNames, DcgmSource, gpus_of
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.source import Board
from controller.signals.prometheus_text import parse
from tests.fakes.http_stub import closed_url, http_stub

T = 1000.0


def exposition(*gpus: tuple[str, object, object], model: str = "NVIDIA H100 80GB HBM3") -> str:
    lines = []
    for uuid, power, energy in gpus:
        labels = f'{{gpu="0",UUID="{uuid}",device="nvidia0",modelName="{model}",Hostname="a"}}'
        lines += [f"{POWER}{labels} {power}"] if power is not None else []
        lines += [f"{ENERGY}{labels} {energy}"] if energy is not None else []
    return "\n".join(lines) + "\n"


async def read_series(texts: list[tuple[float, str]]) -> list[dict]:
    results = []
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = DcgmSource(HttpAccess(session), (f"{stub.url}/metrics",))
        for now_s, text in texts:
            stub.set("/metrics", text)
            readings, errors = await source.read(now_s)
            assert errors == ()
            results.append(readings)
    return results


async def test_power_comes_from_the_energy_counter_over_two_seconds():
    # The gauge says 999 W throughout; the counter (mJ) grows by 500 J a second.
    series = [(T + n, exposition(("A", 999, 1_000_000 + n * 500_000))) for n in range(4)]
    first, second, third, fourth = await read_series(series)
    assert first["A"].value_w == second["A"].value_w == 999  # one second of counter is too short
    assert third["A"].value_w == pytest.approx(500)
    assert fourth["A"] == Reading(pytest.approx(500), pytest.approx(2500), T + 3, third["A"].source, Quality.DIRECT)


async def test_boards_are_told_by_the_labels_of_those_that_are_still_shown():
    told = exposition(("A", 400, 1), ("B", 400, 1)).replace('Hostname="a"', 'DCGM_FI_DRIVER_VERSION="580.95.05"')
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = DcgmSource(HttpAccess(session), (f"{stub.url}/metrics",))
        assert source.boards() == {}
        stub.set("/metrics", told)
        await source.read(T)
        assert source.boards() == dict.fromkeys(("A", "B"), Board("NVIDIA H100 80GB HBM3", "580.95.05"))
        stub.set("/metrics", exposition(("B", 400, 2), model=""))
        await source.read(T + 1)
        assert set(source.boards()) == {"B"}


async def test_a_counter_that_was_reset_goes_on_growing():
    series = [(T, exposition(("A", 400, 9_000_000))), (T + 2, exposition(("A", 400, 10_000_000)))]
    series += [(T + 4, exposition(("A", 400, 200_000))), (T + 6, exposition(("A", 400, 1_000_000)))]
    readings = [r["A"] for r in await read_series(series)]
    assert [r.energy_j for r in readings] == pytest.approx([9000, 10_000, 10_200, 11_000])
    assert [r.value_w for r in readings] == pytest.approx([400, 500, 400, 400])


async def test_an_exporter_that_stands_still_gives_an_old_reading():
    text = exposition(("A", 400, 9_000_000))
    readings = [r["A"] for r in await read_series([(T, text), (T + 10, text), (T + 20, text)])]
    assert [r.observed_at_s for r in readings] == [T, T, T]


async def test_a_gpu_that_is_off_is_read_as_such_although_its_counter_stands_still():
    texts = [(T, exposition(("A", 500, 0))), (T + 2, exposition(("A", 500, 1_000_000)))]
    texts += [(T + n, exposition(("A", 0, 1_000_000))) for n in (4, 6)]
    last = (await read_series(texts))[-1]["A"]
    assert (last.value_w, last.observed_at_s) == (0.0, T + 6)


async def test_the_gauge_alone_will_do():
    (only,) = await read_series([(T, exposition(("A", 312.5, None)))])
    assert only["A"].value_w == 312.5
    assert only["A"].energy_j is None


async def test_the_counter_alone_needs_two_values():
    first, second = await read_series([(T, exposition(("A", None, 0))), (T + 2, exposition(("A", None, 800_000)))])
    assert isinstance(first["A"], Missing)
    assert "two are needed" in first["A"].reason
    assert second["A"].value_w == pytest.approx(400)


@pytest.mark.parametrize("blank", ["9223372036854775794", "-1", "NaN", "140737488355328", "2147483632"])
async def test_blank_and_negative_values_are_missing_not_zero(blank):
    (only,) = await read_series([(T, exposition(("A", blank, None)))])
    assert isinstance(only["A"], Missing)
    assert "neither power nor energy" in only["A"].reason


async def test_a_jump_that_no_gpu_can_draw_is_not_believed():
    gauge = await read_series([(T, exposition(("A", 400, 0))), (T + 2, exposition(("A", 400, 99_000_000)))])
    assert (gauge[1]["A"].value_w, gauge[1]["A"].energy_j) == (400, 0.0)
    bare = await read_series([(T, exposition(("A", None, 0))), (T + 2, exposition(("A", None, 99_000_000)))])
    assert "more than a GPU draws" in bare[1]["A"].reason


async def test_names_that_a_relabelling_changed():
    names = DcgmNames("node_gpu_watts", "node_gpu_mj", ("exported_UUID",))
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/metrics", 'node_gpu_watts{exported_UUID="A",UUID="the exporter"} 312.5\n')
        readings, errors = await DcgmSource(HttpAccess(session), (f"{stub.url}/metrics",), names).read(T)
        _, told = await DcgmSource(HttpAccess(session), (f"{stub.url}/metrics",)).read(T)
    assert (readings["A"].value_w, errors) == (312.5, ())
    assert "shows neither DCGM_FI_DEV_POWER_USAGE nor" in told[0].reason


def test_mig_rows_of_one_gpu_count_once():
    rows = [f'{POWER}{{UUID="A",GPU_I_ID="{n}"}} {value}' for n, value in ((1, 300), (2, 301))]
    assert gpus_of(parse("\n".join(rows), {POWER}))["A"].power_w == 301


def test_other_names_of_the_uuid_label_and_rows_without_one():
    rows = [f'{POWER}{{gpu_uuid="A"}} 1', f'{POWER}{{uuid="B"}} 2', f"{POWER} 3"]
    assert set(gpus_of(parse("\n".join(rows), {POWER}))) == {"A", "B"}


async def test_an_emulated_gpu_says_so():
    (only,) = await read_series([(T, exposition(("A", 300, None), model="NVIDIA H100 (emulated)"))])
    assert only["A"].quality is Quality.EMULATED


async def test_one_exporter_that_fails_does_not_hide_the_other():
    async with http_stub() as good, http_stub() as bad, aiohttp.ClientSession() as session:
        good.set("/metrics", exposition(("A", 300, None)))
        bad.set("/metrics", f"{POWER}{{broken 1")
        dead = closed_url()
        source = DcgmSource(HttpAccess(session), (f"{bad.url}/metrics", f"{good.url}/metrics", f"{dead}/metrics"))
        readings, errors = await source.read(T)
    assert readings["A"].value_w == 300
    assert [error.source for error in errors] == [f"{bad.url}/metrics", f"{dead}/metrics"]
    assert "not Prometheus text" in errors[0].reason


async def test_pods_that_have_gpus_are_told_and_forgotten_when_they_give_them_back():
    def shown(**labels):
        told = "".join(f',{key}="{value}"' for key, value in labels.items())
        return f'{POWER}{{UUID="A",modelName="H100"{told}}} 300\n'

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        source = DcgmSource(HttpAccess(session), (f"{stub.url}/metrics",))
        found = []
        for text in (
            shown(pod="vllm-1", namespace="llm"),
            shown(exported_pod="vllm-2", pod="dcgm-exporter-x"),
            shown(pod="", namespace=""),
            shown(pod="vllm-3"),
            exposition(("B", 100, None)),
        ):
            stub.set("/metrics", text)
            await source.read(T)
            found.append(dict(source.owners()))
    assert found == [{"A": "vllm-1"}, {"A": "vllm-2"}, {}, {"A": "vllm-3"}, {}]
