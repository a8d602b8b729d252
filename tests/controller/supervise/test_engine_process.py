import os
import signal
import subprocess
import time

import pytest

from controller.clock import boot_name
from controller.supervise.engine_process import UNKNOWN_ENDING, EngineProcess, ending_of
from controller.supervise.launching import NotYet, nowhere
from controller.supervise.proc_table import Mark, read_process
from tests.fakes.engine_specs import engine_spec
from tests.fakes.supervised import is_alive

PATH = {"PATH": os.environ["PATH"]}
LEAVES_A_CHILD = engine_spec(argv=("sh", "-c", "sleep 600 & echo $! > child; exec sleep 600"))


def until(holds):
    end_s = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.fixture
def process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = EngineProcess(None, boot_name())
    yield made
    made.undo()


def child_of(folder):
    until(lambda: (folder / "child").exists() and (folder / "child").read_text().strip())
    return int((folder / "child").read_text())


def test_it_runs_until_it_is_told_to_end(process):
    mark = process.begin(engine_spec(argv=("sleep", "600")), PATH, nowhere())
    assert is_alive(mark.pid)
    assert (process.ending(), process.is_adopted) == ("", False)
    process.terminate()
    until(process.ending)
    assert process.ending() == "signal SIGTERM"


def test_what_it_left_behind_goes_with_it_and_nothing_is_begun_before(process, tmp_path):
    mark = process.begin(LEAVES_A_CHILD, PATH, nowhere())
    child = child_of(tmp_path)
    os.kill(mark.pid, signal.SIGKILL)
    until(process.ending)
    with pytest.raises(NotYet, match=f"processes of the one before have not ended yet: {child}"):
        process.begin(LEAVES_A_CHILD, PATH, nowhere())
    assert process.clear() == 1
    until(lambda: not is_alive(child))
    process.begin(engine_spec(argv=("true",)), PATH, nowhere())
    until(process.ending)
    assert process.ending() == "exit code 0"


def test_one_of_a_former_supervisor_is_adopted_and_ends_without_a_code():
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    adopted = EngineProcess(Mark(child.pid, read_process(child.pid).started, boot_name()), boot_name())
    assert (adopted.is_adopted, adopted.ending()) == (True, "")
    adopted.terminate()
    assert child.wait(10) == -signal.SIGTERM
    assert adopted.ending() == UNKNOWN_ENDING


def test_endings_are_named_where_they_have_a_name():
    assert [ending_of(code) for code in (0, 3, -9, -40)] == [
        "exit code 0",
        "exit code 3",
        "signal SIGKILL",
        "signal 40",
    ]
