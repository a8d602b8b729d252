from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from controller.energy.step_fit import nonnegative_line
from controller.errors import ConfigError
from controller.model.perf import Evidence
from controller.simulation import profiles
from controller.simulation.profiles import PROFILES, fit_profile, load_profile

MEASURED = [name for name, spec in PROFILES.items() if spec.scaled_to_gpus is None]
# a [ms], b [ms], A [J], C [J] of unweighted least squares, as published for these rows.
PUBLISHED = {
    "qwen3-235b-a22b/bf16/8xh100": (26.1, 0.164, 82.5, 0.774),
    "qwen3-235b-a22b/fp8/8xh100": (26.6, 0.134, 97.1, 0.566),
    "qwen3-235b-a22b/fp8/4xh100": (37.6, 0.147, 78.1, 0.456),
}


@pytest.mark.parametrize("name", MEASURED)
def test_unweighted_fit_agrees_with_the_published_one(name: str) -> None:
    samples = fit_profile(name).samples
    batch = np.array([s.batch for s in samples])
    ones = np.ones_like(batch)
    a, b = nonnegative_line(batch, np.array([s.step_s for s in samples]), ones)
    base_j, per_seq_j = nonnegative_line(batch, np.array([s.step_j for s in samples]), ones)
    assert (a * 1e3, b * 1e3, base_j, per_seq_j) == pytest.approx(PUBLISHED[name], rel=0.005)


@pytest.mark.parametrize("name", MEASURED)
def test_curves_predict_the_measured_power(name: str) -> None:
    curves = load_profile(name)
    for s in fit_profile(name).samples:
        step_s = curves.step_base_s + curves.step_per_seq_s * s.batch
        power_w = curves.p0_w + curves.decode_j_per_token * s.batch / step_s
        assert power_w == pytest.approx(s.power_w, rel=0.075), s
    assert fit_profile(name).power_held_out_mape_frac < 0.06


@pytest.mark.parametrize("name", MEASURED)
def test_measured_batches_fit_in_the_assumed_context_room(name: str) -> None:
    curves = load_profile(name)
    largest = max(s.batch for s in fit_profile(name).samples)
    assert curves.kv_capacity_tokens / 874.2 > largest * 0.99
    assert curves.max_num_seqs >= largest


def test_bf16_is_limited_by_its_context_room_as_measured() -> None:
    curves = load_profile("qwen3-235b-a22b/bf16/8xh100")
    assert curves.batch_at_itl(1.0, tokens_per_seq=874.2) == pytest.approx(228.47, rel=0.001)


def test_the_estimate_says_so_and_how() -> None:
    int4, fp8 = load_profile("qwen3-235b-a22b/int4/2xh100"), load_profile("qwen3-235b-a22b/fp8/4xh100")
    assert int4.provenance.evidence is Evidence.ESTIMATED
    assert "no INT4 measurement exists" in int4.provenance.source
    assert fp8.provenance.evidence is Evidence.MEASURED
    assert "ML.ENERGY" in fp8.provenance.source
    assert "prefill estimated" in fp8.provenance.source
    assert int4.p0_w == pytest.approx(fp8.p0_w / 2)
    assert int4.step_per_seq_s == pytest.approx(2 * fp8.step_per_seq_s)
    assert 0 < int4.kv_capacity_tokens < fp8.kv_capacity_tokens


@pytest.mark.parametrize("name", PROFILES)
def test_states_are_ordered_by_power(name: str) -> None:
    curves = load_profile(name)
    assert curves.off_w < curves.sleeping_w < curves.idle_w < curves.p0_w
    assert 0 < curves.wake_s < curves.start_s
    prefill_w = curves.p0_w + curves.prefill_j_per_token / curves.prefill_s_per_token
    gpus = PROFILES[name].scaled_to_gpus or PROFILES[name].gpus
    assert prefill_w / gpus == pytest.approx(630.0)


def test_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'nope'.*qwen3-235b-a22b/fp8/4xh100"):
        load_profile("nope")


@pytest.mark.parametrize("text", ["model_id\nx\n", "", None])
def test_missing_or_broken_measurements_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "data").mkdir()
    if text is not None:
        (tmp_path / "data" / profiles.DATA_FILE).write_text(text)
    monkeypatch.setattr(profiles.resources, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=r"mlenergy_v3_lm_arena_chat.csv.*install wattroute again"):
        load_profile("qwen3-235b-a22b/bf16/8xh100")


@pytest.mark.parametrize("name", PROFILES)
def test_the_reference_page_shows_the_figures_in_use(name: str) -> None:
    curves, page = load_profile(name), (Path(__file__).parents[3] / "docs/reference/curves.md").read_text()
    time = f"{curves.step_base_s * 1e3:.1f} + {curves.step_per_seq_s * 1e3:.3f}·B"
    energy = f"{curves.step_base_j:.1f} + {curves.step_per_seq_j:.3f}·B"
    assert f"| `{name}` | {curves.provenance.evidence} | {time} | {energy} | {curves.p0_w:.0f} |" in page
    prefill = f"{curves.prefill_s_per_token * 1e6:.1f} | {curves.prefill_j_per_token * 1e3:.1f}"
    assert f"| `{name}` | {prefill} | {curves.kv_capacity_tokens:,} | {curves.max_num_seqs} |" in page
