import json
from dataclasses import replace

import pytest

from controller.energy.pool_fit import PoolFit
from controller.energy.refit import learn
from controller.energy.refit_interval import Doing, Interval
from controller.energy.refit_prior import prior_of
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.limits import Followed, Return
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.refit import relearn
from controller.lifecycle.refit_state import KeptFit, RefitState
from controller.loop.continuity import STATE_NAME, Continuity, after_step
from controller.model.grid import Precedence
from controller.settlement.quality_budget import QualityBurn
from controller.signals.routers import RouterCounts
from router.contract import ClassId, InstanceId
from tests.fakes.controller_parts import NOW_S, observation, site

SITE = site()
COUNTS = RouterCounts((("class", "standard", "requests", 5.0),), (("http://r", (("pool", "standard", "bf16", 9.0),)),))
SLEEPERS = (Sleeper(InstanceId("int4-0"), NOW_S),)


async def keep(folder):
    burn = QualityBurn.empty(ClassId("standard"), 86_400.0).with_tokens(NOW_S, 1000.0, 8.0)
    memory = replace(Memory.initial(SITE, NOW_S), burns=(burn,), baselines_w=(("e1", 4200.0),))
    await Continuity(folder, SITE).keeper(lambda: COUNTS)(memory, SLEEPERS, NOW_S)


async def test_what_was_kept_is_taken_up_and_told(tmp_path, caplog):
    caplog.set_level("INFO")
    await keep(tmp_path)
    taken = Continuity(tmp_path, SITE).take_up(NOW_S + 60)
    assert taken.memory.burns[0].burnt_frac == pytest.approx(0.008)
    assert taken.memory.baselines_w == (("e1", 4200.0),)
    assert (taken.sleepers, taken.counted) == (SLEEPERS, COUNTS)
    (record,) = caplog.records
    assert (record.message, record.age_s, record.sleepers) == ("state restored", 60.0, ["int4-0"])
    assert record.quality_burnt_frac == {"standard": 0.008}


def test_without_a_file_everything_begins_anew_and_says_so(tmp_path, caplog):
    caplog.set_level("INFO")
    taken = Continuity(tmp_path, SITE).take_up(NOW_S)
    assert taken.memory == Memory.initial(SITE, NOW_S)
    assert (taken.sleepers, taken.counted) == ((), None)
    assert caplog.messages == ["no state to restore: budgets and baselines begin anew"]


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"state": {}}])
async def test_a_file_that_cannot_be_read_is_set_aside_and_budgets_count_as_burnt(tmp_path, caplog, change):
    await keep(tmp_path)
    path = tmp_path / STATE_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    spoiled = path.read_text()
    taken = Continuity(tmp_path, SITE).take_up(NOW_S + 60)
    assert not taken.memory.burns[0].is_known
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "remove the file to begin with fresh budgets" in record.reason
    assert (tmp_path / f"{STATE_NAME}.unreadable").read_text() == spoiled
    await Continuity(tmp_path, SITE).keeper(lambda: COUNTS)(taken.memory, (), NOW_S + 61)
    assert not Continuity(tmp_path, SITE).take_up(NOW_S + 62).memory.burns[0].is_known  # a restart changes nothing


async def test_a_clock_that_was_set_back_is_told_and_forgets_nothing(tmp_path, caplog):
    await keep(tmp_path)
    taken = Continuity(tmp_path, SITE).take_up(NOW_S - 100_000)
    assert taken.memory.burns[0].loss_tokens == 8.0
    assert "the clock was set back" in caplog.text


async def test_what_was_learnt_of_a_pools_curves_is_known_to_the_next_process(tmp_path):
    prior = prior_of(SITE.pools[0].curves)
    fit = PoolFit.begin(prior)
    for _ in range(20):
        fit = learn(fit, prior, (Interval(Doing.SERVING, 5.0, 5.0 * 1.3 * SITE.pools[0].curves.idle_w, 0.01),), 5.0)
    state = RefitState((KeptFit(SITE.pools[0].pool_id, fit),), (), NOW_S)
    memory = replace(Memory.initial(SITE, NOW_S), refit=state)
    await Continuity(tmp_path, SITE).keeper(lambda: COUNTS)(memory, (), NOW_S)
    taken = Continuity(tmp_path, SITE).take_up(NOW_S + 60).memory
    assert taken.refit == state
    after = relearn(SITE, TickPolicy(refit=True), taken, observation(NOW_S + 60)).site
    assert after.pools[0].curves.idle_w == pytest.approx(1.3 * SITE.pools[0].curves.idle_w, rel=0.03)


def test_a_loop_whose_clock_was_set_back_plans_anew_and_forgets_no_promise(caplog):
    back = Return("e1", 3000.0, NOW_S - 60, 10.0, 9000.0, Precedence.CONTRACT)
    burn = QualityBurn.empty(ClassId("standard"), 86_400.0).with_tokens(NOW_S, 1000.0, 8.0)
    before = replace(
        Memory.initial(SITE, NOW_S),
        burns=(burn,),
        planned_at_s=NOW_S,
        sequence=7_000_000_000_000,
        followed=Followed((), (back,)),
    )
    ahead = after_step(SITE, before, SLEEPERS, 7200.0, NOW_S + 7200)
    assert ahead == replace(before, followed=Followed((), (replace(back, since_s=NOW_S + 7140),)))
    behind = after_step(SITE, before, SLEEPERS, -7200.0, NOW_S - 7200)
    assert behind.planned_at_s is None
    assert behind.followed.returns[0].most_w(NOW_S - 7200) == back.most_w(NOW_S)
    assert behind.burns[0].loss_tokens == 8.0
    assert behind.sequence >= before.sequence
    assert any("begins anew" in r.message for r in caplog.records)
    assert after_step(SITE, before, SLEEPERS, -1.0, NOW_S - 1).planned_at_s == NOW_S
