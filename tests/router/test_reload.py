"""A changed configuration is validated, taken without what cannot change, or refused with the old one kept."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from router import config_file, reload
from router.discovery.endpoint import Endpoint
from router.discovery.merging import merge
from router.errors import SettingsError
from router.reload import REFUSED, TAKEN, UNCHANGED, ConfigSource, Reloader, digest_of, keep_fixed
from router.settings import CONTROLLER_SECTIONS, RouterFile
from tests.fakes.running import until
from tests.fakes.settings_files import load

FILE = """
pools:
  - {name: bf16, precision: bf16, instances: [http://127.0.0.1:9001], static_weight: 1}
router: {port: 7000, reload: true}
"""


class Rig:
    """A file, and what was obeyed of it."""

    def __init__(self, path: Path) -> None:

        self.path = path
        self.path.write_text(FILE)
        self.taken: list[RouterFile] = []
        self.trouble: Exception | None = None
        source = ConfigSource(path, lambda: config_file.load(path, RouterFile, ignore=CONTROLLER_SECTIONS))
        self.reloader = Reloader(source, source.load(), apply=self.apply, wall_s=lambda: 1e9)

    async def apply(self, settings: RouterFile) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.taken.append(settings)

    def change(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "wattroute.yaml")


async def test_a_changed_file_is_taken_and_told(rig: Rig) -> None:
    before = digest_of(rig.reloader.settings)
    rig.change("static_weight: 1", "static_weight: 2")
    assert await rig.reloader.reload() == TAKEN
    (taken,) = rig.taken
    assert taken.pools[0].static_weight == 2
    assert rig.reloader.settings == taken
    assert digest_of(taken) != before
    view = rig.reloader.view()
    assert (view.loaded_at_s, view.error, view.needs_restart) == (1e9, None, ())
    assert view.reloads == {TAKEN: 1, REFUSED: 0, UNCHANGED: 0}


async def test_a_wrong_file_is_refused_with_its_line_and_the_old_one_kept(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    old = rig.reloader.settings
    rig.change("static_weight: 1", "static_wait: 1")
    assert await rig.reloader.reload() == REFUSED
    assert (rig.taken, rig.reloader.settings) == ([], old)
    view = rig.reloader.view()
    assert view.error is not None
    assert "wattroute.yaml:3:" in view.error
    assert "static_weight" in view.error
    assert view.reloads[REFUSED] == 1
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    rig.change("static_wait: 1", "static_weight: 3")
    assert await rig.reloader.reload() == TAKEN
    assert rig.reloader.view().error is None


async def test_a_file_that_is_gone_is_refused(rig: Rig) -> None:
    rig.path.unlink()
    assert await rig.reloader.reload() == REFUSED


async def test_what_cannot_be_obeyed_is_refused(rig: Rig) -> None:
    rig.trouble = SettingsError("tenants.yaml:3: no")
    rig.change("static_weight: 1", "static_weight: 2")
    assert await rig.reloader.reload() == REFUSED
    assert rig.reloader.settings.pools[0].static_weight == 1
    assert rig.reloader.view().error == "tenants.yaml:3: no"


async def test_what_nobody_foresaw_is_counted_as_refused_with_its_reason(rig: Rig) -> None:
    rig.trouble = RuntimeError("boom")
    rig.change("static_weight: 1", "static_weight: 2")
    with pytest.raises(RuntimeError):
        await rig.reloader.reload()
    view = rig.reloader.view()
    assert (view.error, view.reloads[REFUSED]) == ("RuntimeError: boom", 1)


async def test_the_same_settings_are_not_taken_again(rig: Rig) -> None:
    rig.path.write_text(FILE + "# a remark\n")
    assert await rig.reloader.reload() == UNCHANGED
    assert rig.taken == []


async def test_what_needs_a_restart_is_named_and_the_rest_taken(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.change("port: 7000", "port: 7001, workers: 4, access_log: {}")
    rig.change("static_weight: 1", "static_weight: 2")
    assert await rig.reloader.reload() == TAKEN
    (taken,) = rig.taken
    assert (taken.router.port, taken.router.workers, taken.router.access_log) == (7000, 1, None)
    assert taken.pools[0].static_weight == 2
    assert set(rig.reloader.view().needs_restart) == {"router.port", "router.workers", "router.access_log"}
    [record] = [record for record in caplog.records if record.message == "a changed setting needs a restart"]
    assert "router.port" in vars(record)["keys"]


async def test_only_what_needs_a_restart_changed(rig: Rig) -> None:
    rig.path.write_text(FILE + "table: {url: 'http://127.0.0.1:8090/v1/allocation', poll_interval_s: 1}\n")
    assert await rig.reloader.reload() == UNCHANGED
    assert rig.reloader.view().needs_restart == ("table.url",)
    rig.path.write_text(FILE)
    assert await rig.reloader.reload() == UNCHANGED
    assert rig.reloader.view().needs_restart == ()


def test_every_key_that_is_fixed_exists() -> None:
    settings = RouterFile.model_validate(
        {"pools": [{"name": "a", "precision": "bf16", "instances": ["http://127.0.0.1:1"]}]}
    )
    for key in reload._FIXED:
        section, _, name = key.partition(".")
        assert name in type(getattr(settings, section)).model_fields, key
    assert keep_fixed(settings, settings) == (settings, ())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "POLL_S", 0.01)
    monkeypatch.setattr(reload, "SETTLE_S", 0.01)


@pytest.mark.usefixtures("quick")
async def test_a_change_of_the_file_is_seen(rig: Rig) -> None:
    running = asyncio.create_task(rig.reloader.run())
    rig.change("static_weight: 1", "static_weight: 2")
    await until(lambda: len(rig.taken) == 1)
    rig.change("static_weight: 2", "static_weight: 3.5")
    await until(lambda: len(rig.taken) == 2)
    running.cancel()
    assert rig.reloader.view().reloads[TAKEN] == 2


@pytest.mark.usefixtures("quick")
async def test_a_file_whose_mode_is_put_right_is_read_again(rig: Rig) -> None:
    running = asyncio.create_task(rig.reloader.run())
    rig.path.chmod(0o600)
    await until(lambda: rig.reloader.view().reloads[UNCHANGED] == 1)
    running.cancel()


@pytest.mark.usefixtures("quick")
async def test_a_link_that_is_turned_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes does with a mounted ConfigMap."""
    link = tmp_path / "current"
    for name, weight in (("v1", 1), ("v2", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wattroute.yaml").write_text(FILE.replace("static_weight: 1", f"static_weight: {weight}"))
    link.symlink_to(tmp_path / "v1")
    rig = Rig(tmp_path / "other.yaml")
    path = link / "wattroute.yaml"

    source = ConfigSource(path, lambda: config_file.load(path, RouterFile))
    reloader = Reloader(source, source.load(), apply=rig.apply, wall_s=lambda: 1e9)
    running = asyncio.create_task(reloader.run())
    new = tmp_path / "new"
    new.symlink_to(tmp_path / "v2")
    new.replace(link)
    await until(lambda: rig.taken)
    running.cancel()
    assert rig.taken[0].pools[0].static_weight == 2


@pytest.mark.usefixtures("quick")
async def test_without_reload_the_file_is_read_only_when_asked(rig: Rig) -> None:
    rig.change("reload: true", "reload: false")
    await rig.reloader.reload()
    running = asyncio.create_task(rig.reloader.run())
    rig.change("static_weight: 1", "static_weight: 2")
    await asyncio.sleep(0.1)
    assert len(rig.taken) == 1
    rig.reloader.ask()
    await until(lambda: len(rig.taken) == 2)
    running.cancel()


@pytest.mark.usefixtures("quick")
async def test_a_refused_file_is_not_read_again_until_it_changes(rig: Rig) -> None:
    running = asyncio.create_task(rig.reloader.run())
    rig.path.write_text("pools: [")
    await until(lambda: rig.reloader.view().reloads[REFUSED] == 1)
    await asyncio.sleep(0.1)
    assert rig.reloader.view().reloads[REFUSED] == 1
    rig.path.write_text(FILE.replace("static_weight: 1", "static_weight: 2"))
    await until(lambda: rig.taken)
    running.cancel()


@pytest.mark.parametrize("setting", ["tenants: {{tenants_file: {path}}}", "pools: [{pool}]"], ids=["tenants", "key"])
async def test_a_changed_file_of_tenants_or_keys_is_taken_with_the_same_settings(setting: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one")
    config = tmp_path / "wattroute.yaml"
    rig = Rig(config)
    pool = f"{{name: bf16, precision: bf16, instances: [http://127.0.0.1:9001], engine_key_file: {secret}}}"
    text = setting.format(path=secret, pool=pool)
    config.write_text((FILE if "tenants" in setting else "router: {port: 7000, reload: true}\n") + text + "\n")
    assert await rig.reloader.reload() == TAKEN
    assert await rig.reloader.reload() == UNCHANGED
    task = asyncio.create_task(rig.reloader.run())
    secret.write_text("another")
    await until(lambda: len(rig.taken) == 2)
    task.cancel()
    assert rig.taken[0] == rig.taken[1]
    assert await rig.reloader.reload() == UNCHANGED


async def test_a_changed_file_of_tenants_that_cannot_be_obeyed_is_tried_again(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one")
    rig = Rig(tmp_path / "wattroute.yaml")
    rig.path.write_text(FILE + f"tenants: {{tenants_file: {secret}}}\n")
    assert await rig.reloader.reload() == TAKEN
    secret.write_text("broken")
    rig.trouble = SettingsError("broken")
    assert await rig.reloader.reload() == REFUSED
    assert await rig.reloader.reload() == REFUSED
    rig.trouble = None
    assert await rig.reloader.reload() == TAKEN


def test_the_hash_is_of_the_file_not_of_what_was_found() -> None:
    discovery = {"kind": "kubernetes", "service": "vllm"}
    written = load(pools=[{"name": "bf16", "precision": "bf16", "discovery": discovery}])
    found = merge(written, {"bf16": (Endpoint("p", "10.0.0.1", 8000),)}).settings
    other = load(pools=[{"name": "bf16", "precision": "bf16", "discovery": {**discovery, "port": 8000}}])
    assert digest_of(found) == digest_of(written) != digest_of(other)
