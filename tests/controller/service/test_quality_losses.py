"""What a configuration says of losses: its own figures first, the table's where it names a model or a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.errors import ConfigError
from controller.quality.measured import KIND
from controller.service.compose import build_site
from controller.service.quality_losses import Losses, load_rows
from controller.settings.file import Settings, load
from router.contract import Precision
from tests.fakes.system import ROOT


def _settings(pools: dict[str, dict[str, Any]] | None = None, **more: Any) -> Settings:
    document = yaml.safe_load((ROOT / "deploy/examples/laptop.yaml").read_text())
    for feed in ("price_usd_per_mwh", "carbon_kg_per_mwh"):
        document["signals"].pop(feed)
    for name, changes in (pools or {}).items():
        document["plan"]["pools"][name] = {
            key: value for key, value in {**document["plan"]["pools"][name], **changes}.items() if value is not None
        }
    document["plan"]["classes"] |= more.pop("classes", {})
    return Settings.model_validate({**document, **more})


def test_a_configuration_that_names_no_model_is_as_it_was() -> None:
    site = build_site(load(ROOT / "deploy/examples/laptop.yaml"))
    assert [pool.quality_loss_frac for pool in site.pools] == [0.0, 0.006, 0.02]
    assert [cls.quality_loss_frac for cls in site.classes] == [(), (), ()]
    without = build_site(_settings({"fp8": {"quality_loss_frac": None}}))
    assert without.pools[1].quality_loss_frac == 0.0


def test_a_pool_that_names_its_model_has_the_tables_loss() -> None:
    site = build_site(
        _settings({"fp8": {"quality_loss_frac": None, "model": "Llama-3.1-8B"}, "int4": {"model": "Qwen3-32B"}})
    )
    assert [pool.quality_loss_frac for pool in site.pools] == [0.0, pytest.approx(0.0051), 0.02]


def test_a_class_with_a_task_has_the_tables_loss_where_it_gives_none() -> None:
    settings = _settings(
        {"int4": {"model": "Qwen3-32B"}}, classes={"flex": {"task": "code", "quality_loss_frac": {"fp8": 0.01}}}
    )
    flex = build_site(settings).classes[2]
    assert dict(flex.quality_loss_frac) == {
        Precision.BF16: 0.0, Precision.FP8: 0.01, Precision.INT4: pytest.approx(0.08)
    }  # fmt: skip


def test_the_files_own_model_stands_for_pools_that_name_none() -> None:
    flex = build_site(_settings(classes={"flex": {"task": "code"}})).classes[2]
    assert dict(flex.quality_loss_frac)[Precision.INT4] == pytest.approx(0.009)


def test_a_measured_file_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "q.yaml"
    task = {"task": "humaneval", "kind": "code", "loss_frac": 0.033}
    file.write_text(
        yaml.safe_dump({"kind": KIND, "model": "Qwen3-32B", "precision": "int4", "date": "2026-01-02", "tasks": [task]})
    )
    settings = _settings(
        {"int4": {"model": "Qwen3-32B"}}, classes={"flex": {"task": "code"}}, quality={"measured": [str(file)]}
    )
    assert dict(build_site(settings).classes[2].quality_loss_frac)[Precision.INT4] == pytest.approx(0.033)
    assert Losses.of(settings).told_of_class("flex")[Precision.INT4].how == "measured"


def test_an_unknown_model_and_a_missing_one_say_what_to_write() -> None:
    with pytest.raises(ConfigError, match=r"plan\.pools\.fp8\.quality_loss_frac"):
        build_site(_settings({"fp8": {"quality_loss_frac": None, "model": "gpt-next"}}))
    with pytest.raises(ConfigError, match=r"plan\.pools\.bf16\.model"):
        build_site(_settings(classes={"flex": {"task": "code"}}, model=None))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        load_rows((tmp_path / "absent.yaml",))
    (tmp_path / "bad.yaml").write_text("{")
    with pytest.raises(ConfigError, match="YAML"):
        load_rows((tmp_path / "bad.yaml",))
