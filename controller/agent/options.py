"""What an operator chooses of an agent, checked before anything is opened."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.errors import ConfigError
from controller.http import bearer_token
from router.transport.loopback import is_loopback

TOKEN_VARIABLE = "WATTROUTE_AGENT_TOKEN"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How the agent reads and serves.

    Attributes:
        host, port: where it listens; without a token only this machine's own addresses are allowed.
        token_file: holds the token that readers send; None takes it from the environment, if it is there.
        interval_s: time from one reading to the next, 0.2 to 1 s.
        tls_dir: folder with `tls.crt` and `tls.key` in PEM, as a Kubernetes secret of type tls has them.
        max_streams: streams served at the same time: more than one controller and its standby need.
        dcgm_names: serve the names of dcgm-exporter too.
    """

    host: str = "127.0.0.1"
    port: int = 9410
    token_file: Path | None = None
    interval_s: float = 0.2
    tls_dir: Path | None = None
    max_streams: int = 16
    dcgm_names: bool = False


def load_token(options: AgentOptions, environment: Mapping[str, str]) -> str | None:
    """The token from the file, else from the environment; None lets only this machine read.

    Raises:
        ConfigError: the file cannot be read, the token is too short to protect anything, or there is none although
            other machines are to reach the agent.
    """
    token = bearer_token.load_token(options.token_file, environment, key="--token-file", variable=TOKEN_VARIABLE)
    if token is None and not is_loopback(options.host):
        raise ConfigError(
            f"--host {options.host}: other machines may read power only with a token; give --token-file FILE or "
            f"{TOKEN_VARIABLE}, or listen on 127.0.0.1"
        )
    return token


def tls_context(options: AgentOptions) -> ssl.SSLContext | None:
    """What the port speaks; None is plain HTTP.

    Raises:
        ConfigError: a file cannot be used.
    """
    files = tls_files(options)
    if not files:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files[0], files[1], password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"--tls-dir {options.tls_dir}: tls.crt and tls.key cannot be used: {error}") from error
    return context


def tls_files(options: AgentOptions) -> tuple[Path, ...]:
    """The files that `tls_context` reads."""
    return () if options.tls_dir is None else (options.tls_dir / "tls.crt", options.tls_dir / "tls.key")


def _no_password() -> str:
    """OpenSSL would ask the terminal for the password of a key, and wait."""
    raise ValueError("the key is encrypted; give one without a password")
