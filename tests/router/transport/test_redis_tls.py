from pathlib import Path

from router.settings import ClientTlsSettings
from router.transport.redis_tls import redis_options


def test_redis_without_tls_is_told_nothing() -> None:
    assert redis_options("redis://r:6379", None) == {}
    assert redis_options("unix:///run/redis.sock", None) == {}


def test_redis_by_tls_is_always_verified() -> None:
    assert redis_options("rediss://r:6379", None) == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


def test_the_files_are_those_of_the_settings() -> None:
    tls = ClientTlsSettings(ca_file=Path("ca.pem"), certificate_file=Path("c.pem"), key_file=Path("k.pem"))
    options = redis_options("rediss://r:6379", tls)
    assert (options["ssl_ca_certs"], options["ssl_certfile"], options["ssl_keyfile"]) == ("ca.pem", "c.pem", "k.pem")
    assert options["ssl_cert_reqs"] == "required"
