from controller.lifecycle.gpu_limits import HOLD_S, PATIENCE_S, Engaged, SiteSeen, step, wanted
from controller.model.gpu_limit import GpuLimit, When
from router.contract import PoolId

A, B, C = (PoolId(name) for name in "abc")
LIMITS = (
    GpuLimit(A, ("GPU-a",), When.OVER_LIMIT, 300.0),
    GpuLimit(B, ("GPU-b",), When.FIXED, 400.0),
    GpuLimit(C, ("GPU-c",), When.OVER_LIMIT, None, 900),
)


def walk(*seen, engaged=None):
    for each in seen:
        engaged = step(engaged or Engaged(), LIMITS, each)
    return engaged


def at(now_s, drawn_w=5000.0, limit_w=4000.0, *, acts=True, is_moving=False):
    return SiteSeen(now_s, acts, limit_w, drawn_w, is_moving)


def test_too_much_power_that_lasts_limits_one_pool_after_another_in_their_order():
    assert walk(at(0.0), at(HOLD_S - 1)).pools == ()
    first = walk(at(0.0), at(HOLD_S))
    assert first.pools == (A,)
    assert walk(at(HOLD_S + 1), at(2 * HOLD_S), engaged=first).pools == (A,)
    second = walk(at(HOLD_S + 1), at(2 * HOLD_S + 1), engaged=first)
    assert second.pools == (A, C)
    assert walk(at(1e4), at(2e4), engaged=second).pools == (A, C)


def test_while_instances_are_on_their_way_there_is_more_patience():
    moving = [at(float(t), is_moving=True) for t in range(0, int(PATIENCE_S), 5)]
    assert walk(*moving).pools == ()
    assert walk(*moving, at(PATIENCE_S, is_moving=True)).pools == (A,)
    assert walk(at(0.0, is_moving=True), at(20.0), at(20.0 + HOLD_S - 1)).pools == ()
    assert walk(at(0.0, is_moving=True), at(20.0), at(20.0 + HOLD_S)).pools == (A,)


def test_what_was_limited_stays_so_until_the_event_ends():
    engaged = walk(at(0.0), at(HOLD_S), at(30.0, 3000.0), at(40.0, 100.0))
    assert engaged == Engaged((A,))
    assert walk(at(50.0, limit_w=None), engaged=engaged) == Engaged()


def test_a_short_peak_limits_nothing():
    assert walk(at(0.0), at(HOLD_S - 1), at(HOLD_S, 3999.0), at(HOLD_S + 1), at(2 * HOLD_S)).pools == ()


def test_power_that_is_not_known_is_over_nothing():
    assert walk(at(0.0), at(HOLD_S, None), at(HOLD_S + 1)).pools == ()


def test_nothing_is_limited_where_the_controller_does_not_act():
    assert walk(at(0.0), at(HOLD_S), at(20.0, acts=False)) == Engaged()
    assert wanted(Engaged((A,)), LIMITS, acts=False) == ()


def test_fixed_limits_are_wanted_throughout_and_the_others_when_they_are_due():
    assert [each.pool_id for each in wanted(Engaged(), LIMITS, acts=True)] == [B]
    assert [each.pool_id for each in wanted(Engaged((C,)), LIMITS, acts=True)] == [B, C]
