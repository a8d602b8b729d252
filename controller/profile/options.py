"""Options of `wattroute profile`, checked before anything is measured."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from controller.errors import ConfigError
from controller.http.secret_file import read_line
from controller.profile.design import LEAST_OUTPUT_TOKENS, Design
from controller.profile.measure import Pace
from controller.profile.steady import MAX_SPREAD_FRAC

KEY_VARIABLE = "WATTROUTE_API_KEY"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured, and how long a cell takes, where the operator says no other."""

    design: Design
    pace: Pace


QUICK = Effort(
    Design(
        max_concurrency=64,
        short_input=32,
        long_input=2048,
        long_output=128,
        short_output=16,
        most_cells=9,
        sure_frac=0.02,
    ),
    Pace(window_s=3.0, warmup_s=0.5, rest_s=3.0, extensions=1),
)
FULL = Effort(
    Design(
        max_concurrency=256,
        short_input=64,
        long_input=4096,
        long_output=256,
        short_output=32,
        most_cells=20,
        sure_frac=0.01,
    ),
    Pace(window_s=20.0, warmup_s=3.0, rest_s=30.0),
)


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """Options of `wattroute profile`; see its help.

    Attributes:
        url: of one engine.
        power: text that names a source of power.
        out: the curves file.
        max_concurrency, long_input, output_tokens, window_s: None for what the effort has.
        max_spread_frac: by how much throughput may vary between the parts of a window, and power by half of it.
        sleeping_w, off_w, wake_s, sleep_s, start_s: what the operator knows and is not measured.
    """

    url: str
    power: str
    out: Path
    gpu_uuids: tuple[str, ...] = ()
    model: str | None = None
    precision: str | None = None
    gpu: str | None = None
    kernel: str | None = None
    engine_log: Path | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    page: Path | None = None
    cells: Path | None = None
    overwrite: bool = False
    quick: bool = False
    sleep: bool = False
    max_concurrency: int | None = None
    long_input: int | None = None
    output_tokens: int | None = None
    window_s: float | None = None
    max_spread_frac: float = MAX_SPREAD_FRAC
    sleeping_w: float | None = None
    off_w: float | None = None
    wake_s: float | None = None
    sleep_s: float | None = None
    start_s: float | None = None

    @property
    def cells_path(self) -> Path:
        """Where cells are kept as they come."""
        return self.cells or self.out.with_suffix(".cells.jsonl")

    @property
    def page_path(self) -> Path:
        """Where the page with the plots goes."""
        return self.page or self.out.with_suffix(".html")

    def check(self) -> None:
        """Refuse what cannot end well, before the work is done.

        Raises:
            ConfigError: naming the option and the remedy.
        """
        self._check_places()
        files = (
            ("--engine-log", self.engine_log),
            ("--api-key-file", self.api_key_file),
            ("--ca-file", self.ca_file),
        )
        for option, value in files:
            if value is not None and not value.is_file():
                raise ConfigError(f"{option} {value}: there is no such file")
        figures = ("window_s", "sleeping_w", "off_w", "wake_s", "sleep_s", "start_s")
        for name in figures:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"--{name.replace('_', '-')} {value}: a figure of at least 0 is expected")
        if self.window_s is not None and self.window_s < 1:
            raise ConfigError(f"--window-s {self.window_s:g}: a window of at least 1 s is needed")
        if self.output_tokens is not None and self.output_tokens < 4 * LEAST_OUTPUT_TOKENS:
            raise ConfigError(f"--output-tokens {self.output_tokens}: at least {4 * LEAST_OUTPUT_TOKENS} are needed")

    def _check_places(self) -> None:
        for option, path in (("--out", self.out), ("--page", self.page_path), ("--cells", self.cells_path)):
            if path.is_dir():
                raise ConfigError(f"{option} {path}: this is a folder; name a file in it")
            if not path.absolute().parent.is_dir():
                raise ConfigError(f"{option} {path}: there is no folder {path.absolute().parent}; make it")
        if self.out.suffix not in (".yaml", ".yml"):
            raise ConfigError(f"--out {self.out}: a configuration knows a curves file by its ending; end it in .yaml")
        for option, path in (("--out", self.out), ("--page", self.page_path)):
            if path.exists() and not self.overwrite:
                raise ConfigError(f"{option} {path} exists; give another place, or --overwrite")

    @property
    def effort(self) -> Effort:
        """Quick or full."""
        return QUICK if self.quick else FULL

    def design(self) -> Design:
        """The range of loads, before the engine's limits are known."""
        usual = self.effort.design
        long_output = self.output_tokens or usual.long_output
        return replace(
            usual,
            max_concurrency=self.max_concurrency or usual.max_concurrency,
            long_input=self.long_input or usual.long_input,
            long_output=long_output,
            short_output=max(LEAST_OUTPUT_TOKENS, min(usual.short_output, long_output // 4)),
        )

    def pace(self) -> Pace:
        """How long a cell is measured."""
        pace = self.effort.pace
        window_s = pace.window_s if self.window_s is None else self.window_s
        return replace(pace, window_s=window_s, max_spread_frac=self.max_spread_frac)

    def api_key(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The engine's key, from the file or the environment; None for none.

        Raises:
            ConfigError: the file cannot be read, or it or the variable holds no key.
        """
        if self.api_key_file is None:
            where, key = KEY_VARIABLE, environment.get(KEY_VARIABLE, "").strip()
            if not key:
                return None
        else:
            where, key = f"--api-key-file {self.api_key_file}", read_line(self.api_key_file, "--api-key-file")
        if not key or not key.isascii() or any(char.isspace() or not char.isprintable() for char in key):
            raise ConfigError(f"{where}: one key on one line is expected")
        return key
