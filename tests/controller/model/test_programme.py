from controller.model.call import Asked, Commitment
from controller.model.programme import Programme


def test_a_programme_knows_its_levels_alone():
    quarter = Commitment(Asked.BELOW_BASELINE_FRAC, 0.25)
    programme = Programme("p", levels=((2, quarter),))
    assert programme.level(2) is quarter
    assert programme.level(3) is None
