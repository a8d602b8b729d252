"""What the settings of all sources of power have in common: a name, an address, a token, TLS, a recording's times."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from controller.signals.power.csv_replay import ReplayTimes
from controller.signals.power.http_access import HttpOptions
from controller.signals.power.prometheus import has_sample_times
from router.settings import Group, Name
from router.transport.loopback import refuse_readable

Text = Annotated[str, Field(min_length=1, max_length=2000)]


def check_url(value: str) -> str:
    """An address over HTTP, or ValueError without the password it may hold."""
    parts = urlsplit(value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("no password belongs into an address; write user and token_file")
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port_or_none(parts):
        raise ValueError(f"{value!r} is no address; write http://HOST:PORT")
    return value


def _has_port_or_none(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


Url = Annotated[str, AfterValidator(check_url)]


class Source(Group):
    """What all sources have."""

    name: Name | None = None
    """What it is called in metrics and messages. Absent: its kind, and a number from the second one on."""


class HttpSource(Source):
    """What sources over HTTP have."""

    token_file: Path | None = None
    """File with a bearer token, or with the password of `user`; followed when it is replaced."""
    user: str | None = None
    """Name for HTTP basic authentication."""
    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the server's certificate. Absent: those of the system."""
    certificate_file: Path | None = None
    """PEM file with the certificate that is shown to the server (mutual TLS)."""
    key_file: Path | None = None
    """PEM file with its key, not encrypted."""

    @model_validator(mode="after")
    def _whole(self) -> HttpSource:
        if (self.certificate_file is None) is not (self.key_file is None):
            raise ValueError("certificate_file and key_file go together; write both or neither")
        if self.user is not None and self.token_file is None:
            raise ValueError("user needs token_file, the file with its password")
        if self.token_file is not None:
            refuse_readable(self.addresses(), "token_file")
        return self

    @abstractmethod
    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""

    def http(self, timeout_s: float) -> HttpOptions:
        """How it is reached."""
        return HttpOptions(
            token_file=self.token_file,
            user=self.user,
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            timeout_s=timeout_s,
        )


class Recording(Source):
    """A recording in CSV, replayed."""

    path: Path
    """The file; its columns are in docs/reference/power.md."""
    data_start: datetime | None = None
    """Time in the file that the start of the controller is mapped to, with its zone. Absent: the first row's."""
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Seconds in the file per second."""

    @model_validator(mode="after")
    def _zoned(self) -> Recording:
        if self.data_start is not None and self.data_start.tzinfo is None:
            raise ValueError(f"data_start {self.data_start.isoformat()} has no time zone; write Z behind it for UTC")
        return self

    def times(self) -> ReplayTimes:
        """How the clock maps onto the file."""
        return ReplayTimes(None if self.data_start is None else self.data_start.timestamp(), self.speed)


def refuse_lost_times(queries: list[str], time_query: str | None) -> None:
    """Raise ValueError where the answers have lost the samples' own times and nothing tells them."""
    lost = [query for query in queries if not has_sample_times(query)]
    if lost and time_query is None:
        raise ValueError(
            f"the answer to {lost[0]!r} has the time of the query, not of the samples: write a range selector such as "
            "metric[1m], or add time_query with their times"
        )
