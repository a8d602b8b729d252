from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from controller.demo import fleet
from controller.demo.addresses import Addresses
from controller.service.compose import build_site
from controller.settings import file as settings_file
from controller.simulation.trace import Slice, read_trace
from router.contract import Precision

ADDRESSES = Addresses(20_000, 20_001, 20_002, 20_003, tuple(range(20_004, 20_004 + fleet.ENGINES)))


def test_the_written_file_is_a_valid_configuration_of_the_fleet(tmp_path: Path) -> None:
    path = tmp_path / "wattroute.yaml"
    fleet.write(path, ADDRESSES, read_trace(), Slice(600.0, 150.0, 5.0), seed=3)
    settings = settings_file.load(path)
    site = build_site(settings)
    assert [pool.precision for pool in site.pools] == [Precision.BF16, Precision.FP8, Precision.INT4]
    assert settings.router.port == 20_000
    assert settings.table.url == "http://127.0.0.1:20002/v1/allocation"
    assert settings.controller.mode == "act"
    assert settings.controller.data_dir == tmp_path
    assert settings.emulator.seed == 3
    assert {cls.name for cls in settings.classes} == set(fleet.SHARES)
    assert sum(len(pool.instances) for pool in site.pools) == fleet.ENGINES
    assert "EMULATED" in path.read_text()


def test_classes_reach_from_bf16_alone_to_any_precision(tmp_path: Path) -> None:
    path = tmp_path / "wattroute.yaml"
    fleet.write(path, ADDRESSES, read_trace(), Slice(0.0, 150.0, 5.0), seed=0)
    site = build_site(settings_file.load(path))
    usable = {cls.class_id: [pool.pool_id for pool in site.pools if cls.may_use(pool)] for cls in site.classes}
    assert usable == {"premium": ["bf16"], "standard": ["bf16", "fp8"], "flex": ["bf16", "fp8", "int4"]}


def test_all_gpus_could_run_bf16() -> None:
    """The comparison with BF16 alone needs the same GPUs to form BF16 instances without a rest."""
    gpus = sum(spec.instances * spec.gpus_per_instance for spec in fleet.POOLS)
    bf16 = next(spec for spec in fleet.POOLS if spec.precision is Precision.BF16)
    assert gpus % bf16.gpus_per_instance == 0


def test_grid_data_is_taken_at_the_clock_time_of_the_trace() -> None:
    assert fleet.grid_time(fleet.PRICE_DAY, read_trace(), 600.0) == datetime(2022, 7, 13, 18, 25, 46, tzinfo=UTC)
