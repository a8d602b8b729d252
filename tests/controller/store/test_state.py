import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.errors import StoreError
from controller.store.state import SCHEMA_VERSION, StateFile

ROOT = Path(__file__).parents[3]
WRITER = """
import sys
from pathlib import Path
from controller.store.state import StateFile
from tests.controller.store.test_state import Counted
file = StateFile(Path(sys.argv[1]))
n = 0
while True:
    n += 1
    file.save(memory=Counted(n, tuple(float(n) for _ in range(2000))))
"""


@dataclass(frozen=True)
class Counted:
    number: int
    values: tuple[float, ...] = ()


@pytest.fixture
def file(tmp_path):
    return StateFile(tmp_path / "state.json")


def test_what_was_saved_last_is_loaded(file):
    for number in (1, 2):
        file.save(memory=Counted(number, (0.5, 3.0)), more=Counted(9))
    assert file.load(memory=Counted, more=Counted) == {"memory": Counted(2, (0.5, 3.0)), "more": Counted(9)}
    assert [each.name for each in file.path.parent.iterdir()] == ["state.json"]


def test_no_file_is_not_an_error(file):
    assert file.load(memory=Counted) is None


def spoiled(document, **changes):
    return json.dumps({**document, **changes}).encode()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d, b: b"", "is no JSON"),
        (lambda d, b: b[: len(b) // 2], "is no JSON"),
        (lambda d, b: b"\xff\xfe", "is no JSON"),
        (lambda d, b: b"[" * 100_000, "is no JSON"),
        (lambda d, b: b"[]", "schema version None"),
        (lambda d, b: spoiled(d, schema_version=SCHEMA_VERSION + 1), f"schema version {SCHEMA_VERSION + 1}"),
        (lambda d, b: spoiled(d, state={"memory": {"number": 7, "values": []}}), "its checksum does not fit"),
        (lambda d, b: b.replace(b"0.5", b"0.6"), "its checksum does not fit"),
        (lambda d, b: b.replace(b"0.5", b"NaN"), "holds a number that is none"),
        (lambda d, b: b.replace(b"0.5", b"1e999"), "holds a number that is none"),
    ],
)
def test_a_file_that_is_damaged_or_of_another_version_is_told_with_its_remedy(file, spoil, told):
    file.save(memory=Counted(1, (0.5,)))
    body = file.path.read_bytes()
    file.path.write_bytes(spoil(json.loads(body), body))
    with pytest.raises(StoreError, match=rf"state\.json: .*{told}.*remove the file to begin with fresh budgets"):
        file.load(memory=Counted)


def test_a_state_without_a_part_that_is_needed_is_told(file):
    file.save(other=Counted(1))
    with pytest.raises(StoreError, match="holds no state of this version: KeyError: 'memory'"):
        file.load(memory=Counted)


def test_an_unreadable_file_is_kept_under_another_name_and_told(file, caplog):
    file.path.write_text("damaged")
    file.set_aside(StoreError("is damaged"), "counts not restored: they begin at zero")
    kept = file.path.with_name(f"{file.path.name}.unreadable")
    assert kept.read_text() == "damaged"
    assert file.load(memory=Counted) is None
    (told,) = caplog.records
    assert (told.levelname, told.message) == ("ERROR", "counts not restored: they begin at zero")
    assert (told.reason, told.set_aside) == ("is damaged", str(kept))


def test_one_that_cannot_be_set_aside_is_told_too(file, caplog):
    file.set_aside(StoreError("is gone"), "counts not restored: they begin at zero")
    (told,) = caplog.records
    assert (told.reason, told.set_aside) == ("is gone", None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_has_no_json_form_is_refused_and_the_file_stays(file, value):
    file.save(memory=Counted(1))
    with pytest.raises(StoreError, match="no JSON form"):
        file.save(memory=Counted(2, (value,)))
    assert file.load(memory=Counted) == {"memory": Counted(1)}


def test_a_state_that_is_too_large_is_refused_and_the_file_stays(file, monkeypatch):
    file.save(memory=Counted(1))
    monkeypatch.setattr("controller.store.state.MAX_BYTES", 1000)
    with pytest.raises(StoreError, match="more than 1000; nothing is written"):
        file.save(memory=Counted(2, (1.0,) * 1000))
    assert file.load(memory=Counted) == {"memory": Counted(1)}


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(StoreError, match="not written: No such file or directory"):
        StateFile(tmp_path / "gone" / "state.json").save(memory=Counted(1))


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_state(file):
    seen = set()
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file.path)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        started = time.monotonic()
        before = file.path.stat().st_mtime_ns if file.path.exists() else 0
        while not file.path.exists() or file.path.stat().st_mtime_ns == before:
            assert process.poll() is None, "the writer ended"
            assert time.monotonic() - started < 60
            time.sleep(0.001)
        time.sleep(0.007 * round_)
        process.send_signal(signal.SIGKILL)
        process.wait()
        state = file.load(memory=Counted)["memory"]
        assert set(state.values) == {float(state.number)}
        seen.add(state.number)
    assert seen
