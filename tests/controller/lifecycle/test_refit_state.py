from controller.energy.pool_fit import PoolFit
from controller.energy.refit_prior import prior_of
from controller.lifecycle.meters import intervals_of
from controller.lifecycle.refit_state import RefitState
from controller.store.plain import from_plain, to_plain
from tests.fakes.controller_parts import NOW_S, observation, site

SITE = site()


def state():
    anchors, _ = intervals_of(SITE, (), observation())
    fits = tuple(PoolFit.begin(prior_of(pool.curves)) for pool in SITE.pools)
    return RefitState.of(SITE, anchors, fits, NOW_S)


def test_what_was_learnt_outlasts_the_process_and_where_intervals_began_does_not():
    kept = state().outlasting
    assert state().anchors
    assert kept.anchors == ()
    assert (kept.pools, kept.learnt_at_s) == (state().pools, NOW_S)


def test_it_can_be_written_down_and_read_again():
    assert from_plain(RefitState, to_plain(state())) == state()
