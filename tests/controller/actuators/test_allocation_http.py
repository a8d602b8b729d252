from controller.actuators.allocation_http import AllocationBoard
from router.contract import decode
from tests.fakes.controller_parts import NOW_S, commands


async def test_a_table_is_up_until_it_expires():
    board = AllocationBoard()
    assert board.current(NOW_S) is None
    assert await board.apply(commands(sequence=8)) == ("table 8 put up",)
    published = board.current(NOW_S)
    assert published.etag == '"8"'
    assert decode(published.body) == published.table
    assert board.current(NOW_S + 59.9) is published
    assert board.current(NOW_S + 60) is None


async def test_the_same_table_is_put_up_once_and_a_new_one_replaces_it():
    board = AllocationBoard()
    await board.apply(commands(sequence=8))
    assert await board.apply(commands(sequence=8)) == ()
    await board.apply(commands(sequence=9))
    assert board.current(NOW_S).etag == '"9"'


async def test_a_controller_that_leads_no_more_takes_its_table_down():
    board = AllocationBoard()
    await board.apply(commands(sequence=8))
    board.clear()
    assert board.current(NOW_S) is None
    await board.apply(commands(sequence=8))
    assert board.current(NOW_S).etag == '"8"'
