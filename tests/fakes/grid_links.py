"""A site in an event, with load, every part a process of its own: what is told while its links are cut one by one.

GPUs, engines and the VTN are emulated. Power is judged by the emulator's energy counters, which are read here apart
from the controller; requests are judged by their answers.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller.demo.meter import gpus_energy_j
from tests.fakes.site_meter import PUE
from tests.fakes.system import System, get, laptop_on_free_ports
from tests.fakes.vtn.process import VtnProcess
from tests.fakes.vtn.section import openadr_section
from tests.fakes.vtn.server import interval

LIMIT_W = 7_000.0
DEFAULT_LIMIT_W = 6_500.0
TOLERANCE_FRAC = 0.02
"""Of a mean over a settlement interval: what the emulator's steps and two looks that are not in step make."""
SETTLEMENT_S = 3.0
WORKERS = 40
HOUR = {"start": "0001-01-01", "duration": "PT1H"}


class Load:
    """Clients that ask again as soon as they are answered, spread over the routers' addresses.

    Attributes:
        urls: of the routers that are asked.
        outcomes: counts of statuses, or names of exceptions, by address.
    """

    def __init__(self, urls: list[str], model: str) -> None:
        self.urls = urls
        self.outcomes: Counter[tuple[str, int | str]] = Counter()
        self._model = model
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    def answered(self, url: str | None = None) -> int:
        return sum(count for (place, what), count in self.outcomes.items() if what == 200 and url in (None, place))

    def lost(self, url: str | None = None) -> dict[tuple[str, int | str], int]:
        """Requests that had no good answer."""
        return {key: n for key, n in self.outcomes.items() if key[1] != 200 and url in (None, key[0])}

    def _ask(self, number: int) -> None:
        tier = {"service_tier": "flex"} if number % 3 == 0 else {}
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": "one two three"}],
            "max_tokens": 256,
            **tier,
        }
        while not self._ends.is_set():
            url = self.urls[number % len(self.urls)]
            request = urllib.request.Request(
                f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
            )
            what: int | str
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    answer.read()
                    what = answer.status
            except urllib.error.HTTPError as error:
                what = error.code
            except (OSError, ValueError) as error:
                what = type(error).__name__
            with self._lock:
                self.outcomes[url, what] += 1
            if what != 200:
                self._ends.wait(0.2)


class Meter:
    """The emulator's energy at the metering point, once a second."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._readings: list[tuple[float, float]] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(10)

    def powers_w(self, since_s: float) -> list[float]:
        """Mean power of consecutive settlement intervals since a monotonic time."""
        readings = [reading for reading in list(self._readings) if reading[0] >= since_s]
        out, first = [], 0
        for last in range(1, len(readings)):
            passed_s = readings[last][0] - readings[first][0]
            if passed_s >= SETTLEMENT_S:
                out.append((readings[last][1] - readings[first][1]) / passed_s * PUE)
                first = last
        return out

    def _read(self) -> None:
        while not self._ends.wait(1.0):
            with contextlib.suppress(OSError):
                before_s = time.monotonic()
                text = get(self._address)[1]
                self._readings.append(((before_s + time.monotonic()) / 2, gpus_energy_j(text)))


@dataclass
class GridSite:
    """The processes, and what is seen of them."""

    system: System
    vtn: VtnProcess
    load: Load
    meter: Meter
    other: System | None = None
    program: str = ""
    event: str = ""

    def state(self) -> dict[str, Any]:
        return self.system.state()

    def limit_w(self) -> float | None:
        limit = self.state()["grid"]["limit"]
        return None if limit is None else limit["limit_w"]

    def source(self) -> dict[str, Any]:
        (found,) = [one for one in self.state()["grid"]["sources"] if one["source"] == "openadr:utility"]
        return dict(found)

    def metric(self, name: str) -> float:
        """Sum of a metric's samples, of the name with its labels, or of a name alone."""
        lines = get(f"{self.system.api}/metrics")[1].decode().splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        if not found:
            raise ValueError(f"no sample of {name}")
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def log(self, name: str = "controller") -> str:
        return (self.system.folder / f"{name}.log").read_text()

    def until(self, holds: Callable[[], bool], what: str) -> float:
        """Wait for something; how long that took."""
        begun_s = time.monotonic()
        self.system.until(holds, what)
        return time.monotonic() - begun_s

    def begin_event(self) -> None:
        """An event of an hour, known at the routers and met at the meter."""
        self.event = self.vtn("add_event", self.program, interval(0, "SIMPLE", 1, **HOUR))
        self.until(lambda: self.limit_w() == LIMIT_W, "the limit of the event")
        self.until(self.is_met, "power within the limit")

    def is_met(self, limit_w: float = LIMIT_W, over_s: float = 2.5 * SETTLEMENT_S) -> bool:
        """Whether the latest settlement intervals were all within a limit."""
        powers_w = self.meter.powers_w(time.monotonic() - over_s)
        return bool(powers_w) and max(powers_w) <= limit_w

    def stays_met(self, for_s: float, limit_w: float = LIMIT_W) -> None:
        """Look on, and assert that no settlement interval was over the limit and requests went on being answered."""
        begun_s, answered = time.monotonic(), self.load.answered()
        time.sleep(for_s)
        self.until(lambda: len(self.meter.powers_w(begun_s)) > 0, "a settlement interval is measured")
        powers_w = self.meter.powers_w(begun_s)
        assert max(powers_w) <= limit_w * (1 + TOLERANCE_FRAC), powers_w
        assert self.load.answered() > answered, "no request was answered"


def terms(vtn: VtnProcess, folder: Path) -> Callable[[dict[str, Any]], None]:
    """Sections of the file that have the controller follow the VTN once a second."""
    openadr = openadr_section(vtn.url, folder)

    def change(document: dict[str, Any]) -> None:
        level = {"at_most_w": LIMIT_W}
        document["programmes"] = {
            "dr": {"default_limit_w": DEFAULT_LIMIT_W, "hold_s": 5, "ramp_s": 15, "levels": {1: level}}
        }
        document["openadr"] = openadr
        document["controller"] |= {"tick_s": 1, "table_ttl_s": 10}
        document["plan"] |= {"warmup_s": 3, "slow_interval_s": 5}
        document["table"]["poll_interval_s"] = 0.5

    return change


@contextlib.contextmanager
def site_in_event(
    folder: Path,
    change: Callable[[dict[str, Any]], None] | None = None,
    *,
    oddly: bool = False,
    second_router: Path | None = None,
) -> Iterator[GridSite]:
    """VTN, emulator, routers and controller under load, with an event that is met.

    Args:
        folder: of files and logs.
        change: of the configuration, after the VTN is in it.
        oddly: the controller is `odd_controller`.
        second_router: folder with the configuration of another router.
    """
    vtn = VtnProcess(folder)
    follows = terms(vtn, folder)

    def changed(document: dict[str, Any]) -> None:
        follows(document)
        if change is not None:
            change(document)

    system, other = System(folder, laptop_on_free_ports(folder, changed)), None
    if oddly:
        system.commands["controller"] = ("-m", "tests.fakes.odd_controller", "controller")
    with contextlib.ExitStack() as stack:
        stack.callback(end, system, vtn)
        vtn.start()
        system.start("emulate")
        system.start("router")
        urls = [system.public]
        if second_router is not None:
            other = System(second_router, yaml.safe_load((second_router / "wattroute.yaml").read_text()))
            stack.callback(end, other, vtn)
            other.start("router")
            urls.append(other.public)
        system.start("controller")
        load = Load(urls, system.document["model"])
        stack.callback(load.stop)
        meter = Meter(f"{system.emulator}/metrics")
        stack.callback(meter.stop)
        site = GridSite(system, vtn, load, meter, other, vtn("add_program"))
        site.begin_event()
        yield site


def end(system: System, vtn: VtnProcess) -> None:
    """Leave no process behind, also of those that stand still."""
    vtn.kill()
    for process in system.processes.values():
        process.kill()
        process.wait(10)
