"""What the client for Redis is told of TLS. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from router.settings.tls import ClientTlsSettings


def redis_options(url: str, tls: ClientTlsSettings | None) -> dict[str, Any]:
    """Arguments of redis-py; it reads the files anew for each connection. None where Redis is asked without TLS."""
    if urlsplit(url).scheme != "rediss":
        return {}
    # Said though it is the default: of some versions it is not.
    options: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if tls is not None:
        files = {"ssl_ca_certs": tls.ca_file, "ssl_certfile": tls.certificate_file, "ssl_keyfile": tls.key_file}
        options |= {name: str(path) for name, path in files.items() if path is not None}
    return options
