from controller.lifecycle.policy import Mode, Precedence, TickPolicy


def test_a_new_install_only_observes():
    assert TickPolicy().mode is Mode.OBSERVE


def test_the_contract_comes_first_unless_told_otherwise():
    assert TickPolicy().precedence is Precedence.CONTRACT


def test_a_table_outlives_several_ticks_and_a_blind_margin_is_the_wider():
    policy = TickPolicy()
    assert policy.table_ttl_s < policy.slow_interval_s
    assert policy.blind_margin_frac > policy.margin_frac
    assert policy.peak_frac > policy.utilisation_frac
