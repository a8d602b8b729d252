"""Emulated GPUs behind the real NVML binding: builds stub.c as libnvidia-ml.so.1, and writes its control file."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

NAME = "libnvidia-ml.so.1"
SOURCE = Path(__file__).with_name("stub.c")
COMPILER = shutil.which("cc")
needs_a_compiler = pytest.mark.skipif(COMPILER is None, reason="the stub of NVML is compiled with cc, which is absent")

SUCCESS, UNINITIALIZED, NOT_SUPPORTED, NO_PERMISSION, NOT_LOADED, TIMEOUT = 0, 1, 3, 4, 9, 10
LOST, RESET_REQUIRED, MISMATCH, UNKNOWN = 15, 16, 18, 999
"""NVML's return codes."""


@functools.cache
def library(old: bool = False) -> Path:
    """The compiled stub; an old one lacks what later drivers brought."""
    assert COMPILER is not None
    folder = Path(tempfile.mkdtemp(prefix="nvml-stub-"))
    options = ["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", f"-Wl,-soname,{NAME}"]
    options += ["-DNVML_STUB_OLD"] if old else []
    subprocess.run([COMPILER, *options, "-o", str(folder / NAME), str(SOURCE)], check=True)
    return folder / NAME


class NvmlStub:
    """The control file of the stub."""

    def __init__(self, folder: Path, old: bool = False) -> None:
        self.path = folder / "nvml"
        self.old = old
        self.values: dict[str, object] = {"count": 0, "driver": "580.95.05"}
        self.set()

    @property
    def environment(self) -> dict[str, str]:
        """For a process that is to find the stub by its real name."""
        return {"LD_LIBRARY_PATH": str(library(self.old).parent), "NVML_STUB": str(self.path)}

    def set(self, values: dict[str, object] | None = None, **more: object) -> None:
        """Change values by key; None takes one away."""
        self.values = {k: v for k, v in {**self.values, **(values or {}), **more}.items() if v is not None}
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{key}={value}\n" for key, value in self.values.items()))
        new.replace(self.path)

    def add(self, **values: object) -> int:
        """Add a GPU with a counter and both powers, but for what is given; returns its number."""
        n = int(str(self.values["count"]))
        usual = {
            "uuid": f"GPU-{n}",
            "name": "NVIDIA H100 80GB HBM3 (stub)",
            "limit": 700_000,
            "energy": 5_000_000,
            "instant": 400_000,
            "power": 410_000,
        }
        self.set({f"{n}.{key.replace('_', '.')}": value for key, value in {**usual, **values}.items()}, count=n + 1)
        return n

    def gpu(self, n: int, **values: object) -> None:
        """Change values of a GPU; an underscore in a key stands for a dot."""
        self.set({f"{n}.{key.replace('_', '.')}": value for key, value in values.items()})


@contextlib.contextmanager
def loaded(folder: Path, old: bool = False) -> Iterator[NvmlStub]:
    """The stub in this process, where the binding would have loaded the driver's library."""
    stub = NvmlStub(folder, old)
    before = os.environ.get("NVML_STUB")
    os.environ["NVML_STUB"] = str(stub.path)
    forget()
    pynvml.nvmlLib = ctypes.CDLL(str(library(old)))
    try:
        yield stub
    finally:
        forget()
        if before is None:
            del os.environ["NVML_STUB"]
        else:
            os.environ["NVML_STUB"] = before


def forget() -> None:
    """Bring the binding to the state of a fresh import; what is initialised in the stub is shut down."""
    if pynvml.nvmlLib is not None:
        while pynvml.nvmlLib.nvmlShutdown() == SUCCESS:
            pass
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()
