from dataclasses import replace

import pytest

from controller.energy.pool_fit import PoolFit
from controller.energy.refit_prior import prior_of
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Intent, Memory, Phase
from controller.lifecycle.meters import intervals_of
from controller.lifecycle.refit_state import RefitState
from controller.lifecycle.resume import Saved, is_clock_back, resumed, saved_of, unknown
from controller.model.fleet import RequestClass, resting_awake
from controller.model.observation import ClassDemand
from controller.settlement.baseline import PowerHistory
from controller.settlement.quality_budget import QualityBurn
from controller.store.plain import from_plain, to_plain
from router.contract import ClassId, InstanceId, PoolId
from tests.fakes.controller_parts import NOW_S, observation, site

STANDARD = ClassId("standard")
SITE = site()
FITS = tuple(PoolFit.begin(prior_of(pool.curves)) for pool in SITE.pools)
REFIT = RefitState.of(SITE, intervals_of(SITE, (), observation())[0], FITS, NOW_S - 10)


def lived():
    """A memory with something of everything that is kept."""
    burn = QualityBurn.empty(STANDARD, 86_400.0).with_tokens(NOW_S - 3600, 1000.0, 5.0)
    return replace(
        Memory.initial(SITE, NOW_S - 7200),
        sequence=int(NOW_S * 1000) + 50_000,
        burns=(burn,),
        served=(ClassDemand(STANDARD, 1.0, 1.0, 1.0, 7.0, output_tokens_by_pool=((PoolId("bf16"), 7.0),)),),
        history=PowerHistory(((NOW_S - 20, 3000.0), (NOW_S - 10, 3100.0))),
        baselines_w=(("e1", 4200.0),),
        refit=REFIT,
    )


def again(now_s=NOW_S, site_=SITE):
    return resumed(site_, saved_of(lived(), (Sleeper(InstanceId("int4-0"), NOW_S),), NOW_S - 5), now_s)


def test_budgets_baselines_counters_and_numbers_go_on():
    before, after = lived(), again()
    assert after.burns[0].burnt_frac == pytest.approx(0.005)
    assert (after.history, after.baselines_w, after.served) == (before.history, before.baselines_w, before.served)
    assert after.sequence == before.sequence
    assert (after.started_s, after.plan, after.table, after.bias_w) == (NOW_S, None, None, 0.0)


def test_later_tables_are_numbered_by_the_clock_again():
    assert again(NOW_S + 3600).sequence == int((NOW_S + 3600) * 1000)


def test_what_left_the_window_meanwhile_does_not_count():
    assert again(NOW_S + 86_400).burns[0].tokens == 0.0


def test_a_clock_that_was_set_back_forgets_no_burn_and_no_number():
    after = again(NOW_S - 86_400)
    assert after.burns[0].loss_tokens == 5.0
    assert after.sequence == lived().sequence
    assert after.history.samples == ()
    saved = saved_of(lived(), (), NOW_S)
    assert is_clock_back(saved, NOW_S - 60)
    assert not is_clock_back(saved, NOW_S - 1)


def test_classes_that_came_went_or_changed_their_window():
    changed = site(
        classes=(
            RequestClass(ClassId("new"), quality_budget_frac=0.01),
            RequestClass(STANDARD, quality_budget_frac=0.01, quality_window_s=10_000.0),
        )
    )
    new, standard = again(site_=changed).burns
    assert (new.class_id, new.tokens, new.is_known) == ("new", 0.0, True)
    assert (standard.window_s, standard.loss_tokens) == (10_000.0, 5.0)
    assert [burn.class_id for burn in again(site_=site(classes=(RequestClass(ClassId("new")),))).burns] == ["new"]


def test_an_unreadable_past_counts_every_budget_as_burnt():
    memory = unknown(SITE, NOW_S)
    assert [(burn.class_id, burn.is_known) for burn in memory.burns] == [("standard", False)]
    assert memory.sequence == Memory.initial(SITE, NOW_S).sequence


def test_what_was_learnt_of_the_curves_goes_on_but_no_interval_spans_the_gap():
    assert lived().refit.anchors
    assert again().refit == RefitState(REFIT.pools, (), NOW_S - 10)


def test_a_state_kept_before_curves_were_learnt_can_be_taken_up():
    old = to_plain(saved_of(lived(), (), NOW_S))
    del old["refit"]
    assert from_plain(Saved, old).refit == RefitState()


@pytest.mark.parametrize(
    ("change", "kept"),
    [({}, ["bf16-1"]), ({"lets_go": True}, []), ({"rests_awake": False}, []), ({"instances": ()}, [])],
)
def test_what_rested_awake_goes_on_to_where_nothing_else_tells_of_it(change, kept):
    pools = tuple(replace(resting_awake(pool), **change) for pool in SITE.pools)
    intents = (Intent(InstanceId("bf16-0"), Phase.DRAIN, 1.0), Intent(InstanceId("bf16-1"), Phase.SLEEP, 1.0))
    saved = from_plain(Saved, to_plain(saved_of(replace(lived(), intents=intents), (), NOW_S - 5)))
    after = resumed(replace(SITE, pools=pools), saved, NOW_S)
    assert [(each.instance_id, each.phase, each.commanded_s) for each in after.intents] == [
        (name, Phase.SLEEP, None) for name in kept
    ]
