"""What a registry of the controller shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def shown(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Values by the name without its prefix, and the sorted labels."""
    samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            samples[(sample.name.removeprefix("wattroute_controller_"), *sorted(sample.labels.values()))] = sample.value
    return samples
