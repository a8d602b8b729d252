import csv
import dataclasses
import json
import re
import sqlite3

import pytest

from controller.commands.ledger_command import export
from controller.errors import ConfigError, StoreError
from controller.report.command import ReportOptions, html, intervals_csv, run
from controller.report.document import report_of
from tests.controller.report.test_findings import found_in
from tests.fakes.played_event import LENGTH_S, START_S, Player, event, played


def test_the_files_that_are_written_say_the_same(tmp_path, capsys):
    path = played(tmp_path)
    assert run(ReportOptions("evening", file=path, out=tmp_path / "out")) == 0
    text = (tmp_path / "out" / "evening.html").read_text()
    assert not re.search(r'(?:src|href)="(?!#)|<script|<link|url\((?!#)|@import', text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert text.count("<svg") == 4
    document = json.loads((tmp_path / "out" / "evening.json").read_text())
    rows = list(csv.DictReader((tmp_path / "out" / "evening.csv").read_text().splitlines()))
    assert len(rows) == len(document["intervals"]) == 10
    assert float(rows[2]["delivered_kw"]) == pytest.approx(document["intervals"][2]["delivered_kw"])
    minutes = list(csv.DictReader((tmp_path / "out" / "evening-service.csv").read_text().splitlines()))
    assert len(minutes) == len(document["service"]["minutes"])
    slow = next(row for row in minutes if row["phase"] == "during" and row["class_id"] == "premium")
    assert (float(slow["ttft_mean_s"]), float(slow["ttft_promised_s"]), slow["requests"]) == (
        2.0,
        1.0,
        slow["finished"],
    )
    idle = next(row for row in minutes if row["phase"] == "during" and row["class_id"] == "batch")
    assert (idle["requests"], idle["ttft_mean_s"]) == ("0", "")
    assert document["service"]["promised"]["premium"]["ttft_s"] == 1.0
    power = list(csv.DictReader((tmp_path / "out" / "evening-power.csv").read_text().splitlines()))
    assert [float(power[60][name]) for name in ("time_s", "power_w", "age_s")] == [START_S, 5000.0, 0.3]
    assert len(power) > 900
    assert document["is_emulated"] is True
    assert document["others"] == []
    assert document["calls"][0]["raw"] == '{"eventName": "evening"}'
    assert document["ledger"]["head"] in capsys.readouterr().out
    assert document["ledger"]["head"] in text


def test_in_csv_less_than_nothing_is_a_number_and_a_name_that_reads_as_a_formula_is_none(tmp_path):
    (row, *_) = found_in(played(tmp_path)).rows
    below = dataclasses.replace(row, event_id="-cmd", delivered_kw=-0.25, performance_frac=-0.125)
    (read,) = csv.DictReader(intervals_csv((below,)).splitlines())
    assert [float(read[name]) for name in ("delivered_kw", "performance_frac")] == [-0.25, -0.125]
    assert read["event_id"] == "'-cmd"


def test_a_file_that_was_changed_is_never_reported_on(tmp_path):
    path = played(tmp_path)
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER records_keep")
    db.execute("UPDATE records SET payload = replace(payload, '5000', '6000') WHERE kind = 'tick'")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="was changed"):
        run(ReportOptions("evening", file=path, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_wrong_use_is_told(tmp_path):
    path = played(tmp_path)
    with pytest.raises(StoreError, match="no event 'x'"):
        run(ReportOptions("x", file=path))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another folder"):
        run(ReportOptions("evening", file=path, out=tmp_path / "file"))
    with pytest.raises(ConfigError, match="whose records"):
        run(ReportOptions("evening"))


def test_without_what_draws_charts_the_page_says_so(tmp_path):
    def draw(chart):
        raise ConfigError("charts need the package 'matplotlib'")

    found = found_in(played(tmp_path))
    text = html(report_of(found), found, draw)
    assert "Without charts: charts need the package" in text
    assert "<svg" not in text


def test_names_that_others_chose_harm_nothing(tmp_path):
    player = Player(tmp_path)
    player.play(START_S + 200, event(event_id="=cmd()<script>/../x"))
    player.close()
    run(ReportOptions("=cmd()<script>/../x", file=player.path, out=tmp_path / "out"))
    assert {each.parent for each in (tmp_path / "out").iterdir()} == {tmp_path / "out"}
    (page,) = (tmp_path / "out").glob("*.html")
    assert "<script" not in page.read_text()
    (sheet,) = set((tmp_path / "out").glob("*.csv")) - set((tmp_path / "out").glob("*-*.csv"))
    assert "\n2026" in sheet.read_text()
    assert ",'=cmd()" in sheet.read_text()


def test_who_has_an_extract_makes_the_same_report_of_it(tmp_path):
    player = Player(tmp_path, from_s=START_S - 600.0)
    player.play(START_S - 100.0, event(event_id="other", start_s=START_S - 500.0, end_s=START_S - 400.0))
    player.play(START_S + LENGTH_S + 4000.0, event())
    player.play(START_S + LENGTH_S + 9000.0, event(event_id="later", start_s=START_S + 6000.0, end_s=START_S + 6300.0))
    player.close()
    export(player.path, "evening", tmp_path / "evening.jsonl")
    for path, out in ((player.path, "own"), (tmp_path / "evening.jsonl", "auditor")):
        assert run(ReportOptions("evening", file=path, out=tmp_path / out)) == 0
    assert (tmp_path / "own" / "evening.csv").read_text() == (tmp_path / "auditor" / "evening.csv").read_text()
    own, auditor = (json.loads((tmp_path / out / "evening.json").read_text()) for out in ("own", "auditor"))
    for name in ("intervals", "limits", "service", "phases", "calls", "software", "samples_by_quality"):
        assert own[name] == auditor[name]
    assert own["ledger"]["head"] == auditor["ledger"]["head"]
    changed = (tmp_path / "evening.jsonl").read_text().replace('\\"requests\\":', '\\"requests\\": ', 1)
    (tmp_path / "evening.jsonl").write_text(changed)
    with pytest.raises(StoreError, match="the chain does not lead to its head"):
        run(ReportOptions("evening", file=tmp_path / "evening.jsonl", out=tmp_path / "changed"))


def test_the_proof_of_an_earlier_event_of_an_id_writes_over_none_of_a_later_one(tmp_path, monkeypatch):
    player = Player(tmp_path)
    player.play(START_S + 90.0, event(end_s=START_S + 60.0))
    player.now_s = START_S + 86_400.0
    player.play(START_S + 86_460.0, event(start_s=START_S + 86_400.0, end_s=START_S + 86_460.0))
    player.close()
    monkeypatch.chdir(tmp_path)
    for asked in ("evening", "evening@2026-09-21"):
        assert run(ReportOptions(asked, file=player.path)) == 0
        export(player.path, asked, None)
    days = {"evening": "2026-09-22T", "evening-20260921T141320Z": "2026-09-21T"}
    for name, day in days.items():
        (*_, last) = (tmp_path / f"report-{name}" / f"{name}.csv").read_text().splitlines()
        assert last.startswith(day)
        assert run(ReportOptions("evening", file=tmp_path / f"{name}.jsonl", out=tmp_path / "again")) == 0
        assert day in (tmp_path / "again" / "evening.csv").read_text()
