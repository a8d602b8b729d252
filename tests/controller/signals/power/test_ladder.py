from dataclasses import replace

import pytest

from controller.model.observation import Missing, Quality, Reading, Rung
from controller.signals.power.ladder import GpuReport, Ladder, LadderRules, MeterReport
from tests.fakes.controller_parts import pool, site

SITE = site(pool("a", ("http://a:1", "http://a:2"), gpus=1), pue=1.25, aux_w=100.0)
A, B = "GPU-a-0-0", "GPU-a-1-0"
T = 1000.0
RULES = LadderRules(stale_s=15.0, hold_s=10.0, alarm_after_s=5.0)


def at(value_w: float, at_s: float, source: str = "x", energy_j: float | None = None) -> Reading:
    return Reading(value_w, energy_j, at_s, source, Quality.DIRECT)


def nvml(now_s: float, **watts: float) -> GpuReport:
    return GpuReport("nvml", Rung.NVML, {{"a": A, "b": B}[k]: at(w, now_s, "nvml") for k, w in watts.items()})


def dcgm(now_s: float, **watts: float) -> GpuReport:
    return GpuReport("dcgm", Rung.DCGM, {{"a": A, "b": B}[k]: at(w, now_s, "dcgm") for k, w in watts.items()})


def meter(watts: float, at_s: float) -> MeterReport:
    return MeterReport("main", at(watts, at_s, "the meter"))


def gone(now_s: float, name: str = "main") -> MeterReport:
    return MeterReport(name, Missing(name, "unplugged", now_s))


def summed(*watts: float) -> float:
    return 1.25 * sum(watts) + 100.0


def test_the_meter_then_nvml_then_dcgm_then_the_model():
    ladder = Ladder(SITE, RULES)
    view = ladder.look((nvml(T, a=400, b=400), dcgm(T, a=401, b=401)), (meter(1120.0, T),), T)
    assert (view.site_power.value_w, view.ladder.rung, view.ladder.reason) == (1120.0, Rung.METER, "")
    at_s = T + 16
    view = ladder.look((nvml(at_s, a=400, b=400), dcgm(at_s, a=401, b=401)), (gone(at_s),), at_s)
    assert (view.site_power.value_w, view.ladder.rung) == (summed(400, 400), Rung.NVML)
    assert "meter: the meter is 16 s old" in view.ladder.reason
    at_s = T + 32
    failed = GpuReport("nvml", Rung.NVML, {}, "driver hangs")
    view = ladder.look((failed, dcgm(at_s, a=401, b=401)), (gone(at_s),), at_s)
    assert (view.site_power.value_w, view.ladder.rung) == (summed(401, 401), Rung.DCGM)
    assert "driver hangs" in view.ladder.reason
    at_s = T + 64
    view = ladder.look((failed, GpuReport("dcgm", Rung.DCGM, {}, "down")), (gone(at_s),), at_s)
    assert view.ladder.rung is Rung.MODEL
    assert isinstance(view.site_power, Missing)
    assert view.ladder.best is Rung.METER


def test_a_scrape_that_fails_once_makes_no_hole():
    ladder = Ladder(SITE, RULES)
    ladder.look((dcgm(T, a=400, b=400),), (), T)
    view = ladder.look((GpuReport("dcgm", Rung.DCGM, {}, "timeout"),), (), T + 5)
    assert (view.site_power.value_w, view.site_power.observed_at_s, view.ladder.rung) == (
        summed(400, 400),
        T,
        Rung.DCGM,
    )
    assert view.ladder.sources[0].error == "timeout"


def test_gpus_of_different_sources_are_summed_and_the_worst_rung_holds():
    view = Ladder(SITE, RULES).look((nvml(T, a=400), dcgm(T, a=399, b=300)), (), T)
    assert view.site_power.value_w == summed(400, 300)
    assert (view.ladder.rung, view.ladder.best) == (Rung.DCGM, Rung.NVML)
    assert view.ladder.reason == f"nvml does not show {B}"


def test_sources_of_one_rung_are_no_step_down():
    both = (dcgm(T, a=400), GpuReport("dcgm-2", Rung.DCGM, {B: at(300, T)}))
    ladder = Ladder(SITE, RULES).look(both, (), T).ladder
    assert (ladder.rung, ladder.best, ladder.reason) == (Rung.DCGM, Rung.DCGM, "")


def test_a_meter_that_comes_back_must_stay_before_it_counts_again():
    ladder, rungs = Ladder(SITE, RULES), []
    for second in range(60):
        now_s = T + second
        report = gone(now_s) if 1 <= second < 30 else meter(1150.0, now_s)
        view = ladder.look((nvml(now_s, a=400, b=400),), (report,), now_s)
        rungs.append(view.ladder.rung)
        if second == 35:
            assert "must stay for 10 s" in view.ladder.reason
            assert view.site_power.source == "sum of GPUs"
    assert rungs == [Rung.METER] * 16 + [Rung.NVML] * 24 + [Rung.METER] * 20


def test_a_scrape_of_thirty_seconds_does_not_flap():
    ladder, rungs = Ladder(SITE, LadderRules(hold_s=20.0)), []
    for second in range(120):
        scraped_s = T + second // 30 * 30
        rungs.append(ladder.look((dcgm(scraped_s, a=400, b=400),), (), T + second).ladder.rung)
    assert rungs[:16] == [Rung.DCGM] * 16
    assert set(rungs[16:]) == {Rung.MODEL}


def test_measured_power_is_shown_while_the_model_still_holds():
    ladder = Ladder(SITE, RULES)
    ladder.look((dcgm(T, a=400, b=400),), (), T)
    ladder.look((dcgm(T, a=400, b=400),), (), T + 20)
    view = ladder.look((dcgm(T + 21, a=400, b=400),), (), T + 21)
    assert (view.site_power.value_w, view.ladder.rung) == (summed(400, 400), Rung.MODEL)


def test_before_anything_was_measured_nothing_is_waited_for():
    ladder = Ladder(SITE, RULES)
    assert ladder.look((GpuReport("dcgm", Rung.DCGM, {}, "starting"),), (), T).ladder.rung is Rung.MODEL
    assert ladder.look((dcgm(T + 1, a=400, b=400),), (), T + 1).ladder.rung is Rung.DCGM


def test_two_sources_that_disagree_raise_an_alarm_and_the_higher_counts():
    ladder = Ladder(SITE, RULES)
    for second in range(7):
        now_s = T + second
        view = ladder.look((nvml(now_s, a=400, b=400), dcgm(now_s, a=600, b=400)), (), now_s)
        assert view.gpu_power[A].value_w == 600
        assert view.site_power.value_w == summed(600, 400)
        assert view.ladder.rung is Rung.DCGM
        assert [one.subject for one in view.ladder.conflicts] == ([A] if second >= 5 else [])
    assert "higher value counts" in view.ladder.reason or "nvml" in view.ladder.reason


@pytest.mark.parametrize("wrong_w", [1.1, -1100.0], ids=["counts kW", "sign flipped"])
def test_a_meter_of_the_wrong_unit_or_sign_does_not_hide_the_draw(wrong_w):
    ladder = Ladder(SITE, RULES)
    for second in range(7):
        now_s = T + second
        view = ladder.look((nvml(now_s, a=400, b=400),), (meter(wrong_w, now_s),), now_s)
    assert view.site_power.value_w == summed(400, 400)
    assert view.ladder.rung is Rung.NVML
    (alarm,) = view.ladder.conflicts
    assert (alarm.subject, alarm.higher, alarm.lower) == ("site", "sum of GPUs", "the meter")


def test_a_meter_that_nets_own_generation_is_not_compared_where_that_is_said():
    view = Ladder(SITE, LadderRules(site=None)).look((nvml(T, a=400, b=400),), (meter(-300.0, T),), T)
    assert (view.site_power.value_w, view.ladder.rung, view.ladder.conflicts) == (-300.0, Rung.METER, ())


def test_a_meter_that_shows_more_than_the_gpus_counts_as_the_higher():
    view = Ladder(SITE, RULES).look((nvml(T, a=400, b=400),), (meter(5000.0, T),), T)
    assert (view.site_power.value_w, view.ladder.rung) == (5000.0, Rung.METER)


def test_the_second_meter_stands_in_for_the_first():
    view = Ladder(SITE, RULES).look((), (gone(T), MeterReport("spare", at(900.0, T, "spare"))), T)
    assert (view.site_power.value_w, view.ladder.rung) == (900.0, Rung.METER)
    assert [(s.name, s.gpus, s.error) for s in view.ladder.sources] == [("main", 0, "unplugged"), ("spare", 1, None)]


def test_energy_goes_on_growing_across_sources():
    ladder, last_j = Ladder(SITE, RULES), 0.0
    for second in range(40):
        now_s = T + second
        readings = {A: at(400, now_s, "nvml", 1e9 + 400.0 * second), B: at(400, now_s, "nvml", 400.0 * second)}
        reports = [GpuReport("dcgm", Rung.DCGM, {A: at(400, now_s, "dcgm", 5.0 + 400.0 * second)})]
        reports += [] if 10 <= second < 15 else [GpuReport("nvml", Rung.NVML, readings)]
        energy_j = ladder.look(tuple(reports), (), now_s).gpu_power[A].energy_j
        if second:
            assert 0 <= energy_j - last_j <= 400.0 * 6
        last_j = energy_j
    assert last_j == pytest.approx(1e9 + 400.0 * 39, abs=800)


def test_a_uuid_that_no_source_shows_is_named():
    view = Ladder(SITE, RULES).look((dcgm(T, a=400),), (), T)
    assert view.gpu_power[B].reason == f"dcgm does not show {B}"
    assert B in view.site_power.reason
    bare = Ladder(SITE, RULES).look((), (), T)
    assert "no source of GPU power is configured in signals.power" in bare.site_power.reason
    assert (bare.ladder.rung, bare.ladder.best) == (Rung.MODEL, Rung.MODEL)


def test_a_reading_that_grew_old_is_handed_out_as_old():
    ladder = Ladder(SITE, RULES)
    ladder.look((dcgm(T, a=400, b=400),), (), T)
    view = ladder.look((dcgm(T, a=400, b=400),), (), T + 60)
    assert view.gpu_power[A].observed_at_s == T
    assert "60 s old" in view.site_power.reason


def test_a_reading_that_a_clock_set_back_has_left_in_the_future_is_not_used():
    ladder = Ladder(SITE, RULES)
    ladder.look((nvml(T, a=400, b=400),), (meter(1120.0, T),), T)
    back_s = T - 600
    view = ladder.look((GpuReport("nvml", Rung.NVML, {}, "down"),), (gone(back_s),), back_s)
    assert view.ladder.rung is Rung.MODEL
    assert isinstance(view.site_power, Missing)
    assert "the meter is 600 s ahead of this machine's clock" in view.ladder.reason
    assert f"{A} is 600 s ahead" in view.ladder.reason
    assert [state.gpus for state in view.ladder.sources] == [0, 0]
    here = ladder.look((nvml(back_s + 1, a=400, b=400),), (meter(1120.0, back_s + 1),), back_s + 1)
    assert here.site_power.value_w == 1120.0


def test_a_reading_that_was_taken_after_the_look_began_is_not_younger_than_new():
    view = Ladder(SITE, RULES).look((), (meter(1120.0, T + 0.5),), T)
    assert [(state.gpus, state.age_s) for state in view.ladder.sources] == [(1, 0.0)]


def test_that_gpus_disagree_is_told_beside_what_else_is_wrong():
    view = Ladder(SITE, RULES).look((nvml(T, a=400, b=400), dcgm(T, a=600, b=400)), (gone(T),), T)
    assert view.ladder.rung is Rung.DCGM
    assert view.ladder.reason == f"meter: main: unplugged; {A}: sources disagree, and the higher value counts"


def test_gpus_of_instances_that_come_are_asked_for_and_those_that_go_are_forgotten():
    ladder = Ladder(SITE, RULES)
    assert ladder.look((nvml(T, a=400, b=400),), (), T).site_power.value_w == summed(400, 400)
    (only,) = SITE.pools[0].instances[:1]
    ladder.follow(replace(SITE, gpus=1, pools=(replace(SITE.pools[0], instances=(only,)),)))
    view = ladder.look((nvml(T + 1, a=390, b=400),), (), T + 1)
    assert set(view.gpu_power) == {A}
    assert view.site_power.value_w == summed(390)
    ladder.follow(SITE)
    view = ladder.look((nvml(T + 2, a=390),), (), T + 2)
    assert isinstance(view.gpu_power[B], Missing), "what it drew before it was gone is no reading of now"
    assert isinstance(view.site_power, Missing)


def test_a_pod_whose_gpus_are_not_all_known_makes_no_smaller_sum():
    pods = (SITE.pools[0].instances[0], replace(SITE.pools[0].instances[1], gpu_uuids=()))
    ladder = Ladder(replace(SITE, pools=(replace(SITE.pools[0], instances=pods),)), RULES)
    power = ladder.look((nvml(T, a=400),), (), T).site_power
    assert isinstance(power, Missing)
    assert "1 of the GPUs of a-1 are not known" in power.reason


def test_the_error_is_that_of_the_meter_in_force():
    rough, fine = replace(meter(900.0, T), error_frac=0.05), MeterReport("spare", at(901.0, T, "spare"), 0.01)
    ladder = Ladder(SITE, RULES)
    assert ladder.look((), (rough, fine), T).ladder.error_frac == 0.05
    lost = replace(gone(T + 16), error_frac=0.05)
    second = replace(fine, reading=at(902.0, T + 16, "spare"))
    assert ladder.look((), (lost, second), T + 16).ladder.error_frac == 0.01
    assert ladder.look(
        (), (lost, MeterReport("spare", Missing("spare", "down", T + 40), 0.01)), T + 40
    ).ladder.rung is (Rung.MODEL)


def test_where_the_boards_count_the_meters_error_is_none_of_theirs():
    rough = MeterReport("main", Missing("main", "unplugged", T), 0.3)
    view = Ladder(SITE, RULES).look((nvml(T, a=400, b=400),), (rough,), T)
    assert (view.ladder.rung, view.ladder.error_frac) == (Rung.NVML, None)
