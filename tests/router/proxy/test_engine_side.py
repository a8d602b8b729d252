import asyncio

from router.proxy.engine_side import EngineConnection, EnginePool
from router.transport.dialing import Dialer
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.running import until


class User:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.engine: EngineConnection | None = None
        self.refused: str | None = None
        self.told: str | None = None
        self.lost: list[Exception | None] = []

    def engine_connected(self, engine: EngineConnection) -> None:
        self.engine = engine

    def engine_refused(self, reason: str, told: str | None = None) -> None:
        self.refused = reason
        self.told = told

    def engine_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


async def connected(pool: EnginePool, engine: FakeEngine) -> tuple[User, EngineConnection]:
    user = User()
    await pool.connect(("127.0.0.1", engine.port), user)
    assert user.engine is not None
    return user, user.engine


async def test_a_connection_is_used_again_until_its_time_is_over() -> None:
    async with FakeEngine() as engine:
        pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
        _, connection = await connected(pool, engine)
        pool.give_back(connection, now_s=10.0)
        assert pool.take(connection.address, now_s=13.9) is connection
        assert connection.is_reused
        pool.give_back(connection, now_s=14.0)
        assert pool.take(connection.address, now_s=18.0) is None
        assert connection.transport.is_closing()


async def test_the_latest_used_connection_comes_first() -> None:
    async with FakeEngine() as engine:
        pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
        _, first = await connected(pool, engine)
        _, second = await connected(pool, engine)
        pool.give_back(first, now_s=0.0)
        pool.give_back(second, now_s=1.0)
        assert pool.take(first.address, now_s=1.0) is second
        assert pool.take(first.address, now_s=1.0) is first
        assert pool.take(first.address, now_s=1.0) is None
        first.abort()
        second.abort()


async def test_sweeping_closes_what_is_idle_for_too_long() -> None:
    async with FakeEngine() as engine:
        pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
        _, old = await connected(pool, engine)
        _, young = await connected(pool, engine)
        pool.give_back(old, now_s=0.0)
        pool.give_back(young, now_s=2.0)
        pool.sweep(now_s=4.5)
        assert old.transport.is_closing()
        assert pool.take(young.address, now_s=4.5) is young
        pool.give_back(young, now_s=4.5)
        pool.close()
        assert young.transport.is_closing()


async def test_an_idle_connection_that_the_engine_closes_is_forgotten() -> None:
    engine = FakeEngine()
    await engine.start()
    pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
    user, connection = await connected(pool, engine)
    pool.give_back(connection, now_s=0.0)
    await engine.kill()
    await until(lambda: connection.transport.is_closing())
    await asyncio.sleep(0.01)
    assert pool.take(connection.address, now_s=0.0) is None
    assert user.lost == []


async def test_the_user_is_told_of_a_loss() -> None:
    engine = FakeEngine()
    await engine.start()
    user, _ = await connected(EnginePool(keep_alive_s=4.0, dial=Dialer().connect), engine)
    await engine.kill()
    await until(lambda: user.lost)


async def test_an_engine_that_is_not_there_refuses() -> None:
    engine = FakeEngine()
    await engine.start()
    await engine.kill()
    user = User()
    await EnginePool(keep_alive_s=4.0, dial=Dialer().connect).connect(("127.0.0.1", engine.port), user)
    assert user.engine is None
    assert user.refused is not None


async def test_a_connection_with_unsent_bytes_is_not_kept() -> None:
    async with FakeEngine() as engine:
        pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
        _, connection = await connected(pool, engine)
        connection.transport.write(b"x" * 50_000_000)
        pool.give_back(connection, now_s=0.0)
        assert pool.take(connection.address, now_s=0.0) is None


async def test_a_paused_connection_reads_again_for_its_next_user() -> None:
    async with FakeEngine() as engine:
        pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
        _, connection = await connected(pool, engine)
        connection.pause()
        connection.pause()
        pool.give_back(connection, now_s=0.0)
        assert pool.take(connection.address, now_s=0.0) is connection
        user = User()
        connection.user = user
        await engine.kill()
        await until(lambda: user.lost)


async def test_giving_up_while_connecting_leaves_no_connection() -> None:
    async with FakeEngine() as engine:
        pool = EnginePool(keep_alive_s=4.0, dial=Dialer().connect)
        user = User()
        task = pool.connect(("127.0.0.1", engine.port), user)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert user.engine is None
        assert user.refused is None
