from controller.lifecycle.memory import Memory
from tests.fakes.fake_fleet import site


def test_a_restarted_controller_goes_on_above_its_former_tables():
    before, after = Memory.initial(site(), 1_700_000_000.0), Memory.initial(site(), 1_700_000_060.0)
    ticks_between = 60
    assert after.sequence > before.sequence + ticks_between


def test_it_begins_with_nothing_known():
    memory = Memory.initial(site(), 0.0)
    assert memory.plan is None
    assert memory.table is None
    assert memory.demand.observed_s == 0.0
    assert [burn.class_id for burn in memory.burns] == ["premium", "standard", "flex"]
