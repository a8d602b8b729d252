"""The section `signals` from a text."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from controller.settings.signals import SignalSettings


def signals(text: str) -> SignalSettings:
    return SignalSettings.model_validate(yaml.safe_load(text))


def refusal(text: str) -> str:
    with pytest.raises(ValidationError) as caught:
        signals(text)
    return str(caught.value)
