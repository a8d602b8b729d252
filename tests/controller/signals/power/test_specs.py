import dataclasses
from pathlib import Path

import pytest

from controller.signals.power.specs import CsvSpec, DcgmSpec, PromqlSpec


@pytest.mark.parametrize("spec", [DcgmSpec(("http://a/metrics",)), PromqlSpec("http://a"), CsvSpec(Path("a.csv"))])
def test_specifications_are_frozen_and_equal_by_value(spec):
    assert spec == dataclasses.replace(spec)
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        setattr(spec, dataclasses.fields(spec)[0].name, None)
