"""Bring what is made from other files up to date: `make chart`.

The table of values in README.md comes from the comments of values.yaml; alerts and dashboards of the chart are those of
deploy/prometheus, of which Helm can read copies only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "wattroute"
PROMETHEUS = CHART.parents[1] / "deploy" / "prometheus"
ALERTS, DASHBOARDS = ("agent", "controller", "router"), ("controller", "router")
"""Of which the chart has them."""
BEGIN, END = "<!-- values: made by `make chart` -->", "<!-- end of values -->"
_PARAM = re.compile(r"^ *## @(?:section (?P<section>.+)|param (?P<key>\S+) (?P<meaning>.+))$")


def parameters(text: str) -> list[tuple[str, str, str]]:
    """Section, key and meaning of each documented value, in their order."""
    found, section = [], ""
    for line in text.splitlines():
        if match := _PARAM.match(line):
            section = match["section"] or section
            if match["key"]:
                found.append((section, match["key"], match["meaning"]))
    return found


def default(values: Any, key: str) -> str:
    """The default of a key with dots, as JSON would show it in one line."""
    for part in key.split("."):
        values = values[part]
    return yaml.safe_dump(values, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def table(text: str) -> str:
    """The Markdown of all values."""
    lines, last = [], None
    values = yaml.safe_load(text)
    for section, key, meaning in parameters(text):
        if section != last:
            lines += ["", f"### {section}", "", "| value | meaning | default |", "|---|---|---|"]
            last = section
        lines.append(f"| `{key}` | {meaning.replace('|', '&#124;')} | `{default(values, key)}` |")
    return "\n".join([*lines, ""])


def readme(current: str, text: str) -> str:
    """README.md with the table of `text`, the values' file."""
    before, _, rest = current.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(text)}\n{END}{after}"


def copies() -> dict[Path, str]:
    """Files of the chart that are copies, and what they must hold."""
    names = [
        *(f"wattroute-{part}.dashboard.json" for part in DASHBOARDS),
        *(f"wattroute-{part}.rules.yaml" for part in ALERTS),
    ]
    return {CHART / "files" / name: (PROMETHEUS / name).read_text() for name in names}


def main() -> None:
    """Rewrite README.md and the copies."""
    file = CHART / "README.md"
    file.write_text(readme(file.read_text(), (CHART / "values.yaml").read_text()))
    for path, content in copies().items():
        path.write_text(content)


if __name__ == "__main__":
    main()
