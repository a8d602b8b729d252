"""What a configuration says of quality losses: its own figures, or the quality table's where it names a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from controller.errors import ConfigError
from controller.quality.measured import read_rows
from controller.quality.table import Loss, Row, Task, look_up, published
from controller.settings.file import Settings
from router.contract import Precision

MAX_FILE_BYTES = 1 << 20


def load_rows(files: tuple[Path, ...]) -> tuple[Row, ...]:
    """The published rows, and those of measured files.

    Raises:
        ConfigError: a file cannot be read or is none; it names the file and the remedy.
    """
    measured = [row for file in files for row in read_rows(_document(file), str(file))]
    return (*measured, *published())


def _document(file: Path) -> object:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file}: more than {MAX_FILE_BYTES} bytes; this is no file of `wattroute quality run`")
        return yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be read as YAML: {error}") from error


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of the pools and classes of a configuration."""

    settings: Settings
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, settings: Settings) -> Losses:
        """Those of a configuration, with its measured files.

        Raises:
            ConfigError: a measured file cannot be used.
        """
        return cls(settings, load_rows(settings.quality.measured))

    def of_pool(self, name: str) -> float:
        """Loss of a pool: its own figure, else the table's for its model, else 0.

        Raises:
            ConfigError: the table knows nothing that could stand in; it names the key to write.
        """
        plan = self.settings.plan.pools[name]
        if plan.quality_loss_frac is not None:
            return plan.quality_loss_frac
        told = self.told_of_pool(name)
        return 0.0 if told is None else told.loss_frac

    def told_of_pool(self, name: str) -> Loss | None:
        """What the table says of a pool that gives a model and no figure; None for others.

        Raises:
            ConfigError: as for `of_pool`.
        """
        plan = self.settings.plan.pools[name]
        if plan.quality_loss_frac is not None or plan.model is None:
            return None
        precision = next(pool.precision for pool in self.settings.pools if pool.name == name)
        return self._look_up(plan.model, precision, None, f"plan.pools.{name}.quality_loss_frac")

    def of_class(self, name: str) -> tuple[tuple[Precision, float], ...]:
        """Losses of a class by precision, as far as it tells its own or its task.

        Raises:
            ConfigError: as for `of_pool`.
        """
        plan = self.settings.plan.classes.get(name)
        if plan is None:
            return ()
        told = {precision: loss.loss_frac for precision, loss in self.told_of_class(name).items()}
        return tuple({**told, **plan.quality_loss_frac}.items())

    def told_of_class(self, name: str) -> dict[Precision, Loss]:
        """What the table says of the precisions that a class with a task gives no figure for.

        Raises:
            ConfigError: as for `of_pool`.
        """
        plan = self.settings.plan.classes.get(name)
        if plan is None or plan.task is None:
            return {}
        where = f"plan.classes.{name}.quality_loss_frac"
        told: dict[Precision, Loss] = {}
        for pool in self.settings.pools:
            if pool.precision in told or pool.precision in plan.quality_loss_frac:
                continue
            own = self.settings.plan.pools.get(pool.name)
            model = (own.model if own is not None else None) or self.settings.model
            if model is None:
                raise ConfigError(f"{where}: a task needs a model; write plan.pools.{pool.name}.model")
            told[pool.precision] = self._look_up(model, pool.precision, plan.task, f"{where}.{pool.precision}")
        return told

    def _look_up(self, model: str, precision: Precision, task: Task | None, key: str) -> Loss:
        found = look_up(self.rows, model, precision, task)
        if found is None:
            raise ConfigError(
                f"the quality table knows nothing of {model!r} at {precision.value}, not even its size by its name; "
                f"write {key}, or measure it: wattroute quality run"
            )
        return found
