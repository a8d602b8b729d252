import math
from dataclasses import replace

import pytest

from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.steering import Situation, steer
from controller.lifecycle.targets import Targets
from controller.lifecycle.views import look
from controller.model.fleet import resting_awake
from controller.model.mode import Mode
from controller.model.observation import InstanceState, Missing, RouterObservation
from controller.model.plan import Verb
from router.contract import InstanceId
from tests.fakes.fake_fleet import FakeFleet, site

NOW_S = 1000.0
SLEEPING, SERVING, OFF = InstanceState.SLEEPING, InstanceState.SERVING, InstanceState.OFF
ALL_ON = (4, 5, 5)
EVERY_POOL = ((True, True, True),)


def router(sequence=5, observed_at_s=NOW_S, **in_flight):
    counts = tuple((InstanceId(name.replace("_", "-")), count) for name, count in in_flight.items())
    return RouterObservation(observed_at_s, sequence, (), counts)


def situation(**changes):
    calm = Situation(
        now_s=NOW_S,
        router=router(),
        allowed=EVERY_POOL,
        holding=None,
        break_first=False,
        called=False,
        released_s=-math.inf,
        headroom_w=None,
        pue=1.1,
        grace_s=1.0,
        retry_s=30.0,
        capacity_tokens_per_s=(2400.0, 2000.0, 1100.0),
    )
    return replace(calm, **changes)


def views(states=None, intents=None, running=None, observed_at_s=NOW_S):
    """Views by instance id; what is not named serves, empty, since long ago."""
    fleet = FakeFleet(site(), {})
    observation = fleet.observe()
    seen = tuple(
        replace(
            each,
            state=(states or {}).get(each.instance_id, SERVING),
            running=(running or {}).get(each.instance_id, 0),
            observed_at_s=observed_at_s,
        )
        for each in observation.instances
    )
    known = tuple(replace(intent, instance_id=name) for name, intent in (intents or {}).items())
    return look(fleet.site, known, replace(observation, instances=seen), stale_s=15.0, retry_s=30.0)


def intent(phase, **changes):
    return replace(Intent("", phase, NOW_S - 100.0), **changes)  # type: ignore[arg-type]


def targets(on, loaded=ALL_ON):
    return Targets(on, loaded)


def phases(steered, *names):
    by_id = {view.instance.instance_id: view.intent.phase for view in steered.views}
    return [by_id[name] for name in names]


def given(steered):
    return [(command.verb, command.instance_id) for command in steered.commands]


def draining(steered):
    return sorted(view.instance.instance_id for view in steered.views if view.intent.phase is Phase.DRAIN)


def asleep(pool, *numbers):
    return {f"{pool}-{n}": SLEEPING for n in numbers}


class TestDraining:
    def test_a_plan_that_wants_what_serves_changes_nothing(self):
        done = steer(views(), targets(ALL_ON), situation())
        assert (done.commands, done.wanted, draining(done)) == ((), (), [])

    def test_a_pool_of_which_no_instance_is_known_yet_holds_up_no_other(self):
        known = tuple(view for view in views() if view.pool_index != 1)
        done = steer(known, targets((4, 0, 4), (4, 0, 4)), situation())
        assert draining(done) == ["int4-0"]

    def test_the_emptiest_are_drained_and_nothing_is_commanded_yet(self):
        busy = {"bf16-0": 9, "bf16-1": 2, "bf16-2": 30, "bf16-3": 4}
        done = steer(views(running=busy), targets((2, 5, 5)), situation())
        assert draining(done) == ["bf16-1", "bf16-3"]
        assert done.commands == ()
        assert [(w.verb, w.instance_id) for w in done.wanted] == [(Verb.SLEEP, "bf16-1"), (Verb.SLEEP, "bf16-3")]

    def test_of_a_workload_that_lets_the_last_go_only_the_highest_numbers_are_drained(self):
        busy = {"bf16-2": 30, "bf16-3": 9}
        seen = [replace(view, pool=replace(view.pool, in_order=True)) for view in views(running=busy)]
        assert draining(steer(tuple(seen), targets((2, 5, 5)), situation())) == ["bf16-2", "bf16-3"]

    def test_nothing_is_drained_while_the_demand_is_unknown(self):
        assert draining(steer(views(), targets((0, 0, 1)), situation(holding="unknown"))) == []

    def test_a_young_instance_stays_unless_an_event_began_since(self):
        young = {f"fp8-{n}": intent(Phase.SERVE, since_s=NOW_S - 5.0) for n in range(5)}
        for released_s, gone in ((-math.inf, 0), (NOW_S - 6.0, 0), (NOW_S - 5.0, 1), (NOW_S, 1)):
            at = situation(called=released_s > -math.inf, released_s=released_s)
            assert len(draining(steer(views(intents=young), targets((4, 4, 5)), at))) == gone

    def test_replacements_serve_before_others_are_drained(self):
        states = asleep("fp8", 0, 1, 2, 3, 4)
        done = steer(views(states), targets((2, 2, 5)), situation())
        assert given(done) == [(Verb.WAKE, "fp8-0")]
        assert draining(done) == []

    def test_one_is_exchanged_at_a_time_so_that_little_draws_twice(self):
        coming = {**asleep("fp8", 1, 2, 3, 4), "fp8-0": InstanceState.WAKING}
        not_yet = steer(views(coming), targets((2, 3, 5)), situation())
        assert (given(not_yet), draining(not_yet)) == ([], [])
        come = steer(views(asleep("fp8", 1, 2, 3, 4)), targets((2, 3, 5)), situation())
        assert (given(come), draining(come)) == ([(Verb.WAKE, "fp8-1")], [])
        two_come = asleep("fp8", 2, 3, 4)
        one_goes = steer(views(two_come), targets((3, 2, 5)), situation())
        assert (given(one_goes), draining(one_goes)) == ([], ["bf16-0"])
        going = {"bf16-0": intent(Phase.DRAIN, sequence=9)}
        still_one = steer(views(two_come, going, {"bf16-0": 4}), targets((2, 3, 5)), situation())
        assert (given(still_one), draining(still_one)) == ([], ["bf16-0"])

    def test_a_fleet_that_has_to_grow_wakes_all_at_once(self):
        states = asleep("fp8", 0, 1, 2, 3, 4)
        assert len(given(steer(views(states), targets((4, 3, 5)), situation()))) == 3

    def test_under_a_limit_all_are_exchanged_at_once(self):
        states = asleep("fp8", 0, 1, 2, 3, 4)
        assert len(given(steer(views(states), targets((2, 3, 5)), situation(called=True)))) == 3

    def test_over_a_limit_draining_does_not_wait(self):
        states = asleep("fp8", 0, 1, 2, 3, 4)
        done = steer(views(states), targets((2, 2, 5)), situation(break_first=True, called=True, headroom_w=-500.0))
        assert len(draining(done)) == 2
        assert given(done) == []

    def test_the_last_instance_of_a_class_stays_until_another_may_take_it(self):
        states = {**asleep("bf16", 1, 2, 3), **asleep("fp8", 0, 1, 2, 3, 4)}
        premium = ((True, True, False), (True, True, True))
        done = steer(views(states), targets((0, 1, 5)), situation(allowed=premium, break_first=True, called=True))
        assert draining(done) == []
        assert given(done) == [(Verb.WAKE, "fp8-0")]

    def test_its_replacement_may_come_up_over_the_limit(self):
        states = {**asleep("bf16", 1, 2, 3), **asleep("fp8", 0, 1, 2, 3, 4)}
        premium = ((True, True, False),)
        tight = situation(allowed=premium, break_first=True, called=True, headroom_w=0.0)
        assert given(steer(views(states), targets((0, 2, 5)), tight)) == [(Verb.WAKE, "fp8-0")]

    def test_a_class_that_the_plan_sheds_does_not_hold_its_instance(self):
        states = asleep("bf16", 1, 2, 3)
        only_bf16 = ((True, False, False), (True, True, True))
        done = steer(views(states), targets((0, 5, 5)), situation(allowed=only_bf16, called=True))
        assert draining(done) == ["bf16-0"]


class TestFallingAsleep:
    DRAINED = intent(Phase.DRAIN, sequence=5)

    def sleeps(self, *, seen_at_s=NOW_S + 2, busy=0, at=None, **drain):
        drained = {"bf16-0": replace(self.DRAINED, **drain)}
        known = views(intents=drained, running={"bf16-0": busy}, observed_at_s=seen_at_s)
        done = steer(known, targets((3, 5, 5)), at or situation())
        return given(done), done

    def test_an_empty_engine_sleeps_once_the_routers_obey(self):
        commands, done = self.sleeps()
        assert commands == [(Verb.SLEEP, "bf16-0")]
        assert phases(done, "bf16-0") == [Phase.SLEEP]

    @pytest.mark.parametrize(("lets_go", "verbs"), [(False, []), (True, [Verb.SLEEP])])
    def test_one_that_rests_awake_is_told_nothing_unless_an_autoscaler_is_to_take_it(self, lets_go, verbs):
        known = views(intents={"bf16-0": self.DRAINED}, observed_at_s=NOW_S + 2)
        known = tuple(
            replace(view, pool=replace(resting_awake(view.pool), lets_go=lets_go)) if view.pool_index == 0 else view
            for view in known
        )
        done = steer(known, targets((3, 5, 5)), situation())
        assert phases(done, "bf16-0") == [Phase.SLEEP]
        assert [verb for verb, _ in given(done)] == verbs
        assert done.drained_s == (NOW_S - self.DRAINED.since_s,)

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"busy": 1}, id="a request is left"),
            pytest.param({"at": situation(router=router(sequence=4))}, id="a router obeys an older table"),
            pytest.param({"at": situation(router=Missing("router", "refused", 0.0))}, id="the routers do not answer"),
            pytest.param({"seen_at_s": NOW_S + 0.5}, id="it was seen empty before the last request could arrive"),
            pytest.param({"at": situation(router=router(bf16_0=1))}, id="a router's request is still on its way"),
            pytest.param({"sequence": None}, id="no table has said so yet"),
            pytest.param({"at": situation(are_astray=True)}, id="a router obeys somebody else's table"),
        ],
    )
    def test_never_earlier(self, changes):
        commands, done = self.sleeps(**changes)
        assert commands == []
        assert phases(done, "bf16-0") == [Phase.DRAIN]

    def test_one_that_is_wanted_again_as_it_could_go_serves_on(self):
        """Such as one that was told to stop, and in whose place Kubernetes took another."""
        known = views(intents={"bf16-0": self.DRAINED}, observed_at_s=NOW_S + 2)
        done = steer(known, targets((4, 5, 5)), situation())
        assert (phases(done, "bf16-0"), given(done)) == ([Phase.SERVE], [])

    @pytest.mark.parametrize(
        ("pool", "since_s", "changes", "verbs"),
        [
            pytest.param({}, NOW_S - 5, {}, [], id="the one that starts would go in its place"),
            pytest.param({}, NOW_S - 1e4, {}, [Verb.STOP], id="one that never gets ready may go"),
            pytest.param({}, NOW_S - 5, {"must_fall": True}, [Verb.STOP], id="more is drawn than is allowed"),
            pytest.param({"in_order": True}, NOW_S - 5, {}, [Verb.STOP], id="the last one goes, whoever is ready"),
            pytest.param({"places": 0}, NOW_S - 5, {}, [Verb.STOP], id="the process itself is stopped"),
        ],
    )
    def test_a_pod_is_not_stopped_while_another_of_its_workload_starts(self, pool, since_s, changes, verbs):
        intents = {"bf16-0": self.DRAINED, "bf16-3": intent(Phase.WAKE, since_s=since_s, commanded_s=NOW_S)}
        known = views({"bf16-3": InstanceState.STARTING}, intents, observed_at_s=NOW_S + 2)
        pods = {"can_sleep": False, "may_stop": True, "places": 4, **pool}
        known = tuple(
            replace(view, pool=replace(view.pool, **pods)) if view.pool_index == 0 else view for view in known
        )
        done = steer(known, targets((3, 5, 5)), situation(**changes))
        assert [verb for verb, _ in given(done)] == verbs

    def test_the_acknowledgement_is_remembered(self):
        _, done = self.sleeps(busy=3)
        later, _ = self.sleeps(
            seen_at_s=NOW_S + 1.5,
            acknowledged_s=done.views[0].intent.acknowledged_s,
            at=situation(router=router(sequence=6, observed_at_s=NOW_S + 1.4)),
        )
        assert later == [(Verb.SLEEP, "bf16-0")]

    def test_a_router_that_falls_back_to_its_static_weights_takes_its_acknowledgement_back(self):
        at = situation(router=router(sequence=-1))
        assert self.sleeps(acknowledged_s=NOW_S - 5, at=at)[0] == []

    def test_requests_on_other_instances_do_not_matter(self):
        assert self.sleeps(at=situation(router=router(bf16_1=9)))[0] == [(Verb.SLEEP, "bf16-0")]

    def test_a_restarted_router_that_obeys_nothing_acknowledges_nothing(self):
        assert self.sleeps(at=situation(router=router(sequence=-1)))[0] == []


class TestRising:
    def test_those_still_draining_come_back_first_the_fullest_of_them(self):
        drains = {f"bf16-{n}": intent(Phase.DRAIN, sequence=9) for n in (0, 1)}
        states = asleep("bf16", 2, 3)
        done = steer(views(states, drains, {"bf16-0": 1, "bf16-1": 7}), targets((1, 5, 5)), situation())
        assert phases(done, "bf16-0", "bf16-1") == [Phase.DRAIN, Phase.SERVE]
        assert given(done) == []

    def test_then_sleepers_then_those_that_are_off(self):
        states = {**asleep("bf16", 1), "bf16-2": OFF, "bf16-3": OFF}
        done = steer(views(states), targets((3, 5, 5)), situation())
        assert given(done) == [(Verb.WAKE, "bf16-1"), (Verb.START, "bf16-2")]
        assert phases(done, "bf16-1", "bf16-2", "bf16-3") == [Phase.WAKE, Phase.WAKE, Phase.OFF]

    def test_under_a_limit_only_what_fits_is_woken(self):
        states = asleep("int4", 0, 1, 2)
        one = 1.1 * (site().pools[2].curves.p0_w - site().pools[2].curves.sleeping_w)
        done = steer(views(states), targets(ALL_ON), situation(called=True, headroom_w=1.5 * one))
        assert given(done) == [(Verb.WAKE, "int4-0")]

    def test_under_a_limit_what_is_woken_counts_at_the_upper_end_of_its_doubt(self):
        states = asleep("int4", 0, 1, 2)
        one = 1.1 * (site().pools[2].curves.p0_w - site().pools[2].curves.sleeping_w)
        room = situation(called=True, headroom_w=2.1 * one)
        assert len(given(steer(views(states), targets(ALL_ON), room))) == 2
        doubted = replace(room, doubts_w=(0.0, 0.0, 0.1 * one))
        assert len(given(steer(views(states), targets(ALL_ON), doubted))) == 1

    def test_a_wake_without_effect_is_given_again_after_a_while(self):
        states = asleep("bf16", 0)
        recent = {"bf16-0": intent(Phase.WAKE, commanded_s=NOW_S - 10.0)}
        assert given(steer(views(states, recent), targets(ALL_ON), situation())) == []
        old = {"bf16-0": intent(Phase.WAKE, commanded_s=NOW_S - 31.0)}
        done = steer(views(states, old), targets(ALL_ON), situation())
        assert given(done) == [(Verb.WAKE, "bf16-0")]
        off = {"bf16-0": OFF}
        assert given(steer(views(off, old), targets(ALL_ON), situation())) == [(Verb.START, "bf16-0")]

    def test_an_instance_already_on_its_way_is_not_told_twice(self):
        states = {"bf16-0": InstanceState.WAKING}
        assert given(steer(views(states), targets(ALL_ON), situation())) == []

    def test_what_cannot_be_reached_is_left_alone(self):
        states = {f"bf16-{n}": InstanceState.UNREACHABLE for n in range(4)}
        assert given(steer(views(states), targets(ALL_ON), situation())) == []


class TestStopping:
    def test_sleepers_stop_only_when_the_plan_wants_their_gpus(self):
        states = asleep("bf16", 1, 2, 3)
        kept = steer(views(states), targets((1, 5, 5)), situation())
        assert given(kept) == []
        freed = steer(views(states), targets((1, 5, 5), loaded=(2, 5, 5)), situation())
        assert given(freed) == [(Verb.STOP, "bf16-1"), (Verb.STOP, "bf16-2")]
        assert phases(freed, "bf16-1", "bf16-3") == [Phase.OFF, Phase.SLEEP]


class TestRoom:
    """An instance that the limit has no room for."""

    states = asleep("int4", 0, 1, 2, 3, 4)

    def test_what_lacks_is_told_where_nothing_is_to_go(self):
        done = steer(views(self.states), targets((4, 5, 1)), situation(called=True, headroom_w=10.0))
        curves = site().pools[2].curves
        assert given(done) == []
        assert done.lacking_w == pytest.approx(1.1 * (curves.p0_w - curves.sleeping_w))

    def test_whoever_is_to_go_makes_the_room(self):
        done = steer(views(self.states), targets((3, 5, 1)), situation(called=True, headroom_w=10.0))
        assert (done.lacking_w, draining(done)) == (0.0, ["bf16-0"])

    def test_nothing_lacks_where_there_is_room(self):
        done = steer(views(self.states), targets((4, 5, 1)), situation(called=True, headroom_w=9000.0))
        assert (done.lacking_w, given(done)) == (0.0, [(Verb.WAKE, "int4-0")])

    def test_what_is_on_its_way_up_serves_before_the_next_goes_for_want_of_room(self):
        up = {"int4-0": intent(Phase.WAKE, commanded_s=NOW_S - 1.0)}
        tight = situation(called=True, headroom_w=10.0)
        assert draining(steer(views(self.states, up), targets((3, 5, 2)), tight)) == []
        served = {name: state for name, state in self.states.items() if name != "int4-0"}
        assert draining(steer(views(served), targets((3, 5, 2)), tight)) == ["bf16-0"]

    def test_while_the_draw_must_fall_nobody_waits_for_what_is_on_its_way_up(self):
        up = {"int4-0": intent(Phase.WAKE, commanded_s=NOW_S - 1.0)}
        falling = situation(called=True, headroom_w=0.0, must_fall=True)
        assert draining(steer(views(self.states, up), targets((3, 5, 2)), falling)) == ["bf16-0"]


def released(names, is_let_go=True, **changes):
    """Views of pools whose pods an autoscaler takes, of which these sleep and are let go."""
    return tuple(
        replace(
            view,
            pool=replace(view.pool, lets_go=True, **changes),
            seen=replace(view.seen, is_let_go=is_let_go and view.instance.instance_id in names),
        )
        for view in views(dict.fromkeys(names, SLEEPING))
    )


class TestLettingGo:
    def test_one_that_rests_awake_serves_at_once_and_nothing_is_commanded(self):
        done = steer(released(["bf16-0", "bf16-1"], rests_awake=True), targets((3, 5, 5)), situation())
        assert phases(done, "bf16-0", "bf16-1") == [Phase.SERVE, Phase.SLEEP]
        assert next(view for view in done.views if view.instance.instance_id == "bf16-0").serves
        assert given(done) == []
        assert [(each.verb, each.instance_id) for each in done.wanted] == [(Verb.WAKE, "bf16-0")]

    def test_it_comes_back_only_within_the_room_under_a_limit(self):
        seen = released(["bf16-0"], rests_awake=True)
        curves = seen[0].pool.curves
        added_w = 1.1 * (curves.p0_w - curves.sleeping_w)
        for room_w, phase in ((added_w - 1.0, Phase.SLEEP), (added_w + 1.0, Phase.SERVE)):
            done = steer(seen, targets((4, 5, 5)), situation(headroom_w=room_w))
            assert phases(done, "bf16-0") == [phase]

    def test_one_that_really_sleeps_is_woken(self):
        done = steer(released(["bf16-0"]), targets((4, 5, 5)), situation())
        assert given(done) == [(Verb.WAKE, "bf16-0")]
        assert phases(done, "bf16-0") == [Phase.WAKE]

    def test_sleepers_that_are_not_wanted_are_told_now_and_then_and_sleep_on(self):
        names = ["bf16-0", "bf16-1"]
        done = steer(released(names, is_let_go=False), targets((2, 5, 5), (2, 5, 5)), situation())
        assert given(done) == [(Verb.STOP, "bf16-0"), (Verb.STOP, "bf16-1")]
        assert phases(done, *names) == [Phase.SLEEP] * 2
        for later_s, again in ((29.0, 0), (31.0, 2)):
            at = situation(now_s=NOW_S + later_s)
            assert len(given(steer(done.views, targets((2, 5, 5), (2, 5, 5)), at))) == again

    @pytest.mark.parametrize(("loaded", "more"), [(3, []), (2, [(Verb.STOP, "bf16-1")])])
    def test_what_is_let_go_counts_as_gone_and_is_not_told_again(self, loaded, more):
        seen = released(["bf16-0", "bf16-1"])
        seen = (seen[0], replace(seen[1], seen=replace(seen[1].seen, is_let_go=False)), *seen[2:])
        assert given(steer(seen, targets((2, 5, 5), (loaded, 5, 5)), situation())) == more


class TestHeld:
    """Pools that the controller leaves as they are."""

    def held(self, states=None, mode=Mode.OBSERVE, name="fp8", **changes):
        seen = views(states, **changes)
        return tuple(
            replace(view, pool=replace(view.pool, mode=mode)) if view.pool.pool_id == name else view for view in seen
        )

    @pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
    @pytest.mark.parametrize("on", [0, 2, 5])
    def test_whatever_is_wanted_none_of_them_takes_a_step(self, mode, on):
        states = {**asleep("fp8", 0, 1), "fp8-2": OFF}
        seen = self.held(states, mode)
        done = steer(seen, targets((4, on, 5), (4, on, 5)), situation(break_first=True))
        assert (done.commands, done.wanted, done.views) == ((), (), seen)

    def test_a_drain_from_before_ends_in_no_command(self):
        ended = intent(Phase.DRAIN, sequence=3, acknowledged_s=NOW_S - 9.0)
        assert given(steer(views(intents={"fp8-0": ended}), targets((4, 4, 5)), situation())) == [(Verb.SLEEP, "fp8-0")]
        assert given(steer(self.held(intents={"fp8-0": ended}), targets((4, 4, 5)), situation())) == []

    def test_what_others_wake_of_them_is_not_waited_for(self):
        waking = {"fp8-0": InstanceState.WAKING, **asleep("bf16", 0)}
        woken = steer(self.held(waking), targets((4, 4, 4)), situation())
        assert given(woken) == [(Verb.WAKE, "bf16-0")]
        assert given(steer(views(waking), targets((4, 4, 4)), situation())) == []

    def test_what_draws_too_much_does_not_wait_for_them_either(self):
        waking = {"fp8-0": InstanceState.WAKING, **asleep("bf16", 0)}
        at = situation(headroom_w=0.0)
        assert draining(steer(self.held(waking), targets((4, 4, 4)), at)) == ["int4-0"]
        assert draining(steer(views(waking), targets((4, 5, 4)), at)) == []

    def test_they_are_nobody_who_is_to_go(self):
        short = steer(self.held(asleep("bf16", 0)), targets((4, 0, 5)), situation(headroom_w=0.0))
        assert short.lacking_w > 0.0
        assert steer(views(asleep("bf16", 0)), targets((4, 0, 5)), situation(headroom_w=0.0)).lacking_w == 0.0
