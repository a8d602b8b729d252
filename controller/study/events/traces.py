"""What random fleets are asked for: the recorded hours of requests, begun anywhere, on a daily wave.

Pure but for reading the bundled files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from controller.simulation.trace import CODE_TRACE, DEFAULT_TRACE, read_trace

MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded hour, minute by minute.

    Attributes:
        per_s: (minutes, 3) requests, prompt tokens and output tokens a second; whole minutes alone.
    """

    name: str
    per_s: np.ndarray

    @property
    def input_tokens(self) -> float:
        """Mean prompt tokens of a request."""
        return float(self.per_s[:, 1].sum() / self.per_s[:, 0].sum())

    @property
    def output_tokens(self) -> float:
        """Mean output tokens of a request."""
        return float(self.per_s[:, 2].sum() / self.per_s[:, 0].sum())


@dataclass(frozen=True, slots=True)
class Wish:
    """What a class asks for.

    Attributes:
        tokens_per_s: mean of output tokens over the recorded hour, without the wave.
        offset_min: minute of the recording that comes first; it begins anew after its last.
        wave_frac, wave_phase: height of the daily wave over its mean, and where in it the run begins, 0..1.
    """

    recorded: Recorded
    tokens_per_s: float
    offset_min: int = 0
    wave_frac: float = 0.0
    wave_phase: float = 0.0

    def asked_per_s(self, ticks: int, tick_s: float) -> np.ndarray:
        """(ticks, 3) requests, prompt tokens and output tokens a second."""
        per_s = self.recorded.per_s * (self.tokens_per_s / self.recorded.per_s[:, 2].mean())
        at_s = (np.arange(ticks) + 0.5) * tick_s
        minute = (self.offset_min + (at_s // MINUTE_S).astype(int)) % len(per_s)
        wave = 1.0 + self.wave_frac * np.sin(2.0 * np.pi * (self.wave_phase + at_s / DAY_S))
        return np.asarray(per_s[minute] * wave[:, None])


@cache
def recorded() -> tuple[Recorded, Recorded]:
    """The recorded hours of a chat service and of one for code.

    Raises:
        ConfigError: a bundled file is missing or malformed.
    """
    return _read("Azure 2023 conversation", False), _read("Azure 2023 code", True)


def _read(name: str, is_code: bool) -> Recorded:
    trace = read_trace(CODE_TRACE if is_code else DEFAULT_TRACE)
    minutes = int(trace.duration_s // MINUTE_S)
    per_s = np.zeros((minutes, 3))
    for arrival in trace.arrivals:
        minute = int(arrival.time_s // MINUTE_S)
        if minute < minutes:
            per_s[minute] += (1.0, arrival.input_tokens, arrival.output_tokens)
    return Recorded(name, per_s / MINUTE_S)
