from __future__ import annotations

import numpy as np
import pytest

from controller.model.observation import InstanceState
from controller.study.site.engines import FlowingEngines, RequestEngines, When, engines_of
from controller.study.site.make_site import SiteCase, make_site
from controller.study.site.play import FixedDecider, Played, play
from tests.fakes.site_cases import event, site_document, site_settings


def case_of(engine: str, **changes: object) -> SiteCase:
    return make_site(site_settings(engine=engine, hours=0.05, fixed_instances=3, **changes))


def fixed(case: SiteCase) -> Played:
    return play(case, case.fixed, FixedDecider(case), (), lambda _: None)


def test_the_scenario_chooses_the_engines() -> None:
    flowing, single = case_of("fluid"), case_of("requests")
    assert isinstance(engines_of(flowing, flowing.site), FlowingEngines)
    assert isinstance(engines_of(single, single.site), RequestEngines)


@pytest.mark.parametrize("engine", ["fluid", "requests"])
def test_the_fleet_begins_as_written_and_the_fixed_fleet_serves(engine: str) -> None:
    pools = [dict(pool) for pool in site_document()["site"]["pools"]]
    pools[1]["asleep"] = 2
    case = case_of(engine, site={**site_document()["site"], "pools": pools})
    for site, asleep in ((case.site, 2), (case.fixed, 0)):
        seen = engines_of(case, site).site.observe(case.signals).instances
        assert sum(each.state is InstanceState.SLEEPING for each in seen) == asleep


def test_both_models_of_the_engines_draw_and_serve_about_the_same() -> None:
    flowing, single = fixed(case_of("fluid")), fixed(case_of("requests"))
    assert single.asked[0, 2] == pytest.approx(flowing.asked[0, 2], rel=0.1)
    # From the second minute on, once batches have filled.
    served = [played.by_pool.sum() / played.asked[:, 2].sum() for played in (flowing, single)]
    assert served[1] == pytest.approx(served[0], abs=0.05)
    assert single.power_w[6:].mean() == pytest.approx(flowing.power_w[6:].mean(), rel=0.05)


def test_single_requests_are_all_accounted_for() -> None:
    case = case_of("requests")
    played = fixed(case)
    assert case.requests is not None
    assert played.asked[0, 0] == len(case.requests)
    assert played.asked[0, 2] == sum(each.output_tokens for each in case.requests)
    assert (played.served + played.lost + played.waiting == played.asked).all()
    assert played.lost.sum() == 0.0


def test_latencies_are_told_apart_by_whether_an_event_is_in_force() -> None:
    called = fixed(case_of("requests", events=[event(start="2022-07-12T12:01:00Z", minutes=1, ramp_s=10)])).waits
    calm = fixed(case_of("requests")).waits
    assert calm[When.CALLED].ttft.count == 0
    assert called[When.CALLED].ttft.count == pytest.approx(calm[When.FREE].ttft.count / 3, rel=0.15)
    for latencies in ("ttft", "itl"):
        counts = [getattr(called[when], latencies).count for when in When]
        assert sum(counts) == getattr(calm[When.FREE], latencies).count
    assert 0.0 < (called[When.CALLED].ttft.quantile_s(0.5) or 0.0) < 1.0


def test_where_tokens_flow_there_are_no_latencies() -> None:
    assert fixed(case_of("fluid")).waits == {}


def test_what_waits_and_what_is_late_is_told_interval_by_interval() -> None:
    for engine in ("fluid", "requests"):
        overloaded = make_site(site_settings(engine=engine, hours=0.05, fixed_instances=1))
        played = fixed(overloaded)
        assert played.queued.shape == (18, 1)
        assert (np.diff(played.late_by, axis=0) >= 0.0).all()
        assert played.late_by[-1].sum() == played.late_tokens
