"""TLS on both sides."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from router.settings import RouterFile

FILES = {"certificate_file": "router.pem", "key_file": "router.key"}


def load(router: dict[str, Any] | None = None, pool: dict[str, Any] | None = None) -> RouterFile:
    pools = [{"name": "bf16", "precision": "bf16", "instances": ["https://engine:8000"], "tls": pool}]
    return RouterFile.model_validate({"pools": pools, "router": {"tls": router}})


def test_certificate_and_key_are_enough() -> None:
    tls = load(FILES).router.tls
    assert tls is not None
    assert (tls.minimum_version, tls.client_ca_file, tls.client_certificates) == ("TLSv1.2", None, "required")


def test_a_pool_needs_no_file_where_the_systems_authorities_are_meant() -> None:
    tls = load(pool={"server_name": "engines.internal"}).pools[0].tls
    assert tls is not None
    assert (tls.ca_file, tls.server_name) == (None, "engines.internal")


@pytest.mark.parametrize(
    ("router", "pool", "said"),
    [
        ({"certificate_file": "a.pem"}, None, "key_file"),
        ({**FILES, "minimum_version": "TLSv1.1"}, None, "'TLSv1.2' or 'TLSv1.3'"),
        ({**FILES, "client_certificates": "none"}, None, "'required' or 'optional'"),
        ({**FILES, "handshake_s": 0}, None, "greater than 0"),
        (None, {"certificate_file": "a.pem"}, "write both or neither"),
        (None, {"key_file": "a.pem"}, "write both or neither"),
        (None, {"verify": False}, "Extra inputs"),
        (None, {"server_name": "a b"}, "match pattern"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(
    router: dict[str, Any] | None, pool: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(ValidationError, match="validation error") as caught:
        load(router, pool)
    assert said in str(caught.value)
