"""Packets that are lost on their way, within a network that nothing but this bench uses."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterable, Sequence

PROGRAMS = ("unshare", "ip", "nft")
SPARED = "127.0.0.9"
"""Whoever asks from here loses nothing: the bench itself, and the clients."""
_INSIDE = "WATTROUTE_BENCH_NETWORK"
_RULES = """table inet lost {{
  chain arriving {{
    type filter hook input priority 0
    tcp dport {{ {ports} }} ip saddr != {spared} drop
    tcp sport {{ {ports} }} ip daddr != {spared} drop
  }}
}}
"""


def can_drop() -> bool:
    """Whether this process runs in a network of its own."""
    return _INSIDE in os.environ


def in_own_network(command: Sequence[str]) -> list[str]:
    """What runs `command` in a network that has nothing but its loopback."""
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "sh",
        *command,
    ]


def enter(command: Sequence[str]) -> None:
    """Become `command` in a network of its own; return where that is done already, or cannot be."""
    if can_drop():
        return
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        sys.stderr.write(f"no packets are dropped, {', '.join(missing)} not found: install nftables and iproute2\n")
        return
    inside = in_own_network(command)
    os.execvpe(inside[0], inside, {**os.environ, _INSIDE: "own"})


async def lose(ports: Iterable[int]) -> None:
    """Drop what arrives at these ports, or comes from them."""
    await _nft("-f", "-", told=_RULES.format(ports=", ".join(map(str, ports)), spared=SPARED))


async def carry() -> None:
    """Drop nothing any more."""
    await _nft("delete", "table", "inet", "lost")


async def _nft(*arguments: str, told: str = "") -> None:
    process = await asyncio.create_subprocess_exec(
        "nft", *arguments, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate(told.encode())
    if process.returncode:
        raise RuntimeError(f"nft {' '.join(arguments)}: {error.decode().strip()}")
