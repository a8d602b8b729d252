import math
from dataclasses import replace

import pytest

from controller.lifecycle.memory import Intent, Phase, Raised
from controller.lifecycle.settling import raised_now, settled_s
from controller.lifecycle.views import look
from router.contract import PoolId
from tests.fakes.fake_fleet import FakeFleet, site

NOW_S = 1000.0
SITE = site()
BF16 = PoolId("bf16")


def viewed(phase, *, commanded_s=None):
    fleet = FakeFleet(SITE, {})
    views = look(SITE, (), fleet.observe(), stale_s=15.0, retry_s=30.0)
    first = views[0].instance.instance_id
    return replace(views[0], intent=Intent(first, phase, NOW_S, commanded_s=commanded_s)), *views[1:]


def before(phase):
    return tuple(
        Intent(each.instance_id, phase if n == 0 else Phase.SERVE, 0.0)
        for n, each in enumerate(instance for pool in SITE.pools for instance in pool.instances)
    )


@pytest.mark.parametrize(
    ("was", "becomes", "commanded_s", "is_raised"),
    [
        (Phase.SLEEP, Phase.WAKE, NOW_S, True),
        (Phase.OFF, Phase.WAKE, NOW_S, True),
        (Phase.DRAIN, Phase.SERVE, None, True),
        (Phase.SLEEP, Phase.WAKE, None, False),
        (Phase.WAKE, Phase.SERVE, None, False),
        (Phase.SERVE, Phase.SERVE, None, False),
        (Phase.SERVE, Phase.DRAIN, None, False),
        (Phase.DRAIN, Phase.SLEEP, NOW_S, False),
    ],
)
def test_a_pool_is_raised_by_whom_the_controller_brings_up_or_keeps(was, becomes, commanded_s, is_raised):
    found = raised_now((), before(was), viewed(becomes, commanded_s=commanded_s), NOW_S)
    assert found == ((Raised(BF16, NOW_S),) if is_raised else ())


def test_an_instance_that_is_seen_for_the_first_time_raises_nothing():
    assert raised_now((), (), viewed(Phase.SERVE), NOW_S) == ()


def test_the_last_time_of_each_pool_is_kept():
    known = (Raised(BF16, 100.0), Raised(PoolId("fp8"), 200.0))
    found = raised_now(known, before(Phase.SLEEP), viewed(Phase.WAKE, commanded_s=NOW_S), NOW_S)
    assert set(found) == {Raised(BF16, NOW_S), Raised(PoolId("fp8"), 200.0)}


def test_a_pool_keeps_its_instances_for_a_while_unless_a_limit_calls():
    pool = replace(SITE.pools[0], lower_after_s=600.0)
    raised = (Raised(BF16, NOW_S),)
    assert settled_s(raised, pool, -math.inf) == NOW_S + 600.0
    assert settled_s(raised, pool, NOW_S) == -math.inf
    assert settled_s((), pool, -math.inf) == -math.inf
    assert settled_s(raised, SITE.pools[1], -math.inf) == -math.inf
