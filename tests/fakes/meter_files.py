"""The example of a meter's file, how it is read, and a configuration that it is imported for."""

from pathlib import Path

import yaml

from controller.commands.meter_import import ImportOptions
from controller.settings.file import load
from controller.store.interval_csv import MeterUnit

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
HOURS = EXAMPLES / "meter.csv"
ZONE = "America/Los_Angeles"


def utility_settings(tmp_path):
    """A laptop whose programme has the terms of a utility, with its data in a folder."""
    document = yaml.safe_load((EXAMPLES / "laptop.yaml").read_text())
    document["controller"]["data_dir"] = str(tmp_path / "data")
    rule = {"method": "10_of_10", "adjust_frac": 0.2}
    document["programmes"] = {"utility": {"timezone": ZONE, "settlement_interval_s": 900, "baseline": rule}}
    file = tmp_path / "wattroute.yaml"
    file.write_text(yaml.safe_dump(document))
    return load(file)


def import_options(file=HOURS, **more):
    """How the example of a meter's file is read."""
    columns = {"time_column": "start", "value_column": "kWh", "timezone": ZONE}
    return ImportOptions(file, MeterUnit.KWH, **{**columns, **more})
