from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.wattroute_command import ROOT, one_line_error, wattroute


def test_simulate_lists_the_shipped_scenarios(tmp_path: Path) -> None:
    result = wattroute("simulate", "--list", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(name in result.stdout for name in ("offline-routing", "batching"))


def test_simulate_asks_for_a_scenario_and_names_the_nearest(tmp_path: Path) -> None:
    none, unknown = wattroute("simulate", cwd=tmp_path), wattroute("simulate", "baching", cwd=tmp_path)
    assert (none.returncode, unknown.returncode) == (2, 2)
    assert "wattroute simulate --list" in one_line_error(none)
    assert "did you mean 'batching'?" in one_line_error(unknown)


def test_simulate_tells_what_a_scenario_has_wrong_and_where(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = (ROOT / "controller/study/scenarios/offline-routing.yaml").read_text()
    path.write_text(shipped.replace("price_usd_per_mwh: 50", "price_usd_per_mwh: -50"))
    line = path.read_text()[: path.read_text().index("price_usd")].count("\n") + 1
    result = wattroute("simulate", str(path), cwd=tmp_path)
    assert result.returncode == 2
    assert f"{path}:{line}: choose.price_usd_per_mwh:" in one_line_error(result)
    assert "(got -50)" in result.stderr


def test_simulate_runs_without_matplotlib_but_for_the_page(tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    shipped = (ROOT / "controller/study/scenarios/offline-routing-measured.yaml").read_text()
    path.write_text(shipped.replace("speed: 20 ", "first: 50 "))
    written = wattroute("simulate", str(path), "--json", "out.json", cwd=tmp_path, hide="matplotlib")
    assert (written.returncode, written.stderr) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text())["figures"]["result"]["queries"] == 50
    page = wattroute("simulate", str(path), "--html", "out.html", cwd=tmp_path, hide="matplotlib")
    assert page.returncode == 2
    assert "pip install 'wattroute[study]'" in page.stderr
    assert not (tmp_path / "out.html").exists()


def test_curves_prints_the_map_and_tells_what_is_wrong_with_its_options(tmp_path: Path) -> None:
    shown = wattroute("curves", "qwen3-32b", "--itl-slo-ms", "40", cwd=tmp_path)
    assert shown.returncode == 0
    assert "at 40 ms between tokens" in shown.stdout
    unknown, zero = wattroute("curves", "qwen3-33b", cwd=tmp_path), wattroute("curves", "--itl-slo-ms=0", cwd=tmp_path)
    assert (unknown.returncode, zero.returncode) == (2, 2)
    assert "near it are qwen3-3" in one_line_error(unknown)
    assert "--itl-slo-ms 0" in one_line_error(zero)


def test_fit_prints_errors_and_tells_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    shown = wattroute("fit", "--markdown", cwd=tmp_path)
    assert shown.returncode == 0
    assert "#### Median held-out errors" in shown.stdout
    path = tmp_path / "mine.csv"
    path.write_text("configuration,batch,tokens_per_s,power_w,itl_ms\nmine,8,fast,900,31\n")
    wrong = wattroute("fit", "mine.csv", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "mine.csv, line 2, column tokens_per_s: 'fast' is no number" in one_line_error(wrong)


def test_fit_takes_windows_and_one_question_at_a_time(tmp_path: Path) -> None:
    shown = wattroute("fit", "--windows", "emulated", "--markdown", cwd=tmp_path)
    assert "#### Prefill and decode told apart" in shown.stdout
    both = wattroute("fit", "--windows", "emulated", "--workload", "synthetic", cwd=tmp_path)
    assert both.returncode == 2
    assert "ask one at a time" in one_line_error(both)


def test_the_published_models_need_the_extra_and_say_so(tmp_path: Path) -> None:
    result = wattroute("fit", "--workload", "synthetic", cwd=tmp_path, hide="statsmodels.api")
    assert result.returncode == 2
    assert "pip install 'wattroute[study]'" in one_line_error(result)
    assert wattroute("fit", "--json", cwd=tmp_path, hide="statsmodels.api").returncode == 0
