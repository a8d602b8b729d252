from pathlib import Path
from random import Random

import pytest

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import ConfigError
from controller.service.engine_keyring import followed_keyring
from controller.settings.file import Settings


async def test_a_file_of_tls_that_is_absent_is_named(tmp_path: Path) -> None:
    pool = {"name": "bf16", "precision": "bf16", "instances": ["https://127.0.0.1:1"]}
    settings = Settings.model_validate({"pools": [{**pool, "tls": {"ca_file": str(tmp_path / "no-ca.pem")}}]})
    with pytest.raises(ConfigError, match=r"pools\.bf16\.tls\.ca_file: .*no-ca\.pem: there is no such file"):
        async with followed_keyring(settings, SystemClock(), Works(Random(0))):
            pass
