"""The pure parts of the measures: differences, growth, cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.settings import RouterFile
from router.tenants.source import read_tenants
from tests.bench import flatness, latency, load, report, soak, targets
from tests.bench.load import Percentiles, Sent
from tests.bench.ours import Ours
from tests.bench.proxies import Place
from tests.bench.soak import Sample

TIMES = '{"n":3,"p50":20.1,"p90":20.2,"p99":20.4,"max":21.0}'
LOAD = f'10000\nall open\n[{{"sent":9,"done":5,"gone":3,"failed":1,"ttft_ms":{TIMES},"gap_ms":null}}]\n'


def times(p50: float, p99: float) -> Percentiles:
    return Percentiles(100, p50, p50, p99, p99)


def test_the_load_generators_report_is_read() -> None:
    (sent,) = load.parse(LOAD)
    assert sent == Sent(9, 5, 3, 1, Percentiles(3, 20.1, 20.2, 20.4, 21.0), None)


@pytest.mark.parametrize("text", ["", "10000\n", "load: cannot connect: refused\n"])
def test_a_load_that_did_not_report_is_noticed(text: str) -> None:
    with pytest.raises(ValueError, match="did not report"):
        load.parse(text)


def test_added_latency_is_the_difference_to_the_direct_path() -> None:
    through = Sent(100, 100, 0, 2, times(20.3, 21.0), times(20.0, 20.5))
    direct = Sent(25, 25, 0, 0, times(20.1, 20.4), times(20.0, 20.1))
    assert latency.added(through, direct) == pytest.approx(
        {
            "added_ttft_p50_ms": 0.2,
            "added_ttft_p99_ms": 0.6,
            "added_gap_p50_ms": 0.0,
            "added_gap_p99_ms": 0.4,
            "open_loop_failed": 2.0,
        }
    )


def test_no_stream_within_the_window_is_no_latency_of_zero() -> None:
    with pytest.raises(ValueError, match="no stream"):
        latency.added(Sent(1, 0, 0, 1, None, None), Sent(1, 1, 0, 0, times(1, 1), times(1, 1)))


def test_growth_counts_from_the_early_sample() -> None:
    samples = [Sample(10_000, 10_000), *(Sample(n * 100_000, 50_000 + n * 500) for n in range(1, 11))]
    found = soak.growth(samples, early=100_000)
    assert found["soak_growth_percent"] == pytest.approx(4500 / 50_500 * 100)
    assert found["soak_slope_kb"] == pytest.approx(500)
    assert found["soak_end_mb"] == pytest.approx(55_000 / 1024)


def test_growth_needs_two_samples() -> None:
    with pytest.raises(ValueError, match="too few"):
        soak.growth([Sample(100, 1), Sample(100_000, 1)], early=100_000)


def test_each_case_of_a_sweep_has_a_figure_in_the_report() -> None:
    shown = {metric for _, metric in report.OWN}
    assert {f"flat_{case.name}_cpu_us" for case in flatness.cases()} <= shown
    assert {f"prompt_{size}_cpu_us" for case in flatness.cases() for size in case.prompts} <= shown


def test_each_target_of_a_sweep_has_its_case() -> None:
    made = {f"flat_{case.name}_cpu_us" for case in flatness.cases()}
    wanted = {name for target in targets.TARGETS for name in (target.metric, target.base) if name is not None}
    assert {name for name in wanted if name.startswith("flat_")} <= made


@pytest.mark.parametrize(
    "ours",
    [Ours(), Ours(pools=4, table_url="http://127.0.0.1:1/t"), Ours(tenants=3), Ours(access_log=True), Ours(tls=True)],
)
def test_our_router_accepts_its_configuration(ours: Ours, tmp_path: Path) -> None:
    engines = [f"http://127.0.0.{n}:9001" for n in range(1, 9)]
    file = Path(ours.command(Place(8080, tmp_path, engines))[-1])
    settings = RouterFile.model_validate(json.loads(file.read_text()))
    assert [each.url for pool in settings.pools for each in pool.instances] == engines
    assert len(settings.pools) == ours.pools
    assert len(read_tenants(settings)) == ours.tenants
    assert (settings.router.tls is not None) is ours.tls
