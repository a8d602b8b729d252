from dataclasses import replace

import pytest

from controller.lifecycle.power_loop import spare_w
from controller.lifecycle.roster import is_place, number_of, place_of, site_now, with_instances, with_places
from controller.model.fleet import Instance, PoolRoster
from controller.model.observation import InstanceState
from router.contract import InstanceId, PoolId
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.pod_fleet import discovered

NOW_S = 1000.0


def roster(pool_id, *names):
    found = tuple(Instance(InstanceId(name), f"http://{name}:8000") for name in names)
    return PoolRoster(PoolId(pool_id), found, NOW_S)


def names(of):
    return {pool.pool_id: [each.instance_id for each in pool.instances] for pool in of.pools}


@pytest.mark.parametrize(
    ("name", "place"), [("fp8~3", ("fp8", 3)), ("fp8-3", None), ("fp8~", None), ("fp8~x", None), ("fp8", None)]
)
def test_a_place_is_told_from_an_instance_by_its_name(name, place):
    assert place_of(InstanceId(name)) == place


def test_a_site_that_lists_its_instances_stays_as_it_is():
    assert site_now(site(), ()) == site()


def test_instances_are_those_that_were_told_in_the_order_of_their_names_and_places_fill_up():
    now = site_now(discovered(site()), (roster("bf16", "pod-b", "pod-a"),))
    assert names(now)["bf16"] == ["pod-a", "pod-b", "bf16~2", "bf16~3"]
    assert [is_place(each) for each in now.pools[0].instances] == [False, False, True, True]
    assert names(now)["fp8"] == [], "what was never told is not known to have room"


def test_more_pods_than_places_are_all_there_and_leave_none():
    now = site_now(discovered(site()), (roster("bf16", *(f"pod-{n}" for n in range(6))),))
    assert len(now.pools[0].instances) == 6
    assert not any(is_place(each) for each in now.pools[0].instances)


def test_a_pool_that_others_scale_has_no_places():
    fixed = discovered(site())
    fixed = replace(fixed, pools=tuple(replace(pool, places=0) for pool in fixed.pools))
    assert names(site_now(fixed, (roster("bf16"),)))["bf16"] == []


def test_places_are_off():
    now = site_now(discovered(site()), (roster("bf16", "pod-a"),))
    seen = with_places(now, replace(FakeFleet(site(), {}).observe(), instances=()))
    assert {each.instance_id: each.state for each in seen.instances} == {
        f"bf16~{n}": InstanceState.OFF for n in range(1, 4)
    }


@pytest.mark.parametrize("gpus", [32, 62])
def test_gpus_are_counted_once_however_many_places_there_are(gpus):
    """Places of all pools together ask for 62 GPUs; each draws what an unused GPU draws, and so does the rest."""
    idle = replace(discovered(site()), gpus=gpus, spare_gpu_w=70.0)
    now = site_now(idle, tuple(roster(pool.pool_id) for pool in idle.pools))
    places_w = sum(pool.curves.off_w * len(pool.instances) for pool in now.pools)
    assert places_w + spare_w(now) == pytest.approx(70.0 * gpus)


def test_a_pod_that_is_starting_takes_a_place_and_is_not_asked():
    told = replace(roster("bf16", "pod-a"), starting=roster("bf16", "pod-b").instances)
    now = site_now(discovered(site()), (told,))
    assert names(now)["bf16"] == ["pod-a", "pod-b", "bf16~2", "bf16~3"]
    assert names(with_instances(discovered(site()), (told,)))["bf16"] == ["pod-a"]
    seen = with_places(now, replace(FakeFleet(site(), {}).observe(), instances=(), rosters=(told,)))
    assert {each.instance_id: each.state for each in seen.instances} == {
        "pod-b": InstanceState.STARTING,
        "bf16~2": InstanceState.OFF,
        "bf16~3": InstanceState.OFF,
    }


@pytest.mark.parametrize(
    ("name", "number"), [("vllm-12", 12), ("vllm-0", 0), ("vllm-x7", 0), ("10.0.0.1:8000", 0), ("v-²", 0)]
)
def test_pods_that_are_counted_have_their_number_at_the_end(name, number):
    assert number_of(InstanceId(name)) == number
