from controller.energy.joule_share import NOTHING, Share, summed


def test_energy_is_the_sum_of_its_phases():
    assert Share(1.0, 2.0, 3.0, usd=9.0).energy_j == 6.0


def test_shares_are_added_and_taken_away_figure_by_figure():
    one, two = Share(1, 2, 3, 4, 5, 6, 7), Share(10, 20, 30, 40, 50, 60, 70)
    assert one + two == Share(11, 22, 33, 44, 55, 66, 77)
    assert two - one == Share(9, 18, 27, 36, 45, 54, 63)
    assert summed([one, two, NOTHING]) == one + two
    assert one.times(2.0) == Share(2, 4, 6, 8, 10, 12, 14)


def test_rounding_leaves_nothing_of_another_sign_but_a_negative_cost_stays():
    whole = Share(3.0, 2.0, usd=-0.5, carbon_kg=0.1, unpriced_j=4.0)
    part = Share(3.0 + 1e-12, 1.5, usd=-0.125, carbon_kg=0.1 + 1e-17, unpriced_j=4.0 + 1e-15)
    assert whole.less(part) == Share(0.0, 0.5, usd=-0.375)
    assert whole.less(Share(usd=-0.5 - 1e-15)).usd == 0.0


def test_a_part_bears_its_part_of_the_costs():
    whole = Share(10.0, usd=2.0, carbon_kg=1.0, unpriced_j=4.0, uncounted_j=6.0)
    assert Share(5.0).costing(whole, 0.5) == Share(5.0, usd=1.0, carbon_kg=0.5, unpriced_j=2.0, uncounted_j=3.0)
