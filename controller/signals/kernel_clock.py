"""What the kernel says of its clock: whether a time service keeps it, and how far off it may be at most.

The same as node-exporter's ``node_timex_*``: one call that only reads, which a container may make as well, since its
clock is the node's (adjtimex(2); on 64-bit Linux).
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass

_UNSYNC = 0x0040
_US = 1e-6


class _Timex(ctypes.Structure):
    """``struct timex`` of 64-bit Linux, as far as it is read, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What a time service has told the kernel.

    Attributes:
        is_synchronised: whether one keeps the clock.
        max_error_s: bound of the clock's error that it vouches for; grows while it is not heard.
        estimated_error_s: its own estimate of the error.
    """

    is_synchronised: bool
    max_error_s: float
    estimated_error_s: float


def read_kernel_clock() -> KernelClock | None:
    """What the kernel says; None where it cannot be asked: that is unknown, and no error of zero."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    told = _Timex(modes=0)
    if _adjtimex(told) < 0:
        return None
    return KernelClock(not told.status & _UNSYNC, told.maxerror * _US, told.esterror * _US)


def why_unknown() -> str:
    """Why the kernel cannot be asked, for the log."""
    told = _Timex(modes=0)
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return f"not known how to ask on {sys.platform}"
    return "" if _adjtimex(told) >= 0 else os.strerror(ctypes.get_errno())


def _adjtimex(told: _Timex) -> int:
    """State of the clock, -1 where the call is refused (a seccomp profile) or absent."""
    ask = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    return -1 if ask is None else int(ask(ctypes.byref(told)))
