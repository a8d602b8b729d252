"""What an operator writes to curtail, made into a request to the controller; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controller.errors import ConfigError

_POWER = re.compile(r"(\d+(?:\.\d+)?)\s*(W|kW|MW)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_DURATION = re.compile(r"(?=\d)(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6}


@dataclass(frozen=True, slots=True)
class CurtailOptions:
    """What `wattroute curtail` was told, as written."""

    to: str | None
    by: str | None
    level: int | None
    duration: str
    at: str | None
    ramp: str | None
    programme: str
    event_id: str | None
    is_test: bool
    dry_run: bool
    as_json: bool


def watts(text: str, option: str) -> float:
    """Power such as 40kW, 0.04 MW or 40000W.

    Raises:
        ConfigError: it is none.
    """
    match = _POWER.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{option} {text!r:.40} is no power; write it with its unit, such as 40kW, 0.5MW or 800W")
    return float(match[1]) * _WATTS[match[2]]


def seconds(text: str, option: str) -> float:
    """A duration such as 30m, 1h30m, 90s or 2d.

    Raises:
        ConfigError: it is none.
    """
    match = _DURATION.fullmatch(text.strip().replace(" ", ""))
    parts = [0.0 if part is None else float(part) for part in match.groups()] if match else []
    if not parts or not any(parts):
        raise ConfigError(f"{option} {text!r:.40} is no duration; write it with its unit, such as 30m, 1h30m or 90s")
    days, hours, minutes, rest = parts
    return days * 86_400 + hours * 3600 + minutes * 60 + rest


def start_of(text: str, now: datetime) -> datetime:
    """The next time that a clock shows 17:00, or an ISO 8601 time; without an offset on this machine's clock.

    Args:
        text: as written.
        now: with its time zone, that of the operator.

    Raises:
        ConfigError: it is neither, or lies in the past.
    """
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
            clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M").time()
            start = datetime.combine(now.date(), clock, now.tzinfo)
            return start if start > now else datetime.combine(now.date() + timedelta(days=1), clock, now.tzinfo)
        start = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--at {text!r:.40} is no time; write 17:00 or 2026-07-14T17:00:00+02:00") from error
    start = start if start.tzinfo else start.replace(tzinfo=now.tzinfo)
    if start < now:
        raise ConfigError(f"--at {text} was {(now - start).total_seconds():.0f} s ago; leave it out to begin now")
    return start


def request_of(options: CurtailOptions, now: datetime) -> dict[str, Any]:
    """The body to send.

    Raises:
        ConfigError: the options contradict each other or are none.
    """
    asked = [name for name, value in (("--to", options.to), ("--by", options.by), ("--level", options.level)) if value]
    if options.level == 0 and "--level" not in asked:
        asked.append("--level")
    if len(asked) != 1:
        raise ConfigError(f"say once how far to curtail: --to 40kW, --by 25%, --by 10kW or --level 2; got {asked}")
    body: dict[str, Any] = {"duration_s": seconds(options.duration, "--for"), "programme": options.programme}
    if options.to is not None:
        body["limit_w"] = watts(options.to, "--to")
    elif options.level is not None:
        body["level"] = options.level
    else:
        body |= _reduction(options.by or "")
    if options.at is not None:
        body["start"] = start_of(options.at, now).isoformat()
    if options.ramp is not None:
        body["ramp_s"] = seconds(options.ramp, "--ramp")
    if options.event_id is not None:
        body["event_id"] = options.event_id
    if options.is_test:
        body["is_test"] = True
    if options.dry_run:
        body["dry_run"] = True
    return body


def _reduction(text: str) -> dict[str, float]:
    share = _SHARE.fullmatch(text.strip())
    if share is None:
        return {"below_baseline_w": watts(text, "--by")}
    if float(share[1]) > 100:
        raise ConfigError(f"--by {text} is more than everything; write at most 100%")
    return {"below_baseline_frac": float(share[1]) / 100}
