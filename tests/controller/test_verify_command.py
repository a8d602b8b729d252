import json
import shutil

import pytest

from controller.errors import ConfigError
from controller.model.observation import Quality
from controller.store.ledger import Ledger
from controller.store.meter import MeterStore
from controller.store.readings import as_told
from controller.store.state import StateFile
from controller.store.witness import Heads, WitnessFile, witnessed
from controller.verify_command import VerifyOptions, verify
from tests.fakes.system import laptop_on_free_ports

KEY = b"0123456789abcdef"


@pytest.fixture
def folder(tmp_path):
    """A data folder after a controller has run, with a configuration that names it."""

    def change(document):
        document["controller"] |= {"witness_file": str(tmp_path / "heads"), "ledger_key_file": str(tmp_path / "key")}

    laptop_on_free_ports(tmp_path, change)
    (tmp_path / "key").write_bytes(KEY)
    heads = []
    for name in ("ledger.sqlite", "evidence.sqlite"):
        ledger = Ledger(tmp_path / name)
        for n in range(5):
            ledger.record("sample", float(n), {"n": n})
        heads.append(witnessed(name, ledger.head, 5.0, KEY))
        ledger.close()
    StateFile(tmp_path / "state.json").save(heads=Heads(tuple(heads)))
    WitnessFile(tmp_path / "heads").append(heads[0])
    return tmp_path


def config(folder, *heads):
    return VerifyOptions(config=folder / "wattroute.yaml", heads=heads, as_json=True)


def test_all_records_of_a_configuration_are_checked(folder, capsys):
    assert verify(config(folder)) == 0
    told = json.loads(capsys.readouterr().out)
    assert [len(each["compared"]) for each in told["ledgers"]] == [2, 1]
    assert all(each["sealed"] for result in told["ledgers"] for each in result["compared"])


def test_a_cut_tail_is_found(folder, capsys):
    (folder / "ledger.sqlite").unlink()
    shorter = Ledger(folder / "ledger.sqlite")
    for n in range(4):
        shorter.record("sample", float(n), {"n": n})
    shorter.close()
    assert verify(config(folder)) == 1
    first, second = json.loads(capsys.readouterr().out)["ledgers"]
    assert "ends at row 4" in first["reason"]
    assert second["verified"]


def test_a_file_alone_is_compared_with_nothing_unless_a_head_is_told(folder, capsys):
    copy = folder / "copy.sqlite"
    shutil.copy(folder / "evidence.sqlite", copy)
    assert verify(VerifyOptions(file=copy)) == 3
    head = capsys.readouterr().out.split("head ")[1].split()[0]
    assert verify(VerifyOptions(file=copy, heads=(head[:20],))) == 0
    assert verify(VerifyOptions(file=copy, heads=("5:" + "0" * 12,))) == 1
    assert "DOES NOT VERIFY" in capsys.readouterr().out


def test_a_head_that_another_key_sealed_is_told(folder, capsys):
    (folder / "key").write_bytes(b"another key of sixteen")
    assert verify(config(folder)) == 1
    assert "not sealed by the key" in capsys.readouterr().out


def test_a_damaged_state_file_is_noted(folder, capsys):
    (folder / "state.json").write_text("x")
    assert verify(config(folder)) == 3  # evidence.sqlite has no other head
    assert "no head was taken from the state file" in json.loads(capsys.readouterr().out)["notes"][0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "write --config CONFIGURATION, or --file"),
        ({"config": "x", "file": "y"}, "write --config CONFIGURATION, or --file"),
        ({"file": "absent"}, "there is no such file"),
        ({"config": "wattroute.yaml", "heads": ("5:" + "a" * 12,)}, "of which file"),
    ],
)
def test_wrong_use_is_told_with_the_remedy(folder, options, told):
    paths = {name: folder / value if name != "heads" else value for name, value in options.items()}
    with pytest.raises(ConfigError, match=told):
        verify(VerifyOptions(**paths))


def test_a_folder_without_records(folder):
    for name in ("ledger.sqlite", "evidence.sqlite"):
        (folder / name).unlink()
    with pytest.raises(ConfigError, match="there are no records"):
        verify(config(folder))


def test_readings_that_were_changed_after_the_evidence_told_of_them_are_named(folder, capsys):
    store = MeterStore(folder / "meter.sqlite")
    store.import_means([(60.0 * n, 60.0 * n + 60.0, 1000.0) for n in range(1440)], Quality.DIRECT)
    hours = store.digests(0.0, 86_400.0, is_measured_only=False)
    ledger = Ledger(folder / "evidence.sqlite")
    ledger.record("meter_day", 5.0, as_told(0.0, 86_400.0, hours, is_measured_only=False))
    ledger.close()
    assert verify(config(folder)) == 0
    told = json.loads(capsys.readouterr().out)["ledgers"][-1]
    assert (told["verified"], told["hours"]) == (True, 24)
    store.import_means([(36_000.0, 36_060.0, 9000.0)], Quality.DIRECT)
    store.close()
    assert verify(config(folder)) == 1
    told = json.loads(capsys.readouterr().out)["ledgers"][-1]
    assert "meter.sqlite: readings of the hour from 1970-01-01T10:00:00Z were changed after row 6" in told["reason"]
    alone = VerifyOptions(file=folder / "evidence.sqlite", meter_file=folder / "meter.sqlite")
    assert verify(alone) == 1
    assert "DOES NOT VERIFY" in capsys.readouterr().out
