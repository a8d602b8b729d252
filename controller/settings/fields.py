"""Kinds of values that several sections of the controller have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

Watts = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Frac = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


def _to_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone; write e.g. {value.isoformat()}Z")
    return value.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_to_utc)]
