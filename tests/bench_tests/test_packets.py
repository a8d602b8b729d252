"""Packets are dropped by the real nft, in a network of the test's own, where that can be had."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.bench.convergence import packets
from tests.fakes.ports import free_ports
from tests.fakes.system import ROOT

PLAY = """
import asyncio, sys
from tests.bench.convergence import packets

async def reaches(port, address):
    try:
        async with asyncio.timeout(0.5):
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            writer.close()
    except TimeoutError:
        return False
    return True

async def main(lost, other):
    for port in (lost, other):
        await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)

    async def told():
        ways = (lost, "127.0.0.1"), (lost, packets.SPARED), (other, "127.0.0.1")
        return [await reaches(*way) for way in ways]

    found = [await told()]
    await packets.lose([lost])
    found.append(await told())
    await packets.carry()
    print([*found, await told()])

asyncio.run(main(*map(int, sys.argv[1:])))
"""


def can_have_a_network() -> bool:
    """Whether the programs are there, and the machine lets this user have a network of its own."""
    if any(shutil.which(name) is None for name in packets.PROGRAMS):
        return False
    return subprocess.run(packets.in_own_network(["nft", "list", "tables"]), capture_output=True).returncode == 0


@pytest.mark.skipif(not can_have_a_network(), reason="no nft, or no network of our own: apt-get install nftables")
def test_what_comes_from_elsewhere_is_lost_until_it_is_carried_again() -> None:
    play = [sys.executable, "-c", PLAY, *(str(port) for port in free_ports(2))]
    played = subprocess.run(packets.in_own_network(play), capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert played.returncode == 0, played.stderr
    reached, cut = [True, True, True], [False, True, True]
    assert played.stdout.strip() == str([reached, cut, reached])


def test_who_lacks_a_program_is_told_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else f"/bin/{name}")
    packets.enter([sys.executable])
    assert "nft not found: install nftables" in capsys.readouterr().err
