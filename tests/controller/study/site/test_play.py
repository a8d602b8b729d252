from __future__ import annotations

import time

import numpy as np
import pytest

from controller.model.observation import Observation
from controller.model.plan import Commands, InstanceCommand, PlanOrigin, Verb
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.study.site.make_site import SiteCase, grid_event, make_site
from controller.study.site.play import FixedDecider, Played, TickDecider, TickRecord, play
from controller.study.site.result import result, totals
from tests.fakes.site_cases import BF16, event, site_document, site_settings


def silent(done_frac: float) -> None:
    assert 0.0 <= done_frac <= 1.0


def under_the_controller(case: SiteCase, *events: object) -> Played:
    return play(case, case.site, TickDecider(case, CvxpyPlanner(time.monotonic)), events, silent)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def called() -> tuple[SiteCase, Played, Played]:
    settings = site_settings(events=[event()])
    case = make_site(settings)
    fixed = play(case, case.fixed, FixedDecider(case), (), silent)
    heard = tuple(grid_event(each, 8000.0) for each in settings.events)
    return case, fixed, under_the_controller(case, *heard)


def test_everything_asked_is_served_lost_or_under_way(called: tuple[SiteCase, Played, Played]) -> None:
    case, *both = called
    for played in both:
        assert played.asked[0] == pytest.approx(case.asked_per_s.sum(axis=0)[0] * case.tick_s)
        assert played.served + played.lost + played.waiting == pytest.approx(played.asked)
        assert played.by_pool.sum() == pytest.approx(played.served[:, 2].sum())


def test_the_same_requests_reach_both_fleets(called: tuple[SiteCase, Played, Played]) -> None:
    _, fixed, controlled = called
    assert fixed.asked == pytest.approx(controlled.asked)


def test_the_power_of_pools_is_part_of_the_site_s(called: tuple[SiteCase, Played, Played]) -> None:
    case, fixed, controlled = called
    spare_w = case.site.pue * 4 * case.site.spare_gpu_w
    assert controlled.power_w - controlled.pools_w.sum(axis=1) == pytest.approx(np.full(180, spare_w))
    assert fixed.power_w.shape == controlled.power_w.shape


def test_each_tick_accounts_for_every_instance(called: tuple[SiteCase, Played, Played]) -> None:
    case, _, controlled = called
    assert len(controlled.records) == 180
    for record in controlled.records:
        for seen, pool in zip(record.pools, case.site.pools, strict=True):
            assert seen.on + seen.changing + seen.sleeping + seen.off == len(pool.instances)
    assert controlled.records[-1].quality_left_frac[0] is not None


def test_the_limit_is_kept_after_the_ramp_and_instances_sleep_for_it(called: tuple[SiteCase, Played, Played]) -> None:
    _, fixed, controlled = called
    assert controlled.power_w[96:150].max() <= 8000.0
    assert controlled.power_w[:80].max() > 8000.0
    assert fixed.power_w[10:].std() < 0.01 * fixed.power_w.mean()
    verbs = {verb for record in controlled.records for _, verb in record.verbs}
    assert Verb.SLEEP in verbs


def test_plans_are_told_by_how_they_came_about(called: tuple[SiteCase, Played, Played]) -> None:
    made = [record for record in called[2].records if record.planned_by is not None]
    assert {record.planned_by for record in made} == {PlanOrigin.MILP}
    assert all(record.solve_s is not None for record in made)


def test_nobody_decides_for_the_fixed_fleet() -> None:
    case = make_site(site_settings())
    fixed = play(case, case.fixed, FixedDecider(case), (), silent)
    assert fixed.records == ()
    assert fixed.late_tokens == 0.0


class SleepsOne(FixedDecider):
    """As the fixed fleet, but one instance is put to sleep at the first tick."""

    def __init__(self, case: SiteCase) -> None:
        super().__init__(case)
        one = case.fixed.pools[0].instances[0].instance_id
        self._wanted = [(InstanceCommand(Verb.SLEEP, one, "test"),)]

    def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
        commands, record = super().decide(observation)
        return Commands(commands.table, self._wanted.pop() if self._wanted else ()), record


def test_commands_are_obeyed() -> None:
    case = make_site(site_settings(hours=0.05, fixed_instances=3))
    slept = play(case, case.fixed, SleepsOne(case), (), silent)
    whole = play(case, case.fixed, FixedDecider(case), (), silent)
    assert slept.power_w[-1] < whole.power_w[-1]


def test_where_nothing_is_to_be_gained_nothing_moves_and_the_bill_is_no_higher() -> None:
    pools = [{"name": "bf16", "profile": BF16, "precision": "bf16", "instances": 3}]
    settings = site_settings(hours=2, fixed_instances=3, site={**site_document()["site"], "gpus": 24, "pools": pools})
    case = make_site(settings)
    fixed = play(case, case.fixed, FixedDecider(case), (), silent)
    controlled = under_the_controller(case)
    assert not [verb for record in controlled.records[360:] for verb in record.verbs]
    assert controlled.late_tokens == 0.0
    assert totals("c", case, controlled).usd <= totals("f", case, fixed).usd
    assert result(case, fixed, controlled, ()).broken_ticks == ()
