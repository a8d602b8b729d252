import statistics

from controller.openadr.draws import Draws


def test_an_event_is_drawn_once_and_every_site_draws_for_itself():
    assert Draws(7).of("e-1") == Draws(7).of("e-1")
    assert len({Draws(7).of("e-1"), Draws(7).of("e-2"), Draws(8).of("e-1")}) == 3


def test_draws_are_uniform_from_minus_one_to_one():
    drawn = sorted(Draws(seed).of("e-1") for seed in range(4000))
    assert -1.0 <= drawn[0] < -0.99
    assert 0.99 < drawn[-1] <= 1.0
    assert abs(statistics.fmean(drawn)) < 0.05
    for n, tenth in enumerate(drawn[::400]):  # uniform: the tenths lie evenly
        assert abs(tenth - (-1.0 + 0.2 * n)) < 0.06
