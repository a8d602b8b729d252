import pytest

from router.transport.redis_client import open_redis


async def test_the_password_of_the_environment_takes_the_place_of_the_address() -> None:
    async with open_redis("redis://user:old@127.0.0.1:1/0", None, "new") as client:
        given = client.connection_pool.connection_kwargs
        assert given["password"] == "new"
    async with open_redis("redis://:own@127.0.0.1:1/0", None, None) as client:
        assert client.connection_pool.connection_kwargs["password"] == "own"


def test_an_address_that_is_none_of_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="redis://"):
        open_redis("ftp://r", None, None)
