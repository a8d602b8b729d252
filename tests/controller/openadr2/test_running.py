import builtins
import sys
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.openadr2.running import Following2, following2
from controller.openadr2.specs import Ven2Spec
from controller.signals.calls import CallBook
from tests.controller.openadr.test_ven import until
from tests.controller.openadr2.test_ven import TERMS
from tests.fakes.controller_parts import ListRecorder
from tests.fakes.vtn2 import vtn2


def world():
    book = CallBook(ListRecorder(), {"dr": TERMS})
    return Following2(book, SystemClock(), CollectorRegistry(), lambda: None, Works(Random(0)))


async def test_a_vtn_is_followed_until_the_end():
    together = world()
    async with vtn2() as vtn:
        vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
        async with following2((Ven2Spec("utility", vtn.url, "site-1", {"http://dr": "dr"}),), together):
            await until(lambda: together.book.current(together.clock.wall_s()))


async def test_without_vtns_the_library_is_not_imported(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        assert not name.startswith("openleadr")
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith(("openleadr", "controller.openadr2.ven"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    async with following2((), world()):
        assert not any(name.startswith("openleadr") for name in sys.modules)


async def test_a_library_that_is_not_installed_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "controller.openadr2.ven", None)  # importing it fails
    with pytest.raises(ConfigError, match=r"wattroute\[openadr2\]"):
        async with following2((Ven2Spec("utility", "http://127.0.0.1:1", "site-1", {}),), world()):
            pass


async def test_a_certificate_that_is_absent_is_named(tmp_path):
    spec = Ven2Spec("utility", "https://vtn", "site-1", {}, certificate_file=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"none\.pem: no such file"):
        async with following2((spec,), world()):
            pass
