"""The start of an engine's process: what stands in its way, and the start itself. No shell takes part."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from controller.errors import ActuationError
from controller.supervise.spec import EngineSpec
from router.transport.addresses import parse_engine


class NotYet(ActuationError):  # noqa: N818 - reads as the outcome it is
    """The engine may not be started for now, which is no fault of its own and passes."""


def refuse_taken(spec: EngineSpec) -> None:
    """See that nobody listens where the engine is to.

    Raises:
        ActuationError: somebody does, or the address is not this machine's.
    """
    address = parse_engine(spec.url)
    if address.is_unix:
        _refuse_taken_socket(spec, address.host)
        return
    port = address.address[1]
    where = f"{spec.host}:{port}"
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            spec.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise ActuationError(spec.instance_id, _address_fault(where, error)) from error


def launch(spec: EngineSpec, environment: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    """Start the process, the leader of a session of its own, so that no signal to the supervisor's group reaches it.

    Args:
        spec: of the engine.
        environment: what it inherits; its own is set over it.
        output: descriptor that its output goes to.

    Raises:
        ActuationError: the program is not found, may not be run, or the system has no room for it.
    """
    whole = {**environment, **spec.environment}
    program = shutil.which(spec.argv[0], path=whole.get("PATH"))
    if program is None:
        raise ActuationError(
            spec.instance_id,
            f"command {spec.argv[0]!r} is not found; install it, write its whole path in "
            f"plan.pools.{spec.pool_id}.serve.command, or correct PATH, which is {whole.get('PATH', '')!r:.300}",
        )
    try:
        return subprocess.Popen(
            [program, *spec.argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=whole,
        )
    except OSError as error:
        raise ActuationError(spec.instance_id, f"{program} cannot be run: {error.strerror}") from error


def nowhere() -> int:
    """A descriptor for output that nobody keeps."""
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _address_fault(where: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"something else listens on {where}; stop it, or give the instance another address"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{where} is no address of this machine; set plan.pools.NAME.serve.host, or correct pools[].instances"
    return f"{where} cannot be listened on: {error.strerror}"


def _refuse_taken_socket(spec: EngineSpec, path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            if not Path(path).parent.is_dir():
                raise ActuationError(spec.instance_id, f"the folder of its socket {path} does not exist") from None
            return
        except OSError as error:
            raise ActuationError(spec.instance_id, f"{path} cannot be listened on: {error.strerror}") from error
    raise ActuationError(spec.instance_id, f"something else listens on {path}; stop it, or give it another address")
