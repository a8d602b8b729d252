"""`wattroute curtail`, `events`, `cancel`, `opt-out`, `opt-in`: an operator's calls, through the controller's API."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import typer

from controller import bearer_token
from controller.bounded_body import read_body
from controller.dashboard.access import TOKEN_VARIABLE
from controller.errors import ConfigError, ControllerError
from controller.settings.file import load

URL_VARIABLE = "WATTROUTE_CONTROLLER_URL"
DEFAULT_URL = "http://127.0.0.1:8090"
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 4 << 20
_POWER = re.compile(r"(\d+(?:\.\d+)?)\s*(W|kW|MW)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_DURATION = re.compile(r"(?=\d)(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_WATTS = {"W": 1.0, "kW": 1e3, "MW": 1e6}


class RequestRefused(ControllerError):  # noqa: N818 - reads as the outcome it is
    """The controller did not do what was asked; the text is its own."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the controller is.

    Attributes:
        url: its address; None takes it from the configuration, the environment or the default.
        config: configuration file with its address and token file.
        site: name that the controller must give its site; None takes any.
    """

    url: str | None = None
    config: Path | None = None
    site: str | None = None


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


def curtail(access: Access, options: CurtailOptions, environment: Mapping[str, str], now: datetime) -> None:
    """Enter a call, or tell what it would come to.

    Raises:
        ConfigError, RequestRefused: it cannot be sent, or is not taken in.
    """
    body = request_of(options, now)
    _tell(asyncio.run(ask(access, environment, "POST", "/v1/events", body)), options.as_json, now)


def events(access: Access, environment: Mapping[str, str], now: datetime, *, as_json: bool) -> None:
    """List calls.

    Raises:
        ConfigError, RequestRefused: the controller cannot be asked.
    """
    told = asyncio.run(ask(access, environment, "GET", "/v1/events", None))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    if not told["events"]:
        typer.echo("no events are pending or active, and none ended within the last hour")
        return
    for event in told["events"]:
        typer.echo("\n".join(lines_of(event, now)))


def change(
    access: Access, environment: Mapping[str, str], now: datetime, request: tuple[str, str, dict[str, str] | None]
) -> None:
    """Cancel a call, opt out of it or in again.

    Args:
        access: to the controller.
        environment: of the process.
        now: of the operator.
        request: method, path and body.

    Raises:
        ConfigError, RequestRefused: it was not done.
    """
    method, path, body = request
    _tell(asyncio.run(ask(access, environment, method, path, body)), False, now)


def lines_of(event: Mapping[str, Any], now: datetime) -> list[str]:
    """An event as lines to print, times on the operator's clock."""
    mode = "would be " if event.get("dry_run") else ""
    test = ", a test" if event["is_test"] else ""
    lines = [f"{event['event_id']}: {mode}{event['state']}, {event['source']}, programme {event['programme']}{test}"]
    for limit in event["limits"]:
        span = f"{clock_text(limit['start_s'], now)} to {clock_text(limit['end_s'], now)}"
        lines.append(f"  at most {limit['limit_w'] / 1e3:.3f} kW from {span}, met within {limit['ramp_s']:.0f} s")
    if event["baseline_w"] is not None:
        lines.append(f"  baseline {event['baseline_w'] / 1e3:.3f} kW ({event['baseline_origin']})")
    if event.get("present_w") is not None:
        lines.append(f"  drawn now {event['present_w'] / 1e3:.3f} kW")
    lines += _within(event)
    lines += [f"  raised to the least limit of the programme: {name}" for name in event["raised_to_least"]]
    lines += [
        f"  not followed from {clock_text(each['start_s'], now)}: {each['reason']}" for each in event["unresolved"]
    ]
    if event["opted_out"] is not None:
        lines.append(f"  not followed: {event['opted_out']}")
    return lines


def _within(event: Mapping[str, Any]) -> list[str]:
    """Whether what would hold lies within what can be shed, where the answer tells."""
    if "is_achievable" not in event:
        return []
    if event["is_achievable"] is None:
        return [f"  whether it can be kept is not known: {event['capability_unknown']}"]
    if event["is_achievable"]:
        return [f"  can be kept; cost to those served: {event['qos_cost']}"]
    if event["achievable_w"] is None:
        return ["  can NOT be promised as soon as that"]
    return [f"  can NOT be promised for as long; at most {event['achievable_w'] / 1e3:.3f} kW can be kept by then"]


def clock_text(time_s: float, now: datetime) -> str:
    """A time on the operator's clock, with its day where that is not today."""
    if time_s > 2.5e11:
        return "further notice"
    moment = datetime.fromtimestamp(time_s, now.tzinfo)
    return moment.strftime("%H:%M:%S" if moment.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def _tell(event: Mapping[str, Any], as_json: bool, now: datetime) -> None:
    typer.echo(json.dumps(event, indent=2) if as_json else "\n".join(lines_of(event, now)))


async def ask(
    access: Access, environment: Mapping[str, str], method: str, path: str, body: dict[str, Any] | None
) -> Any:
    """Ask the controller; its answer as JSON.

    Raises:
        ConfigError, RequestRefused: it cannot be asked, or refuses.
    """
    url, token = _address(access, environment)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            if access.site is not None:
                state = await _answer(session, "GET", f"{url}/v1/site", None)
                if state["site"] != access.site:
                    raise ConfigError(
                        f"--site {access.site}: {url} is the controller of {state['site']}; correct either"
                    )
            return await _answer(session, method, f"{url}{path}", body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RequestRefused(
            f"{url}: the controller does not answer: {error or type(error).__name__}; start it, or name it with "
            f"--controller or {URL_VARIABLE}"
        ) from error


async def _answer(session: aiohttp.ClientSession, method: str, url: str, body: dict[str, Any] | None) -> Any:
    async with session.request(method, url, json=body, allow_redirects=False) as answer:

        def refused(reason: str) -> RequestRefused:
            return RequestRefused(f"{url}: {answer.status}, {reason}: is this the controller's port?")

        raw = await read_body(answer, _MAX_ANSWER_BYTES, refused)
        try:
            told = json.loads(raw)
        except ValueError as error:
            raise refused("no JSON") from error
        if answer.status >= 400:
            raise RequestRefused(f"{answer.status}: {told['error']['message'] if 'error' in told else told}")
        return told


def _address(access: Access, environment: Mapping[str, str]) -> tuple[str, str | None]:
    settings = None if access.config is None else load(access.config)
    file = None if settings is None else settings.controller.token_file
    token = bearer_token.load_token(file, environment, key="controller.token_file", variable=TOKEN_VARIABLE)
    url = access.url or environment.get(URL_VARIABLE)
    if url is None and settings is not None:
        host = settings.controller.host
        named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        url = f"http://{named}:{settings.controller.port}"
    return (url or DEFAULT_URL).rstrip("/"), token
