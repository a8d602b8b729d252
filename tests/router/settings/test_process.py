"""The router process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.settings_files import load, refused


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"router": {"workers": 0}}, "greater than or equal to 1"),
        ({"router": {"health": {"probe_interval_s": 0}}}, "greater than 0"),
        ({"router": {"retry": {"budget_frac": 1.5}}}, "less than or equal to 1"),
        ({"router": {"timeouts": {"drain_s": 7200}}}, "less than or equal to 3600"),
        ({"router": {"timeouts": {"drain_s": 0}}}, "greater than 0"),
        ({"router": {"port": 8081}}, "port and admin_port are both 8081"),
        ({"router": {"port": 8081, "admin_host": "0.0.0.0"}}, "give the admin port another one"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    assert said in refused(**over)


@pytest.mark.parametrize(
    "router",
    [
        {"port": 0, "admin_port": 0},
        {"host": "10.0.0.1", "port": 8081},
        {"listen": "unix:/run/router.sock", "port": 8081},
    ],
)
def test_one_number_may_be_that_of_two_ports_where_they_do_not_meet(router: dict[str, Any]) -> None:
    assert load(router=router).router.port == router["port"]
