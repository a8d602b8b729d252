from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.grid import Precedence
from controller.model.observation import Rung


def test_a_new_install_only_observes():
    assert TickPolicy().mode is Mode.OBSERVE


def test_the_contract_comes_first_unless_told_otherwise():
    assert TickPolicy().precedence is Precedence.CONTRACT


def test_a_table_outlives_several_ticks_and_a_blind_margin_is_the_wider():
    policy = TickPolicy()
    assert policy.table_ttl_s < policy.slow_interval_s
    assert policy.blind_margin_frac > policy.margin_frac
    assert policy.peak_frac > policy.utilisation_frac


def test_each_rung_below_keeps_more_free_and_never_less_than_a_surer_one():
    assert [TickPolicy().margin_of(rung) for rung in Rung] == [0.03, 0.05, 0.07, 0.10]
    wide = TickPolicy(margin_frac=0.08)
    assert [wide.margin_of(rung) for rung in Rung] == [0.08, 0.08, 0.08, 0.10]


def test_a_meter_that_may_be_off_by_more_has_no_less_kept_free():
    policy = TickPolicy(margin_frac=0.03, meter_error_frac=0.01)
    assert policy.by_meter(None) is policy
    rough, fine = policy.by_meter(0.05), policy.by_meter(0.002)
    assert (rough.margin_of(Rung.METER), rough.meter_error_frac) == (0.05, 0.05)
    assert (fine.margin_of(Rung.METER), fine.meter_error_frac) == (0.03, 0.002)
    assert policy.by_meter(0.2).margin_of(Rung.MODEL) == 0.2
