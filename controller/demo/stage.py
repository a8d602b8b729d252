"""What a run needs before its processes start: folder, configuration, fleet, requests; and what it leaves behind."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.demo import addresses, fleet
from controller.demo.event import EventTimes, times
from controller.demo.load import MIN_INPUT_TOKENS
from controller.demo.meter import Record
from controller.demo.options import DemoOptions
from controller.errors import ConfigError
from controller.model.fleet import Site
from controller.service.compose import build_site
from controller.settings import file as settings_file
from controller.settings.file import Settings
from controller.simulation.replay import assign_classes
from controller.simulation.site_router import Request
from controller.simulation.trace import DEFAULT_TRACE, Slice, read_trace, replayed

CONFIG_NAME = "wattroute.yaml"
SUMMARY_NAME = "summary.json"
POWER_NAME = "power.csv"
LOGS_NAME = "logs"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the processes are reached."""

    router: str
    router_admin: str
    controller: str
    emulator: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A prepared run.

    Attributes:
        folder: of this run; configuration, logs and records lie in it.
        requests: to be sent, `time_s` since the replay's start.
    """

    options: DemoOptions
    folder: Path
    config: Path
    settings: Settings
    site: Site
    requests: tuple[Request, ...]
    event: EventTimes
    urls: Urls
    trace: str


def prepare(options: DemoOptions, now_s: float) -> Stage:
    """Read the trace, make the folder, write the configuration and read it back as the processes will.

    Raises:
        ConfigError: an option, the trace or the configuration is wrong.
        ListenError: the wanted port is taken.
    """
    options.check()
    trace = read_trace(options.trace or DEFAULT_TRACE)
    part = Slice(options.trace_start_s, options.seconds, options.speed)
    arrivals = replayed(trace, part)
    free = None if options.config else addresses.choose(options.port, fleet.ENGINES)
    folder = _make_folder(options.data_dir, now_s)
    config = folder / CONFIG_NAME
    if free is None:
        _copy(options, config)
    else:
        fleet.write(config, free, trace, part, options.seed)
    settings = settings_file.load(config)
    site = build_site(settings)
    shares = {cls.class_id: fleet.SHARES.get(cls.class_id, 0.0) for cls in site.classes}
    if not any(shares.values()):
        shares = dict.fromkeys(shares, 1.0)
    return Stage(
        options=options,
        folder=folder,
        config=config,
        settings=settings,
        site=site,
        requests=assign_classes(arrivals, shares, options.seed, min_input_tokens=MIN_INPUT_TOKENS),
        event=times(options.seconds),
        urls=_urls(settings),
        trace=Path(trace.source).name,
    )


def save(stage: Stage, figures: dict[str, Any], record: Record, start_s: float) -> None:
    """Write the summary and the power series into the run's folder, and the summary where the user wants it.

    Raises:
        ConfigError: a file cannot be written.
    """
    text = json.dumps(figures, indent=2) + "\n"
    paths = [stage.folder / SUMMARY_NAME, *([stage.options.json_file] if stage.options.json_file else [])]
    try:
        for path in paths:
            path.write_text(text, encoding="utf-8")
        with (stage.folder / POWER_NAME).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("start_s", "end_s", "power_w", "limit_w", "price_usd_per_mwh", "carbon_kg_per_mwh"))
            writer.writerows(
                (
                    round(power.start_s - start_s, 3),
                    round(power.end_s - start_s, 3),
                    round(power.power_w, 1),
                    power.limit_w,
                    power.price_usd_per_mwh,
                    power.carbon_kg_per_mwh,
                )
                for power in record.powers
            )
    except OSError as error:
        raise ConfigError(f"{error.filename}: the records cannot be written: {error.strerror}") from error


def _make_folder(data_dir: Path, now_s: float) -> Path:
    stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        for attempt in range(1000):
            folder = data_dir / (stamp if attempt == 0 else f"{stamp}-{attempt}")
            if not folder.exists():
                (folder / LOGS_NAME).mkdir(parents=True)
                return folder.absolute()
    except OSError as error:
        raise ConfigError(f"--data-dir {data_dir}: no folder can be made there: {error.strerror}") from error
    raise ConfigError(f"--data-dir {data_dir}: it holds a thousand runs of this second; choose another one")


def _copy(options: DemoOptions, config: Path) -> None:
    if options.port:
        raise ConfigError("--port does not go with --config: the file says router.port; leave --port out")
    if options.config is None:
        return
    try:
        shutil.copyfile(options.config, config)
    except OSError as error:
        raise ConfigError(f"--config {options.config}: {error.strerror}; name a readable file") from error


def _urls(settings: Settings) -> Urls:
    def url(host: str, port: int) -> str:
        reachable = addresses.HOST if host in ("0.0.0.0", "::", "") else host
        return f"http://{reachable}:{port}"

    router, controller, emulator = settings.router, settings.controller, settings.emulator
    return Urls(
        router=url(router.host, router.port),
        router_admin=url(router.admin_host, router.admin_port),
        controller=url(controller.host, controller.port),
        emulator=url(emulator.control_host, emulator.control_port),
    )
