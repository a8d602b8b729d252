"""The units: systemd takes them, they are locked down, and their commands are the programs' own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from controller.settings.process import ControllerSettings
from router.settings import RouterSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
MOST_EXPOSURE = 1.5
"""What `systemd-analyze security` makes of a unit; 10 is unsafe, and the network that all need alone is 0.5."""

OF_ENGINES = 2.2
"""The same of engines, whose files and shared memory must outlive the unit."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
ids = {"argvalues": UNITS, "ids": lambda path: path.stem}


def setting(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def with_programs_of_here(unit: Path, folder: Path) -> Path:
    """The unit with commands that exist on this machine, which verification looks for."""
    copy = folder / unit.name
    copy.write_text(re.sub(r"/opt/wattroute/bin/[\w-]+", shutil.which("true") or "/bin/true", unit.read_text()))
    return copy


def test_there_is_a_unit_for_each_part() -> None:
    parts = ("agent", "controller", "router", "supervisor")
    assert [unit.stem for unit in UNITS] == [f"wattroute-{part}" for part in parts]


@needs_systemd
@pytest.mark.parametrize("unit", **ids)
def test_systemd_takes_the_unit_without_a_word(unit: Path, tmp_path: Path) -> None:
    words = ["systemd-analyze", "verify", "--man=no", str(with_programs_of_here(unit, tmp_path))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", **ids)
def test_little_of_the_machine_is_exposed(unit: Path, tmp_path: Path) -> None:
    copy = with_programs_of_here(unit, tmp_path)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(copy)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    match = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert match is not None, done.stdout + done.stderr
    assert float(match[1]) <= (OF_ENGINES if unit.stem == "wattroute-supervisor" else MOST_EXPOSURE), done.stdout


@pytest.mark.parametrize("unit", **ids)
def test_the_commands_have_the_options_that_are_used(unit: Path) -> None:
    programs = {"wattroute-router": "router.cli", "wattroute": "controller.cli"}
    for line in [*setting(unit, "ExecStart"), *setting(unit, "ExecStop")]:
        program, *words = shlex.split(line.removeprefix("-"))
        options = [word for word in words if word.startswith("--")]
        verbs = [word for word in words[:1] if not word.startswith("--")]
        module = programs[Path(program).name]
        done = subprocess.run(
            [sys.executable, "-m", module, *verbs, "--help"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        for option in options:
            assert option in done.stdout, (line, option)


def test_a_stop_leaves_time_for_the_drain_and_for_wakes() -> None:
    by_name = {unit.stem: float(setting(unit, "TimeoutStopSec")[0]) for unit in UNITS}
    assert by_name["wattroute-router"] > RouterSettings().timeouts.drain_s
    assert by_name["wattroute-controller"] > ControllerSettings().exit_wait_s


def test_all_run_as_the_user_that_sysusers_makes() -> None:
    (line,) = [line for line in (FOLDER / "wattroute.conf").read_text().splitlines() if not line.startswith("#")]
    assert line.split()[:2] == ["u", "wattroute"]
    for unit in UNITS:
        assert (setting(unit, "User"), setting(unit, "Group")) == (["wattroute"], ["wattroute"])
        assert setting(unit, "Environment") == ["PYTHONSAFEPATH=1"]


def test_nothing_of_the_engines_goes_with_their_supervisor() -> None:
    unit = FOLDER / "wattroute-supervisor.service"
    assert setting(unit, "KillMode") == ["process"]
    assert [setting(unit, name) for name in ("PrivateTmp", "RemoveIPC", "RuntimeDirectory")] == [[], [], []]
