import json

from typer.testing import CliRunner

from controller.commands.ledger_cli import ledger_app
from controller.store.extract import read_extract
from tests.fakes.played_event import played


def run(*words):
    return CliRunner().invoke(ledger_app, [str(word) for word in words])


def test_an_event_is_listed_and_extracted_and_the_extract_is_checked(tmp_path):
    path = played(tmp_path)
    listed = run("list", "--file", path)
    assert listed.exit_code == 0
    assert "evening" in listed.stdout
    assert "2026-09-21T" in listed.stdout
    assert json.loads(run("list", "--file", path, "--json").stdout)[0]["programme"] == "utility"
    out = tmp_path / "evening.jsonl"
    exported = run("export", "evening", "--file", path, "--out", out)
    assert exported.exit_code == 0, exported.output
    head = exported.stdout.split("head ")[1].strip()
    assert run("verify", "--file", out, "--head", head).exit_code == 0
    assert run("verify", "--file", path, "--head", head).exit_code == 0
    assert {"call", "tick", "terms"} <= {row.kind for row in read_extract(out)}


def test_an_empty_file_lists_nothing(tmp_path):
    from controller.store.ledger import Ledger

    Ledger(tmp_path / "evidence.sqlite").close()
    assert "no event was recorded" in run("list", "--file", tmp_path / "evidence.sqlite").stdout
