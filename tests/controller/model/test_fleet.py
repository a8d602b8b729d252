from dataclasses import replace

import pytest

from controller.model.fleet import RequestClass, free_to_move, resting_awake
from controller.model.mode import Mode
from router.contract import ClassId, InstanceId, PoolId, Precision
from tests.fakes.fake_fleet import site
from tests.fakes.pool_modes import with_modes


def test_a_pool_is_found_by_name():
    assert site().pool(PoolId("fp8")).precision is Precision.FP8
    with pytest.raises(KeyError):
        site().pool(PoolId("int8"))


def test_an_instance_is_found_with_its_pool():
    pool, instance = site().find(InstanceId("fp8-1"))
    assert (pool.pool_id, instance.instance_id) == ("fp8", "fp8-1")
    assert site().find(InstanceId("fp8-99")) is None


def test_the_most_that_may_serve_is_what_exists_or_less():
    pool = site().pool(PoolId("fp8"))
    assert pool.max_instances == 5
    assert replace(pool, max_on=3).max_instances == 3
    assert replace(pool, max_on=99).max_instances == 5


def test_a_class_loses_what_it_says_itself_and_else_what_the_pools_say():
    told = replace(site().classes[0], quality_loss_frac=((Precision.INT4, 0.05),))
    found = replace(site(), classes=(told, site().classes[1]))
    assert found.losses == ((0.0, 0.003, 0.05), (0.0, 0.003, 0.012))


def test_a_class_without_a_list_may_use_any_precision():
    pools = site().pools
    anyone, careful = RequestClass(ClassId("a")), RequestClass(ClassId("b"), (Precision.BF16,))
    assert all(anyone.may_use(pool) for pool in pools)
    assert [careful.may_use(pool) for pool in pools] == [True, False, False]


def test_a_pool_is_held_unless_it_is_acted_upon():
    held = {mode: replace(site().pools[0], mode=mode).is_held for mode in Mode}
    assert held == {Mode.OBSERVE: True, Mode.RECOMMEND: True, Mode.ACT: False}


def test_nobody_but_an_acting_controller_knows_who_rests_awake():
    awake = resting_awake(site().pools[0])
    assert awake.rests_untold
    assert not replace(awake, mode=Mode.OBSERVE).rests_untold


def test_only_what_is_recommended_is_freed():
    told = with_modes(site(), bf16=Mode.RECOMMEND, fp8=Mode.OBSERVE)
    assert [pool.mode for pool in free_to_move(told).pools] == [Mode.ACT, Mode.OBSERVE, Mode.ACT]
