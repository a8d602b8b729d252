"""`wattroute-router drain`: takes the router of this machine out of service and waits until it has drained.

For preStop hooks and ExecStop: it reads the admin port and its token from the router's own configuration file.
"""

from __future__ import annotations

import argparse
import http.client
import sys
from collections.abc import Sequence
from pathlib import Path

from router import config_file
from router.admin import read_token
from router.drained import QUIET_S
from router.errors import DrainError, SettingsError
from router.settings import CONTROLLER_SECTIONS, RouterFile, RouterSettings
from router.settings.process import LONGEST_DRAIN_S

COMMAND = "drain"
_ABOUT = "Take the router of this machine out of service, and wait until nothing is in flight."
_OWN = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a router that listens on every address is reached from its own machine."""
_GRACE_S = 10.0
"""How much longer than the wait the answer may take."""


def run(arguments: Sequence[str]) -> None:
    """Begin the drain and wait for its end.

    Raises:
        SettingsError: the configuration file or the token cannot be used.
        DrainError: the admin port does not answer, or requests are in flight yet when the wait is over.
    """
    parser = argparse.ArgumentParser(f"wattroute-router {COMMAND}", description=_ABOUT, allow_abbrev=False)
    parser.add_argument("--config", type=Path, required=True, help="the router's configuration file")
    parser.add_argument("--wait-s", type=float, help="longest wait; router.timeouts.drain_s unless given")
    parser.add_argument("--quiet-s", type=float, default=QUIET_S, help="how long nothing must have been in flight")
    options = parser.parse_args(arguments)
    router = config_file.load(options.config, RouterFile, ignore=CONTROLLER_SECTIONS).router
    wait_s = router.timeouts.drain_s if options.wait_s is None else options.wait_s
    for name, value in (("--wait-s", wait_s), ("--quiet-s", options.quiet_s)):
        if not 0 <= value <= LONGEST_DRAIN_S:
            raise SettingsError(f"{name} {value:g} is not between 0 and {LONGEST_DRAIN_S:g} seconds")
    _ask(router, "POST", "/drain", _GRACE_S, 202)
    _ask(router, "GET", f"/drained?wait_s={wait_s:g}&quiet_s={options.quiet_s:g}", wait_s + _GRACE_S, 200)
    sys.stdout.write("drained\n")


def _ask(router: RouterSettings, method: str, path: str, timeout_s: float, expected: int) -> None:
    host = _OWN.get(router.admin_host, router.admin_host)
    headers = {}
    if router.admin_token_file is not None and method == "POST":
        headers["Authorization"] = f"Bearer {read_token(router.admin_token_file)}"
    connection = http.client.HTTPConnection(host, router.admin_port, timeout=timeout_s)
    where = f"{method} {host}:{router.admin_port}{path}"
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(4096).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise DrainError(f"{where}: {reason}; is the router of this configuration running here?") from error
    finally:
        connection.close()
    if answer.status != expected:
        raise DrainError(f"{where}: {answer.status} {body}")
