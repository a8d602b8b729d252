"""What a reader must know of a run to judge or repeat it: date, machine, versions, command."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests.bench.peers import Peer


def host(tree: Path) -> dict[str, str]:
    """Date, machine and versions of what is measured, in the order in which they are shown."""
    ours = _first_line(["git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=12"])
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{_cpu_model()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()}, uvloop {metadata.version('uvloop')}",
        "wattroute": f"{metadata.version('wattroute')} ({ours})" if ours else metadata.version("wattroute"),
    }


def line(tree: Path) -> str:
    """The same in one line."""
    return ", ".join(f"{key}: {value}" for key, value in host(tree).items())


def run(root: Path, peers: Sequence[Peer], *, checkout: Path | None) -> dict[str, str]:
    """Facts of a run beside the peers."""
    return {
        "command": _command(sys.argv[1:]),
        **host(checkout or root),
        "nginx": _first_line(["nginx", "-v"]).removeprefix("nginx version: nginx/"),
        "wrk": _first_line(["wrk", "-v"]).partition("[")[0].removeprefix("wrk ").strip(),
        **{peer.name: _installed_version(peer) for peer in peers},
    }


def _command(arguments: Sequence[str]) -> str:
    """What to type; of absolute paths, which mean nothing elsewhere, the last part."""
    shown = [Path(word).name if Path(word).is_absolute() else word for word in arguments]
    return f"make bench ARGS={shlex.quote(shlex.join(shown))}" if shown else "make bench"


def _installed_version(peer: Peer) -> str:
    """The version that pip left in the peer's environment."""
    name = re.split(r"[\[=<>]", peer.requirement)[0].replace("-", "_")
    for folder in peer.venv.glob(f"lib/python*/site-packages/{name}-*.dist-info"):
        return folder.name.removeprefix(f"{name}-").removesuffix(".dist-info")
    return "not installed"


def _cpu_model() -> str:
    cpus = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*: (.*)", cpus.read_text()) if cpus.exists() else None
    return match[1].strip() if match else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)


def _first_line(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0] if lines and (done.returncode == 0 or command[0] == "wrk") else ""
