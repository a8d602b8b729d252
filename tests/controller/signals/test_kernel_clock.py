import sys

import pytest

from controller.signals import kernel_clock
from controller.signals.kernel_clock import KernelClock, read_kernel_clock, why_unknown


def kernel(monkeypatch, status, answer=0):
    def adjtimex(told):
        told.status, told.maxerror, told.esterror = status, 250_000, 1500
        return answer

    monkeypatch.setattr(kernel_clock, "_adjtimex", adjtimex)


@pytest.mark.parametrize(("status", "is_synchronised"), [(0x0000, True), (0x2001, True), (0x0040, False)])
def test_the_kernel_says_whether_a_time_service_keeps_its_clock(monkeypatch, status, is_synchronised):
    kernel(monkeypatch, status, answer=0 if is_synchronised else 5)
    assert read_kernel_clock() == KernelClock(is_synchronised, 0.25, 0.0015)
    assert why_unknown() == ""


def test_a_kernel_that_may_not_be_asked_is_unknown_and_not_right(monkeypatch):
    kernel(monkeypatch, 0, answer=-1)
    assert read_kernel_clock() is None
    assert why_unknown() != ""


def test_another_system_is_unknown(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert read_kernel_clock() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="adjtimex is Linux's")
def test_this_machines_kernel_answers():
    told = read_kernel_clock()
    assert told is None or (told.max_error_s >= 0 and told.estimated_error_s >= 0)
