import pytest

from controller.actuators.loads_board import LoadsBoard
from controller.errors import ActuationError
from controller.loop.load_desk import LOADS_TTL_S, LoadDesk
from controller.model.observation import InstanceObservation, InstanceState
from router.contract_loads import MAX_REQUESTS, MAX_ROUTERS_TOLD, EngineState, decode_loads

NOW_S = 1_000.0


class Store:
    def __init__(self, failure=None):
        self.written, self.failure = [], failure

    async def put_loads(self, body, ttl_s):
        if self.failure:
            raise self.failure
        self.written.append((decode_loads(body), ttl_s))


def seen(name, state, **more):
    return InstanceObservation(name, "bf16", state, NOW_S, NOW_S, **more)


async def test_each_look_is_told_under_a_number_of_its_own():
    board, store = LoadsBoard(), Store()
    desk = LoadDesk(board, lambda: 3, began_s=NOW_S, store=store)
    look = (
        seen("a", InstanceState.SERVING, running=8, waiting=2, kv_cache_usage_frac=0.25),
        seen("b", InstanceState.SLEEPING),
        seen("c", InstanceState.SLEEPING, is_unproven=True),
        *(seen(state.value, state) for state in list(InstanceState)[2:]),
    )
    await desk.tell(look)
    await desk.tell(look)
    (first, ttl_s), (second, _) = store.written
    assert (first.sequence, second.sequence, first.routers, ttl_s) == (1_000_001, 1_000_002, 3, LOADS_TTL_S)
    assert (first.instances[0].running, first.instances[0].waiting, first.instances[0].kv_cache_usage_frac) == (
        8,
        2,
        0.25,
    )
    assert "".join(each.state for each in first.instances) == "sz-----"
    assert first.instances[-1].state is EngineState.AWAY
    assert board.current is not None


async def test_figures_that_no_router_would_believe_are_cut():
    board = LoadsBoard()
    await LoadDesk(board, lambda: 10**6, began_s=-1.0).tell(
        (seen("a", InstanceState.SERVING, running=10**12, waiting=-1, kv_cache_usage_frac=7.0),)
    )
    told = decode_loads(board.current.body)
    assert told.routers == MAX_ROUTERS_TOLD
    assert (told.instances[0].running, told.instances[0].waiting) == (MAX_REQUESTS, 0)
    assert told.instances[0].kv_cache_usage_frac == 1.0


async def test_those_who_ask_over_http_are_told_though_redis_is_away():
    board = LoadsBoard()
    desk = LoadDesk(board, lambda: 1, began_s=0.0, store=Store(ActuationError("redis", "gone")))
    with pytest.raises(ActuationError):
        await desk.tell(())
    assert decode_loads(board.current.body).instances == ()
