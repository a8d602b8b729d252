from __future__ import annotations

import pytest

from controller.model.perf import FITTED
from controller.profile.result import report
from controller.study.tables import shown
from tests.fakes.profiles import HIDDEN, LIMITS, file_of, measured, profiled


def test_the_file_holds_what_was_found_and_where_it_comes_from() -> None:
    file = file_of(profiled(noise=0.01), start_s=90.0)
    curves = file.curves()
    for name in FITTED:
        assert getattr(curves, name) == pytest.approx(getattr(HIDDEN, name), rel=0.1), name
    assert curves.uncertainty is not None
    assert curves.uncertainty.sd("step_base_s") > 0
    assert curves.start_s == 90.0
    assert curves.sleeping_w == curves.idle_w == 800.0
    assert (curves.kv_capacity_tokens, curves.max_num_seqs) == (LIMITS.kv_capacity_tokens, LIMITS.max_num_seqs)
    told = file.provenance
    assert (str(told.date), told.gpu, told.gpus, told.kernel) == ("2026-03-04", "H100", 2, "unquantized")
    assert "power by dcgm=http://gpus" in told.decode_source
    assert "EMULATED" not in told.decode_source


def test_the_report_tells_of_cells_left_out_and_of_drift() -> None:
    found = profiled()
    cell = measured(found.cells[0].cell, fault="not steady")
    found = profiled(cells=(*found.cells, cell), drift_frac=0.12, is_emulated=True)
    shows = report(found, file_of(found))
    text = " ".join(shows.paragraphs)
    assert "1 cells are left out" in text
    assert "+12.0%" in text
    assert any("emulated" in line for line in shows.assumptions)
    rows = shows.tables[1].rows
    assert rows[-1][-1] == "not steady"
    assert rows[-1][-2] is None
    for row in rows:
        assert [shown(value, column) for value, column in zip(row, shows.tables[1].columns, strict=True)]


def test_nothing_is_warned_of_where_nothing_is_wrong() -> None:
    found = profiled()
    assert len(report(found, file_of(found)).paragraphs) == 1
    assert len(report(found, file_of(found)).charts) == 3
