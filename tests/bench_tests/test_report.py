"""The tables say what was measured, and go where the document has room for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import about, report
from tests.bench.results import Results
from tests.bench.targets import OURS, evaluate


def some_results() -> Results:
    results = Results(about={"date": "2026-11-21", "command": "make bench"})
    for us in (30.0, 33.0, 31.0):
        results.add(OURS, plain_cpu_us=us, ready_s=0.5, flat_one_cpu_us=us, flat_pools_8_cpu_us=2 * us)
        results.add("vllm-router", plain_cpu_us=2 * us)
    results.note("litellm", "not measured: it ended with code 3")
    return results


def test_targets_are_told_met_missed_or_not_measured() -> None:
    told, _, absent = report.targets(evaluate(some_results())).partition("\nTargets not measured: ")
    said = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in told.splitlines()[2:]}
    assert said["CPU per plain request, to vllm-router's"] == "met"
    assert said["CPU per request, 8 pools to one"] == "MISSED"
    assert "CPU per plain request, to nginx's; " in absent


def test_peers_stand_beside_ours() -> None:
    table = report.side_by_side(some_results(), report.SIDE_BY_SIDE)
    assert [line.split("|")[1:3] for line in table.replace(" ", "").splitlines()] == [
        ["proxy", "CPUµs/request"],
        ["-----------", "----------------"],
        ["wattroute", "31.0"],
        ["vllm-router", "62.0"],
    ]


def test_a_proxy_that_could_not_be_measured_has_its_reason() -> None:
    assert "- litellm: not measured: it ended with code 3\n" in report.whole(some_results())


def test_nothing_measured_makes_no_table() -> None:
    assert report.side_by_side(Results(), report.FURTHER) == ""
    assert report.own(Results()) == ""


def test_tables_go_between_the_marks_and_nowhere_else() -> None:
    document = f"# Title\n\nbefore\n\n{report.BEGIN}old\n{report.END}\n\nafter\n"
    once = report.filled(document, some_results())
    assert once.startswith("# Title\n\nbefore\n\n")
    assert once.endswith("\n\nafter\n")
    assert "old" not in once
    assert report.filled(once, some_results()) == once


@pytest.mark.parametrize("document", ["", report.BEGIN, report.END])
def test_a_document_without_marks_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="measured: begin"):
        report.filled(document, some_results())


def test_the_command_names_no_path_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--quick", "--checkout", str(tmp_path / "tree"), "--json", "a/b.json"])
    told = about.run(Path(__file__).parents[2], [], checkout=None)
    assert told["command"] == "make bench ARGS='--quick --checkout tree --json a/b.json'"
    assert str(tmp_path) not in "".join(told.values())
