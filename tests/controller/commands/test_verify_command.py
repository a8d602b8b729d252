import json
import shutil
import sqlite3
from dataclasses import replace

import pytest

from controller.commands.verify_command import VerifyOptions, verify
from controller.errors import ConfigError
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import Baseline
from controller.store.ledger import Ledger
from controller.store.meter import MeterStore
from controller.store.plain import to_plain
from controller.store.readings import as_told
from controller.store.state import StateFile
from controller.store.witness import Heads, WitnessFile, witnessed
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


@pytest.mark.parametrize("name", ["ledger.sqlite", "evidence.sqlite"])
def test_a_file_that_is_gone_is_told_by_the_head_that_was_kept_of_it(folder, capsys, name):
    (folder / name).unlink()
    assert verify(config(folder)) == 1
    (gone,) = [each for each in json.loads(capsys.readouterr().out)["ledgers"] if not each["verified"]]
    assert gone["reason"] == f"{folder / name}: is gone, but {folder / 'state.json'} knows its row 5"


def test_a_file_of_which_no_head_was_kept_is_not_missed(folder, capsys):
    (folder / "evidence.sqlite").unlink()
    (folder / "state.json").unlink()  # the file of witnesses knows the other one alone
    assert verify(config(folder)) == 0
    assert len(json.loads(capsys.readouterr().out)["ledgers"]) == 1


def test_all_files_that_are_gone_are_told(folder, capsys):
    for name in ("ledger.sqlite", "evidence.sqlite"):
        (folder / name).unlink()
    assert verify(config(folder)) == 1
    assert capsys.readouterr().out.count("is gone, but") == 2


def test_a_folder_without_records(folder):
    for name in ("ledger.sqlite", "evidence.sqlite", "state.json", "heads"):
        (folder / name).unlink()
    with pytest.raises(ConfigError, match="there are no records"):
        verify(config(folder))


def test_heads_that_lost_their_seal_prove_nothing_where_there_is_a_key(folder, capsys):
    (folder / "evidence.sqlite").unlink()
    forged = Ledger(folder / "evidence.sqlite")
    for n in range(5):
        forged.record("sample", float(n), {"n": n + 1})
    head = witnessed("evidence.sqlite", forged.head, 5.0, None)
    forged.close()
    StateFile(folder / "state.json").save(heads=Heads((head,)))
    assert verify(config(folder)) == 3
    told = json.loads(capsys.readouterr().out)
    assert [each["sealed"] for each in told["ledgers"][1]["compared"]] == [False]
    assert told["notes"] == [
        f"{folder / 'evidence.sqlite'}: 1 heads that it fits are not sealed by the key: who writes that file makes them"
    ]
    assert verify(replace(config(folder, f"evidence.sqlite=5:{head.hash}"))) == 0


def test_heads_of_before_the_key_are_compared_beside_those_that_it_sealed(folder, capsys):
    (row,) = StateFile(folder / "state.json").load(heads=Heads)["heads"].witnesses[1:]
    WitnessFile(folder / "heads").append(replace(row, mac=None))
    assert verify(config(folder)) == 0
    WitnessFile(folder / "heads").append(replace(row, sequence=3, mac=None))
    assert verify(config(folder)) == 1
    assert "row 3 has the hash" in capsys.readouterr().out


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


def test_a_frozen_baseline_that_was_changed_after_the_evidence_told_of_it_is_named(folder, capsys):
    made = Baseline(BaselineMethod.HOUR_BEFORE, BaselineMethod.HOUR_BEFORE, "", (), 1000.0, Quality.DIRECT)
    store = MeterStore(folder / "meter.sqlite")
    store.freeze("operator a", 3600.0, json.dumps(to_plain(made)))
    ledger = Ledger(folder / "evidence.sqlite")
    ledger.record("baseline", 3600.0, {"call": "operator a", "start_s": 3600.0, "baseline": to_plain(made)})
    ledger.close()
    assert verify(replace(config(folder), as_json=False)) == 0
    assert "0 hours of readings and 1 frozen baselines fit what the evidence tells" in capsys.readouterr().out
    store.freeze("operator a", 3600.0, json.dumps(to_plain(replace(made, mean_w=1900.0))))
    store.close()
    assert verify(config(folder)) == 1
    told = json.loads(capsys.readouterr().out)["ledgers"][-1]
    assert "meter.sqlite: the baseline of 'operator a' was changed after row 6" in told["reason"]


def without_triggers(path, *statements):
    with sqlite3.connect(path) as db:
        for trigger in ("records_keep", "records_stay"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)
    db.close()


SWAP = (
    "UPDATE records SET sequence = -1 WHERE sequence = 2",
    "UPDATE records SET sequence = 2 WHERE sequence = 3",
    "UPDATE records SET sequence = 3 WHERE sequence = -1",
)


@pytest.mark.parametrize(
    ("statements", "place"),
    [
        (("UPDATE records SET payload = '{\"n\":9}' WHERE sequence = 3",), "row 3 of kind 'sample' was changed"),
        (("UPDATE records SET time_s = 9.5 WHERE sequence = 4",), "row 4 of kind 'sample' was changed"),
        (("DELETE FROM records WHERE sequence = 3",), "row 3 is missing, 4 follows"),
        (("DELETE FROM records WHERE sequence > 3",), "ends at row 3, but"),
        (("DELETE FROM records",), "ends at row 0, but"),
        (SWAP, "row 2 of kind 'sample' was changed"),
        (("INSERT INTO records SELECT 6, time_s, kind, payload, hash FROM records WHERE sequence = 5",), "row 6 of"),
        (("UPDATE trimmed SET sequence = 1, hash = (SELECT hash FROM records WHERE sequence = 1)",
          "DELETE FROM records WHERE sequence = 1"), "rows up to 1 are gone"),
    ],
    ids=["edit", "time", "deletion", "truncation", "all", "order", "duplicate", "beginning"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["ledger.sqlite", "evidence.sqlite"])
def test_whatever_is_done_to_a_file_is_found_and_its_place_named(folder, capsys, name, statements, place):
    without_triggers(folder / name, *statements)
    assert verify(config(folder)) == 1
    told = {each["file"]: each for each in json.loads(capsys.readouterr().out)["ledgers"]}
    assert place in told[str(folder / name)]["reason"]
    assert sum(not each["verified"] for each in told.values()) == 1


def test_heads_that_were_exchanged_or_forged_are_told(folder, capsys):
    kept = StateFile(folder / "state.json").load(heads=Heads)["heads"].witnesses
    one, other = kept
    for heads, said in (
        ((replace(one, ledger=other.ledger), replace(other, ledger=one.ledger)), "is not sealed by the key"),
        ((replace(one, hash="0" * 64),), "is not sealed by the key"),
        ((replace(one, hash="0" * 64, mac=None),), "the file was made anew from some row on"),
        ((replace(one, sequence=9, mac=None),), "ends at row 5, but"),
    ):
        StateFile(folder / "state.json").save(heads=Heads(heads))
        assert verify(config(folder)) == 1
        assert said in capsys.readouterr().out


def test_the_records_of_another_site_are_told(folder, tmp_path_factory, capsys):
    other = Ledger(tmp_path_factory.mktemp("other") / "evidence.sqlite")
    for n in range(9):
        other.record("software", float(n), {"site": "elsewhere"})
    other.close()
    shutil.copy(other.path, folder / "evidence.sqlite")
    assert verify(config(folder)) == 1
    assert "the file was made anew from some row on" in capsys.readouterr().out
    (folder / "state.json").unlink()
    (folder / "heads").unlink()
    assert verify(config(folder)) == 3
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "evidence.sqlite: from row 1 on it was recorded at site 'elsewhere', and the configuration is of" in note
