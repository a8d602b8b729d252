from __future__ import annotations

import csv
import json
import socket
from pathlib import Path

import pytest

from controller.demo import stage
from controller.demo.meter import Meter, Reading, Record
from controller.demo.options import DemoOptions
from controller.errors import ConfigError, ListenError

NOW_S = 1_700_000_000.0


def prepared(folder: Path, **more: object) -> stage.Stage:
    return stage.prepare(DemoOptions(seconds=30.0, data_dir=folder, **more), NOW_S)  # type: ignore[arg-type]


def test_a_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    one, two = prepared(tmp_path), prepared(tmp_path)
    assert (one.folder.name, two.folder.name) == ("20231114T221320Z", "20231114T221320Z-1")
    assert one.config.is_file()
    assert (one.folder / stage.LOGS_NAME).is_dir()
    assert one.urls.router == f"http://127.0.0.1:{one.settings.router.port}"
    assert one.settings.controller.data_dir == one.folder


def test_requests_are_the_traces_at_the_speed_asked_for(tmp_path: Path) -> None:
    slow = prepared(tmp_path, speed=1.0).requests
    fast = prepared(tmp_path, speed=5.0).requests
    assert 3 * len(slow) < len(fast) < 8 * len(slow)
    assert all(request.time_s < 30.0 for request in fast)
    assert {request.class_id for request in fast} == {"premium", "standard", "flex"}


def test_the_same_seed_asks_for_the_same(tmp_path: Path) -> None:
    assert prepared(tmp_path, seed=4).requests == prepared(tmp_path, seed=4).requests
    assert prepared(tmp_path, seed=4).requests != prepared(tmp_path, seed=5).requests


def test_another_configuration_is_copied_and_used(tmp_path: Path) -> None:
    own = prepared(tmp_path).config
    again = stage.prepare(DemoOptions(seconds=30.0, data_dir=tmp_path / "again", config=own), NOW_S)
    assert again.config.read_text() == own.read_text()
    assert again.config != own


def test_classes_unknown_to_the_demo_share_the_requests_equally(tmp_path: Path) -> None:
    text = prepared(tmp_path).config.read_text()
    for name in ("premium", "standard", "flex"):
        text = text.replace(f"name: {name}", f"name: my-{name}").replace(f"    {name}:", f"    my-{name}:")
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("default_class: standard", "default_class: my-standard"))
    asked = prepared(tmp_path, config=other).requests
    counts = [sum(r.class_id == f"my-{name}" for r in asked) for name in ("premium", "standard", "flex")]
    assert min(counts) > 0.7 * max(counts)


def test_a_missing_trace_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.csv: no such trace file"):
        prepared(tmp_path / "data", trace=tmp_path / "gone.csv")
    assert not (tmp_path / "data").exists()


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config .*gone\.yaml: No such file"):
        prepared(tmp_path, config=tmp_path / "gone.yaml")


def test_port_and_config_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--port does not go with --config"):
        prepared(tmp_path, config=prepared(tmp_path).config, port=8080)


def test_a_wrong_configuration_is_told_by_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(prepared(tmp_path).config.read_text().replace("tick_s", "tik_s"))
    with pytest.raises(ConfigError, match=r"unknown key 'controller\.tik_s'; did you mean 'tick_s'"):
        prepared(tmp_path, config=wrong)


def test_a_taken_port_is_told(tmp_path: Path) -> None:

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ListenError) as caught:
            prepared(tmp_path, port=other.getsockname()[1])
    assert caught.value.exit_code == 3


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="no folder can be made there"):
        prepared(tmp_path / "file")


def test_summary_and_power_are_saved(tmp_path: Path) -> None:
    ready = prepared(tmp_path, json_file=tmp_path / "out.json")
    record = Record(Meter("", "", 1.0, 0.0))
    for second, energy_j in enumerate((0.0, 1000.0, 3000.0)):
        record.add(Reading(NOW_S + second, energy_j, {}, {"power": {"limit_w": 5000.0}}))
    stage.save(ready, {"tokens_lost": 0}, record, NOW_S)
    assert json.loads((tmp_path / "out.json").read_text()) == {"tokens_lost": 0}
    assert json.loads((ready.folder / stage.SUMMARY_NAME).read_text()) == {"tokens_lost": 0}
    rows = list(csv.DictReader((ready.folder / stage.POWER_NAME).read_text().splitlines()))
    assert [(row["start_s"], row["power_w"], row["limit_w"]) for row in rows] == [
        ("0.0", "1000.0", "5000.0"),
        ("1.0", "2000.0", "5000.0"),
    ]


def test_records_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    ready = prepared(tmp_path, json_file=tmp_path / "out.json")
    (tmp_path / "out.json").mkdir()
    with pytest.raises(ConfigError, match=r"out\.json: the records cannot be written: Is a directory"):
        stage.save(ready, {}, Record(Meter("", "", 1.0, 0.0)), NOW_S)
