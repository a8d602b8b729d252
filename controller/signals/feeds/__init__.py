"""Price and carbon: constant, recorded, and told by others while the service runs."""

from controller.signals.feeds.feed import AbsentFeed, ConstantFeed, Feed
from controller.signals.feeds.recorded import CsvColumns, Replay, ReplayFeed, read_csv

__all__ = ["AbsentFeed", "ConstantFeed", "CsvColumns", "Feed", "Replay", "ReplayFeed", "read_csv"]
