import os
import signal
import subprocess
import sys

from controller.supervise.proc_table import Mark, Process, is_running, left_of, read_all, read_process, send

BOOT = "this-life"
MARK = Mark(100, 5000, BOOT)


def process(pid, session, started=5001, *, is_dead=False):
    return Process(pid, session, started, is_dead)


def table(*processes):
    return {each.pid: each for each in processes}


def test_what_is_left_of_a_session_is_its_leader_and_whatever_it_started():
    found = left_of(MARK, table(process(100, 100, 5000), process(101, 100), process(102, 102)), BOOT)
    assert [each.pid for each in found] == [100, 101]


def test_members_are_known_after_their_leader_has_ended():
    assert [each.pid for each in left_of(MARK, table(process(101, 100)), BOOT)] == [101]


def test_zombies_are_not_left():
    assert left_of(MARK, table(process(100, 100, 5000, is_dead=True)), BOOT) == ()


def test_where_somebody_else_has_the_number_nothing_is_left():
    assert left_of(MARK, table(process(100, 100, 9000), process(101, 100, 9001)), BOOT) == ()


def test_after_a_reboot_nothing_is_left():
    assert left_of(MARK, table(process(100, 100, 5000)), "another-life") == ()


def test_a_process_is_read_by_its_number_whatever_its_name_holds(tmp_path):
    odd = tmp_path / "a) Z (b"
    odd.symlink_to(sys.executable)
    child = subprocess.Popen([odd, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        found = read_process(child.pid)
        assert found is not None
        assert (found.session, found.is_dead) == (child.pid, False)
        assert read_all()[child.pid] == found
        mark = Mark(child.pid, found.started, BOOT)
        assert is_running(mark, BOOT)
        assert not is_running(mark, "another-life")
        assert not is_running(Mark(child.pid, found.started + 1, BOOT), BOOT)
    finally:
        child.kill()
        child.communicate()
    assert not is_running(mark, BOOT)
    assert read_process(child.pid) is None


def test_a_signal_reaches_the_very_process_and_no_other():
    child = subprocess.Popen(["sleep", "600"])
    try:
        started = read_process(child.pid).started
        assert not send(child.pid, started + 1, signal.SIGKILL)
        assert child.poll() is None
        assert send(child.pid, started, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        assert not send(child.pid, started, signal.SIGKILL)
    finally:
        child.kill()


def test_oneself_runs():
    own = read_process(os.getpid())
    assert own is not None
    assert own.session == os.getsid(0)
