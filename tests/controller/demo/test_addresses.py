from __future__ import annotations

import socket

import pytest

from controller.demo import addresses
from controller.errors import ListenError


def test_a_free_block_is_found_and_really_free() -> None:
    found = addresses.choose(0, engines=12)
    ports = [found.router, found.router_admin, found.controller, found.emulator_control, *found.engines]
    assert ports == list(range(found.router, found.router + 16))
    for port in ports:
        with socket.socket() as listener:
            listener.bind((addresses.HOST, port))


def test_the_wanted_port_is_the_routers() -> None:
    base = addresses.choose(0, engines=3).router
    assert addresses.choose(base, engines=3).router == base


@pytest.mark.parametrize("taken", [0, 3])
def test_a_taken_port_of_the_wanted_block_is_named(taken: int) -> None:
    base = addresses.choose(0, engines=3).router
    with socket.socket() as other:
        other.bind((addresses.HOST, base + taken))
        other.listen()
        with pytest.raises(ListenError, match=f"127.0.0.1:{base + taken}: .*choose another one") as caught:
            addresses.choose(base, engines=3)
    assert caught.value.exit_code == 3


def test_a_block_beyond_the_last_port_is_refused() -> None:
    with pytest.raises(ListenError, match="needs 16 ports from 65530 on"):
        addresses.choose(65_530, engines=12)


def test_another_block_is_taken_where_the_first_is_not_free() -> None:
    base = addresses.choose(0, engines=2).router
    with socket.socket() as other:
        other.bind((addresses.HOST, base + 1))
        other.listen()
        assert addresses.choose(0, engines=2).router != base
