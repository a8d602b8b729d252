from __future__ import annotations

from pathlib import Path

import pytest

from controller.lifecycle.policy import Mode
from controller.settings.file import load
from tests.fakes.controller_files import MINIMAL, refusal, write


def test_a_new_install_only_observes(tmp_path: Path) -> None:
    assert load(write(tmp_path, MINIMAL)).controller.mode is Mode.OBSERVE


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("on_exit: sleep", "'wake' or 'leave'"),
        ("exit_wait_s: 0", "greater than 0"),
        ("keep_records: 10", "greater than or equal to 10000"),
        ("supervisor_url: gpu-1:9420", "'gpu-1:9420' is no address; write http://HOST:PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, line: str, told: str) -> None:
    message = refusal(tmp_path, f"{MINIMAL}controller:\n  {line}\n")
    assert f"controller.{line.partition(':')[0]}" in message
    assert told in message


def test_a_table_that_ends_before_routers_read_the_next_one_is_refused(tmp_path: Path) -> None:
    paces = "table: {poll_interval_s: %g}\ncontroller: {tick_s: 5, table_ttl_s: %g}\n"
    for poll_s, ttl_s in ((1, 6), (55, 60)):
        message = refusal(tmp_path, MINIMAL + paces % (poll_s, ttl_s))
        assert f"controller.table_ttl_s is {ttl_s}, not above controller.tick_s and table.poll_interval_s" in message
        assert f"{ttl_s}: each table would end before routers read the next one; raise it" in message
    assert load(write(tmp_path, MINIMAL + paces % (1, 6.5)))
