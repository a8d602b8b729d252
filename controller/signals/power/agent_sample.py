"""What the node agent says of its GPUs, as it goes over the wire; pure. Agent and client share it.

The agent (`wattroute agent`, `controller.agent`) serves:

    GET /v1/power           one sample, as JSON
    GET /v1/power/stream    server-sent events: one sample an event, as soon as it is taken

With a token configured both want `Authorization: Bearer TOKEN`: 401 without it. The stream's clients are counted: 503
with `Retry-After` beyond the most. A client that does not read is cut off, and may connect again. An event of the
stream is:

    id: 42
    event: power
    data: {"version": 1, ...}

and its data, as the answer of /v1/power, one JSON object on one line:

    {"version": 1,
     "node": "gpu-node-1",
     "boot": "b1c2d3e4",
     "sequence": 42,
     "sent_at_s": 1763750000.25,
     "interval_s": 0.2,
     "driver": "580.95.05",
     "error": null,
     "gpus": [{"uuid": "GPU-...", "name": "NVIDIA H100 80GB HBM3", "power_w": 412.5, "energy_j": 8812345.1,
               "observed_at_s": 1763750000.2, "source": "nvml energy counter", "quality": "direct"},
              {"uuid": "GPU-...", "name": "NVIDIA H100 80GB HBM3", "missing": "GPU is lost",
               "since_s": 1763749000.0, "source": "nvml"}]}

A sample comes every `interval_s` (0.2 to 1 s), whether or not anything could be read, so that silence means a broken
connection. `sequence` grows by one; another `boot` is another process, whose sequence begins anew. `error` is null or
says why NVML as a whole cannot be read; `gpus` then holds those known before as missing. Fields may be added later;
a reader leaves out those it does not know.

Both times are the agent's wall clock. The age of a reading when it was sent is `sent_at_s - observed_at_s`. A client
takes the age and not the time, `Sample.seen_at`, so that clocks which differ make no reading younger or older; and
`ClockDifference` tells it which samples were held up on the way, for those count as older.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import msgspec

from controller.model.observation import Missing, Quality, Reading

VERSION = 1
EVENT = "power"
PATH = "/v1/power"
STREAM_PATH = "/v1/power/stream"
MAX_GPUS = 64
"""GPUs of one node that are told of; the largest nodes have sixteen."""
MAX_SAMPLE_BYTES = 256 * 1024
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU in a sample."""

    uuid: str
    name: str
    reading: Reading | Missing


@dataclass(frozen=True, slots=True)
class Sample:
    """What a node's GPUs draw at one moment.

    Attributes:
        node: the machine's name.
        boot: identifies the agent's process.
        sent_at_s: the agent's wall clock when it sent this.
        interval_s: time to the next sample.
        driver: version of the NVIDIA driver, None while unknown.
        error: why NVML as a whole cannot be read, None if it can.
    """

    node: str
    boot: str
    sequence: int
    sent_at_s: float
    interval_s: float
    gpus: tuple[GpuSample, ...]
    driver: str | None = None
    error: str | None = None

    def seen_at(
        self, arrived_at_s: float, difference_s: float | None = None
    ) -> tuple[tuple[str, Reading | Missing], ...]:
        """Readings by UUID on the clock of the client to whom the sample came at `arrived_at_s`.

        Args:
            arrived_at_s: the client's clock.
            difference_s: the client's clock less the agent's, from `ClockDifference`; None counts the time on the way
                as none.
        """
        shift_s = arrived_at_s - self.sent_at_s if difference_s is None else difference_s
        return tuple((gpu.uuid, _shifted(gpu.reading, shift_s)) for gpu in self.gpus)


class ClockDifference:
    """A client's clock less the agent's, from the fastest of the last samples of one connection.

    A sample that was held up on the way, or lay in a buffer because the client was slow, then shows that as age. An
    agent's clock that is set back makes readings look old for as many samples as are remembered, never young.
    """

    def __init__(self, samples: int = 60) -> None:
        self._recent_s: deque[float] = deque(maxlen=samples)

    def take(self, sample: Sample, arrived_at_s: float) -> float:
        """Take in a sample and when it came; returns the difference in s."""
        self._recent_s.append(arrived_at_s - sample.sent_at_s)
        return min(self._recent_s)


class _Gpu(msgspec.Struct, omit_defaults=True):
    uuid: str
    source: str
    name: str = ""
    power_w: float | None = None
    energy_j: float | None = None
    observed_at_s: float | None = None
    quality: Quality | None = None
    missing: str | None = None
    since_s: float | None = None


class _Sample(msgspec.Struct):
    version: int
    node: str
    boot: str
    sequence: int
    sent_at_s: float
    interval_s: float
    gpus: list[_Gpu]
    driver: str | None = None
    error: str | None = None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Sample)


def encode(sample: Sample) -> bytes:
    """The sample as one line of JSON; texts are cut to 200 characters, GPUs beyond 64 are left out."""
    return _ENCODER.encode(
        _Sample(
            version=VERSION,
            node=sample.node[:_MAX_TEXT],
            boot=sample.boot[:_MAX_TEXT],
            sequence=sample.sequence,
            sent_at_s=sample.sent_at_s,
            interval_s=sample.interval_s,
            gpus=[_gpu_to_wire(gpu) for gpu in sample.gpus[:MAX_GPUS]],
            driver=_cut(sample.driver),
            error=_cut(sample.error),
        )
    )


def encode_event(sample: Sample) -> bytes:
    """The sample as a server-sent event."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (sample.sequence, EVENT.encode(), encode(sample))


def decode(data: bytes | str) -> Sample:
    """The sample in the data of an event or the body of an answer.

    Raises:
        ValueError: the data is too long, no JSON, of another version, or holds a value that cannot be.
    """
    if len(data) > MAX_SAMPLE_BYTES:
        raise ValueError(f"a sample of {len(data)} bytes; {MAX_SAMPLE_BYTES} are allowed")
    try:
        wire = _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no sample of an agent ({error})") from error
    if wire.version != VERSION:
        raise ValueError(f"a sample of version {wire.version}; {VERSION} is understood: update the older side")
    if len(wire.gpus) > MAX_GPUS:
        raise ValueError(f"a sample of {len(wire.gpus)} GPUs; {MAX_GPUS} are allowed")
    return Sample(
        node=wire.node,
        boot=wire.boot,
        sequence=wire.sequence,
        sent_at_s=wire.sent_at_s,
        interval_s=wire.interval_s,
        gpus=tuple(_gpu_from_wire(gpu) for gpu in wire.gpus),
        driver=wire.driver,
        error=wire.error,
    )


def _gpu_to_wire(gpu: GpuSample) -> _Gpu:
    reading = gpu.reading
    source, name = reading.source[:_MAX_TEXT], gpu.name[:_MAX_TEXT]
    if isinstance(reading, Missing):
        return _Gpu(gpu.uuid, source, name, missing=reading.reason[:_MAX_TEXT], since_s=reading.since_s)
    return _Gpu(
        gpu.uuid,
        source,
        name,
        power_w=reading.value_w,
        energy_j=reading.energy_j,
        observed_at_s=reading.observed_at_s,
        quality=reading.quality,
    )


def _gpu_from_wire(wire: _Gpu) -> GpuSample:
    if wire.missing is not None:
        if wire.since_s is None:
            raise ValueError(f"{wire.uuid:.80}: missing, but not since when")
        return GpuSample(wire.uuid, wire.name, Missing(wire.source, wire.missing, wire.since_s))
    if wire.power_w is None or wire.observed_at_s is None or wire.quality is None:
        raise ValueError(f"{wire.uuid:.80}: neither missing nor with power_w, observed_at_s and quality")
    if wire.power_w < 0 or not math.isfinite(wire.power_w):
        raise ValueError(f"{wire.uuid:.80}: power_w {wire.power_w} is no power")
    if wire.energy_j is not None and (wire.energy_j < 0 or not math.isfinite(wire.energy_j)):
        raise ValueError(f"{wire.uuid:.80}: energy_j {wire.energy_j} is no energy")
    reading = Reading(wire.power_w, wire.energy_j, wire.observed_at_s, wire.source, wire.quality)
    return GpuSample(wire.uuid, wire.name, reading)


def _shifted(reading: Reading | Missing, shift_s: float) -> Reading | Missing:
    if isinstance(reading, Missing):
        return Missing(reading.source, reading.reason, reading.since_s + shift_s)
    return Reading(reading.value_w, reading.energy_j, reading.observed_at_s + shift_s, reading.source, reading.quality)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:_MAX_TEXT]
