from controller.actuators.loads_board import LoadsBoard
from router.contract_loads import EngineState, InstanceLoad, Loads, decode_loads


def test_the_last_loads_are_up_with_a_tag_of_their_own():
    board = LoadsBoard()
    assert board.current is None
    loads = Loads(7, 2, (InstanceLoad("bf16-0", EngineState.SERVING, 3, 1, 0.5),))
    first = board.post(loads)
    assert board.current is first
    assert decode_loads(first.body) == loads
    assert board.post(Loads(8, 2, loads.instances)).etag != first.etag
