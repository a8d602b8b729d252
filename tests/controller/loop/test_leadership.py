from controller.lifecycle.memory import Memory
from controller.loop.leadership import SoleLeader
from tests.fakes.controller_parts import NOW_S, site


async def test_a_controller_without_others_always_acts_on_its_own_memory():
    alone, memory = SoleLeader(), Memory.initial(site(), NOW_S)
    assert alone.may_act()
    assert await alone.follow(memory, NOW_S) is memory
    assert await alone.hand_over(memory, (), NOW_S)
    assert not await alone.share_asked(NOW_S)
    await alone.share_found()
    assert (alone.status, alone.failure, alone.has_heir) == (None, None, False)
    assert not await alone.find_heir()
    alone.superseded("cannot be")
    await alone.resign()
    assert alone.may_act()
