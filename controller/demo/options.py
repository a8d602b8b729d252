"""What the user asks of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controller.errors import ConfigError

TRACE_START_S = 120.0
"""Trace time at which the replay begins: past the thin first minutes of the recording."""
MIN_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of `wattroute demo`.

    Attributes:
        headless: log lines instead of the live view.
        seconds: time during which requests are sent.
        speed: trace seconds per second.
        json_file: where the summary goes as well, None for the data folder alone.
        port: the router's; 0 takes a free one.
        config: another configuration than the demo's own fleet.
        data_dir: a folder named by the start time is made in it.
        trace: another trace than the bundled one.
        max_in_flight: bound on requests under way at once.
    """

    headless: bool = False
    seconds: float = 300.0
    speed: float = 5.0
    json_file: Path | None = None
    port: int = 0
    config: Path | None = None
    data_dir: Path = Path("wattroute-data")
    seed: int = 0
    trace: Path | None = None
    trace_start_s: float = TRACE_START_S
    max_in_flight: int = 4096

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises:
            ConfigError: naming the option and the remedy.
        """
        if not self.seconds >= MIN_SECONDS:
            raise ConfigError(f"--seconds {self.seconds:g} is too short for an event; use at least {MIN_SECONDS:g}")
        if not 0.1 <= self.speed <= 50:
            raise ConfigError(f"--speed {self.speed:g} is not between 0.1 and 50")
        if self.json_file is not None and not self.json_file.absolute().parent.is_dir():
            raise ConfigError(
                f"--json {self.json_file}: there is no folder {self.json_file.absolute().parent}; make it"
            )
