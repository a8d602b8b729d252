"""What the settings of all feeds have in common that others tell while the service runs."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from controller.settings.fields import Positive
from controller.settings.power.source import Url
from controller.signals.feeds.fetch import WebOptions
from controller.signals.feeds.live import FeedRules
from controller.signals.feeds.provider import Provider
from controller.signals.feeds.running import LiveSpec
from controller.signals.feeds.units import Money
from router.settings import Group, Seconds
from router.transport.loopback import refuse_readable

_STALE_AFTER = 3.0
"""Questions in a row that may fail before a feed counts as stale."""
_DAY_S = 86_400.0
Bound = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class LiveFeed(Group):
    """What all live feeds have."""

    url: Url | None = None
    """Address of the API."""
    refresh_s: Seconds = 900.0
    """Time between two questions."""
    stale_s: Seconds | None = None
    """Age of the last good answer at which the feed counts as stale. Absent: three times `refresh_s`."""
    max_age_s: Annotated[float, Field(gt=0, le=7 * _DAY_S)] = _DAY_S
    """Age at which it counts as missing, though its last answer may tell of later times."""
    timeout_s: Seconds = 15.0
    """Longest wait for an answer."""
    token_file: Path | None = None
    """File with the token, or the password of `user`; followed when it is replaced."""
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] | None = None
    """Variable of the environment with it, instead of a file."""
    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the server's certificate. Absent: those of the system."""
    needs_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _reached(self) -> LiveFeed:
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("token_file and token_env: one of them is enough")
        if self.needs_token and self.token_file is None and self.token_env is None:
            raise ValueError("the publisher wants a token: write token_file, or token_env")
        secret = "token_file" if self.token_file is not None else self.token_env
        if secret is not None and self.url is not None:
            refuse_readable((self.url,), secret)
        if self.stale_s is not None and self.stale_s < self.refresh_s:
            raise ValueError(f"stale_s {self.stale_s:g} is less than refresh_s {self.refresh_s:g}; raise it")
        return self

    @abstractmethod
    def provider(self) -> Provider:
        """The publisher."""

    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Least and most believable value."""

    def spec(self) -> LiveSpec:
        """What the feed is opened from."""
        stale_s = _STALE_AFTER * self.refresh_s if self.stale_s is None else self.stale_s
        rules = FeedRules(self.refresh_s, min(stale_s, self.max_age_s), self.max_age_s, *self.bounds())
        web = WebOptions(self.token_file, self.token_env, self.ca_file, self.timeout_s)
        return LiveSpec(self.provider(), rules, web)


class PriceFeed(LiveFeed):
    """What live feeds of prices have."""

    least: Bound = -5_000.0
    """Least believable price, USD/MWh; an answer with one beyond is refused. Markets' floors are at -500 EUR and up."""
    most: Bound = 20_000.0
    """Most believable price, USD/MWh. Markets' caps are at 5000 EUR or USD, and 20 300 AUD."""
    currency: Currency = "EUR"
    """Currency the publisher tells prices in (ISO 4217)."""
    usd_per_unit: Positive | None = None
    """How many USD one unit of that currency is; prices are planned in USD."""

    @model_validator(mode="after")
    def _priced(self) -> PriceFeed:
        if self.currency != "USD" and self.usd_per_unit is None:
            raise ValueError(
                f"prices are planned in USD and told in {self.currency}: write usd_per_unit, how many USD one "
                f"{self.currency} is"
            )
        if self.currency == "USD" and self.usd_per_unit not in (None, 1.0):
            raise ValueError("usd_per_unit: one USD is one USD; leave it out, or write the currency that is told")
        _ordered(self.least, self.most)
        return self

    def bounds(self) -> tuple[float, float]:
        """Least and most believable price."""
        return _ordered(self.least, self.most)

    def money(self) -> Money:
        """The currency and its rate."""
        return Money(self.currency, self.usd_per_unit)


class CarbonFeed(LiveFeed):
    """What live feeds of emission rates have."""

    least: Bound = 0.0
    """Least believable rate, kg/MWh; an answer with one beyond is refused."""
    most: Bound = 3_000.0
    """Most believable rate, kg/MWh. Lignite emits some 1200."""

    @model_validator(mode="after")
    def _bounded(self) -> CarbonFeed:
        _ordered(self.least, self.most)
        return self

    def bounds(self) -> tuple[float, float]:
        """Least and most believable rate."""
        return _ordered(self.least, self.most)


def _ordered(least: float, most: float) -> tuple[float, float]:
    if least >= most:
        raise ValueError(f"least {least:g} is not below most {most:g}")
    return least, most
