from router.settings import TableSettings
from router.transport.redis_place import redis_place


def test_passwords_come_from_the_environment_and_the_rest_from_the_settings() -> None:
    table = TableSettings(redis_url="rediss://mymaster/0", sentinels=("s1:26379", "s2:26379"))
    place = redis_place(table, {"REDIS_PASSWORD": "a", "REDIS_SENTINEL_PASSWORD": "b"})
    assert (place.url, place.sentinels) == ("rediss://mymaster/0", ("s1:26379", "s2:26379"))
    assert (place.password, place.sentinel_password) == ("a", "b")
    assert place.tls["ssl_check_hostname"] is True
    assert redis_place(TableSettings(redis_url="redis://r/0"), {}).password is None


def test_the_user_of_the_environment_takes_the_place_of_the_address() -> None:
    table = TableSettings(redis_url="rediss://shared@r:6380/0")
    assert redis_place(table, {"REDIS_USERNAME": "controller"}).url == "rediss://controller@r:6380/0"
    assert redis_place(table, {"REDIS_USERNAME": ""}).url == "rediss://shared@r:6380/0"
