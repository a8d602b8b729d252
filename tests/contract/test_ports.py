import contextlib
import socket
import subprocess
import sys

import pytest

from tests.fakes.ports import BLOCK, RANGE, PortBlock, free_ports

TAKES = """
import sys
from pathlib import Path
from tests.fakes.ports import PortBlock
print(*PortBlock(Path(sys.argv[1])).take(3))
"""


def test_all_ports_that_are_taken_together_or_in_turn_differ():
    taken = free_ports(20) + free_ports(20)
    assert len(set(taken)) == 40
    assert all(port in RANGE for port in taken)


@pytest.fixture
def blocks(tmp_path):
    """Takes blocks, and lets go of them at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(PortBlock(tmp_path)))


def test_no_port_is_taken_on_which_something_listens(blocks):
    block = blocks()
    (port,) = block.take(1)
    with socket.create_server(("127.0.0.1", port)):
        assert port not in block.take(BLOCK - 50) + block.take(BLOCK - 50)


def test_another_process_is_given_none_of_them(blocks, tmp_path):
    ours = {blocks().take(1)[0] // BLOCK for _ in range(len(RANGE) // BLOCK - 1)}
    command = [sys.executable, "-c", TAKES, str(tmp_path)]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {int(port) // BLOCK for port in theirs} & ours


def test_where_every_port_is_taken_it_says_so_until_one_lets_go(blocks, tmp_path):
    for _ in range(len(RANGE) // BLOCK - 1):
        blocks()
    with contextlib.closing(PortBlock(tmp_path)) as last:
        freed = last.take(1)[0] // BLOCK
        with pytest.raises(OSError, match="are taken by other tests"):
            PortBlock(tmp_path)
    assert blocks().take(1)[0] // BLOCK == freed
