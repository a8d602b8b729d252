"""The section `supervisor`: the process that runs the engines of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from router.settings import Group, Port, Seconds


class SupervisorSettings(Group):
    """`wattroute supervise`; see docs/reference/supervisor.md."""

    host: str = "127.0.0.1"
    """Address of its HTTP API; other than this machine's own needs a token."""
    port: Port = 9420
    token_file: Path | None = None
    """File with the bearer token that every request but /healthz must carry; or WATTROUTE_SUPERVISOR_TOKEN. Absent:
    only this machine is answered."""
    state_dir: Path = Path("wattroute-engines")
    """Folder of what is known of running engines, and of their logs."""
    ready_s: Annotated[float, Field(gt=0, le=86_400)] = 1200.0
    """Longest from an engine's start to its first good /health: weights may come over the network."""
    stop_s: Seconds = 150.0
    """From SIGTERM to SIGKILL; longer than vLLM's --shutdown-timeout, which lets answers finish."""
    restart_first_s: Seconds = 2.0
    """First wait before a crashed engine is started again; doubled at each crash, less up to half by chance."""
    restart_longest_s: Seconds = 300.0
    """Longest such wait."""
    most_crashes: Annotated[int, Field(ge=1, le=100)] = 5
    """So many crashes within `crash_window_s`, and an engine is given up until it is told to start."""
    crash_window_s: Seconds = 7200.0
    hung_s: Seconds | None = None
    """How long a serving engine's /health may fail before it is ended and started again. Absent: it is told only."""
    log_mb: Annotated[float, Field(gt=0, le=100_000)] = 64.0
    """Size at which an engine's log is moved aside, MiB."""
    log_files: Annotated[int, Field(ge=0, le=100)] = 3
    """Older logs kept of each engine."""

    @model_validator(mode="after")
    def _waits_grow(self) -> SupervisorSettings:
        if self.restart_first_s > self.restart_longest_s:
            raise ValueError(
                f"restart_first_s {self.restart_first_s:g} is above restart_longest_s {self.restart_longest_s:g}; "
                "lower the one or raise the other"
            )
        return self
