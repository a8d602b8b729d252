from controller.model.grid import Precedence
from tests.controller.lifecycle.test_capability import facts


def test_the_facts_of_a_tick_are_its_own():
    known = facts(60)
    assert (known.now_s, known.unknown, known.order) == (1060.0, None, Precedence.CONTRACT)
    assert known.measured_w > 5000.0
    assert len(known.serving) == 3
    assert sum(known.serving) >= 1
    assert all(each > 0.0 for each in known.present)
