"""The section of a configuration file that has a controller follow a VTN once a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def openadr_section(url: str, folder: Path) -> list[dict[str, Any]]:
    """The program `shed` under the terms of programme `dr`; the secret is written into the folder."""
    (folder / "secret").write_text("ven-secret\n")
    return [
        {
            "name": "utility",
            "url": url,
            "programmes": {"shed": "dr"},
            "client_id": "ven-1",
            "client_secret_file": str(folder / "secret"),
            "ven_name": "site-1",
            "poll_s": 1,
        }
    ]
