"""The judge of the models: windows, reading of counters, and a verdict that can be no."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from controller.model.fleet import Site
from controller.simulation.site_router import Request
from controller.simulation.trace import read_trace
from tests.bench.agreement import __main__ as command
from tests.bench.agreement.case import CLASS, Means, Reading, Window, edges, means, requests_at, set_of, site_of
from tests.bench.agreement.models import discrete, fluid
from tests.bench.agreement.table import Row, models_alone, with_emulator
from tests.fakes.system import laptop_on_free_ports

WINDOW = Window(10.0, 40.0)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return site_of(laptop_on_free_ports(tmp_path, set_of(["a", "b"])), "b")


def steady(per_s: float = 10.0) -> list[Request]:
    return [Request(n, n / per_s, CLASS, 200, 50) for n in range(int(per_s * WINDOW.end_s))]


def row(**changes: Means) -> Row:
    same = Means(10_000.0, 500.0)
    return dataclasses.replace(Row(1.0, same, same, same), **changes)


def test_each_set_is_a_site_of_its_own(site: Site) -> None:
    assert [(pool.pool_id, len(pool.instances), pool.gpus_per_instance) for pool in site.pools] == [
        ("b-bf16", 2, 8),
        ("b-fp8", 2, 4),
    ]


def test_both_models_make_the_tokens_that_are_asked(site: Site) -> None:
    for model in (discrete, fluid):
        assert model(site, steady(), WINDOW).tokens_per_s == pytest.approx(500.0, rel=0.03)


def test_other_curves_are_told_apart(site: Site) -> None:
    hotter = tuple(
        dataclasses.replace(pool, curves=dataclasses.replace(pool.curves, step_base_j=1.1 * pool.curves.step_base_j))
        for pool in site.pools
    )
    true = discrete(site, steady(), WINDOW)
    assert Row(10.0, true, true, fluid(site, steady(), WINDOW)).agrees
    assert not Row(10.0, true, true, fluid(dataclasses.replace(site, pools=hotter), steady(), WINDOW)).agrees


def test_intervals_cover_the_time_and_one_begins_with_the_window() -> None:
    found = edges(Window(30.004, 90.0), 10.0)
    assert (found[0][0], found[-1][1]) == (0.0, 90.0)
    assert [begin_s for begin_s, _ in found[1:]] == [end_s for _, end_s in found[:-1]]
    assert any(begin_s == 30.004 for begin_s, _ in found)
    assert all(0.0 < end_s - begin_s <= 10.0 for begin_s, end_s in found)
    assert edges(Window(0.0, 10.0), 10.0) == [(0.0, 10.0)]


@pytest.mark.parametrize("window", [Window(5.0, 5.0), Window(-1.0, 5.0)])
def test_a_window_that_is_none_is_refused(window: Window) -> None:
    with pytest.raises(ValueError, match="it begins at 0 or later"):
        edges(window, 10.0)


def test_means_are_differences_over_the_time_between() -> None:
    found = means(Reading(10.0, 1000.0, 50.0), Reading(14.0, 3000.0, 90.0))
    assert found == Means(500.0, 10.0)
    with pytest.raises(ValueError, match="must be later"):
        means(Reading(10.0, 1.0, 1.0), Reading(10.0, 2.0, 2.0))


def test_the_rate_asked_is_that_of_the_trace() -> None:
    trace = read_trace()
    lap_s = len(trace.arrivals) / 20.0
    assert len(requests_at(trace, 20.0, lap_s)) / lap_s == pytest.approx(20.0, rel=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"fluid": Means(10_600.0, 500.0)},
        {"discrete": Means(10_000.0, 470.0)},
        {"emulator": Means(10_000.0, 530.0)},
    ],
)
def test_one_deviation_beyond_the_tolerance_is_enough(changes: dict[str, Means]) -> None:
    assert row().agrees
    assert not row(**changes).agrees


def test_tables_show_deviations_with_their_sign() -> None:
    one = row(fluid=Means(9_000.0, 505.0))
    assert with_emulator([one])[-1] == (
        "| 1.00 | 10.00 | 10.00 (+0.0%) | 9.00 (-10.0%) | 500 | 500 (+0.0%) | 505 (+1.0%) |"
    )
    assert models_alone([one])[-1] == "| 1.00 | 10.00 | 9.00 (-10.0%) | 500 | 505 (+1.0%) | no |"
    with pytest.raises(ValueError, match="the emulator was not measured"):
        with_emulator([dataclasses.replace(one, emulator=None)])


@pytest.mark.parametrize(("high_w", "status"), [(10_000.0, 0), (10_600.0, 1)])
def test_the_command_fails_where_a_load_is_apart(
    high_w: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = row(fluid=Means(2.0, 500.0))
    alone = [row() if per_s >= command.ALONE_FROM_PER_S else free for per_s in command.ALONE_PER_S]
    monkeypatch.setattr(command, "beside_emulator", lambda: [row(discrete=Means(high_w, 500.0))])
    monkeypatch.setattr(command, "without_emulator", lambda window: alone)
    monkeypatch.setattr("sys.argv", ["agreement"])
    assert command.main() == status
    told = capsys.readouterr()
    assert "| requests/s |" in told.out
    assert ("a deviation is 6.0%, above 5%" in told.err) == bool(status)
