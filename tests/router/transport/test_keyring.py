import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from router.errors import CertificateError
from router.settings import RouterFile
from router.transport import keyring as keyring_module
from router.transport.keyring import Keyring
from tests.fakes.certificates import Authority
from tests.fakes.running import until


def settings(*pools: dict[str, Any], **sections: Any) -> RouterFile:
    named = [{"name": f"p{n}", "precision": "bf16", **pool} for n, pool in enumerate(pools)]
    return RouterFile.model_validate({"pools": named, **sections})


PLAIN = {"instances": ["http://h:1", "unix:/run/h"]}


def test_without_tls_there_is_nothing() -> None:
    keyring = Keyring(settings(PLAIN), time.time)
    assert keyring.server is None
    assert keyring.table is None
    assert keyring.of_engine(("h", 1)) is None
    assert keyring.of_engine(("/run/h", 0)) is None
    assert keyring.counters() == {}
    assert keyring.first_expiry_s() is None


def test_each_engine_behind_tls_has_its_name(tmp_path: Path) -> None:
    ca_file = str(Authority(tmp_path).file)
    keyring = Keyring(
        settings(
            {"instances": ["https://one:1", "http://two:1"], "tls": {"ca_file": ca_file}},
            {"instances": ["https://three:1"], "tls": {"ca_file": ca_file, "server_name": "engines"}},
            {"instances": ["https://four:1"]},
        ),
        time.time,
    )
    one, two, three, four = (keyring.of_engine((name, 1)) for name in ("one", "two", "three", "four"))
    assert two is None
    assert one is not None
    assert three is not None
    assert four is not None
    assert (one.server_name, three.server_name, four.server_name) == ("one", "engines", "four")
    assert one.credentials is three.credentials, "the same files make one context"
    assert four.credentials is not one.credentials


def test_an_engine_that_is_not_known_is_not_taken_for_a_plain_one() -> None:
    with pytest.raises(ConnectionError, match="other:1 is no engine of the pools"):
        Keyring(settings(PLAIN), time.time).of_engine(("other", 1))


def test_the_setting_at_fault_is_named(tmp_path: Path) -> None:
    absent = {"ca_file": str(tmp_path / "absent.pem")}
    with pytest.raises(CertificateError, match=r"pools\.p0\.tls\.ca_file: .*absent\.pem"):
        Keyring(settings({"instances": ["https://h:1"], "tls": absent}), time.time)
    with pytest.raises(CertificateError, match=r"table\.tls\.ca_file"):
        Keyring(settings(PLAIN, table={"url": "https://c/t", "tls": absent}), time.time)


def test_a_table_behind_tls_is_believed_by_the_systems_authorities_unless_said_otherwise() -> None:
    assert Keyring(settings(PLAIN, table={"url": "https://c/t"}), time.time).table is not None
    assert Keyring(settings(PLAIN, table={"url": "http://c/t"}), time.time).table is None


def test_other_pools_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    ca_file = str(Authority(tmp_path).file)
    pool = {"instances": ["https://one:1"], "tls": {"ca_file": ca_file}}
    keyring = Keyring(settings(pool), time.time)
    keyring.use(settings({**pool, "instances": ["https://two:1"]}).pools)
    with pytest.raises(ConnectionError):
        keyring.of_engine(("one", 1))
    with pytest.raises(CertificateError):
        keyring.use(settings({**pool, "tls": {"ca_file": "absent.pem"}}).pools)
    assert keyring.of_engine(("two", 1)) is not None


def test_no_count_goes_back_when_the_pools_change(tmp_path: Path) -> None:
    kept, dropped = Authority(tmp_path, "kept"), Authority(tmp_path, "dropped")
    one = {"instances": ["https://one:1"], "tls": {"ca_file": str(kept.file)}}
    two = {"instances": ["https://two:1"], "tls": {"ca_file": str(dropped.file)}}
    keyring = Keyring(settings(one, two), time.time)
    for name in ("kept", "dropped"):
        Authority(tmp_path, name)
    keyring.refresh()
    before = keyring.of_engine(("one", 1))
    keyring.use(settings(one).pools)
    assert keyring.counters()["tls_certificates_renewed"] == 2
    after = keyring.of_engine(("one", 1))
    assert before is not None
    assert after is not None
    assert after.credentials is before.credentials, "what stays is not read again"


async def test_changes_are_noticed_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "LOOK_S", 0.01)
    authority = Authority(tmp_path)
    pair = authority.issue("router")
    pool = {"instances": ["https://one:1"], "tls": {"ca_file": str(authority.file)}}
    keyring = Keyring(settings(pool, router={"tls": pair.settings()}), time.time)
    assert keyring.server is not None
    assert keyring.first_expiry_s() == keyring.server.until_s
    watching = asyncio.get_running_loop().create_task(keyring.watch())
    authority.issue("router")
    await until(lambda: keyring.counters()["tls_certificates_renewed"] >= 1)
    authority.expired("router")
    await until(lambda: keyring.counters()["tls_certificates_refused"] >= 1)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_files_for_engines_that_are_to_be_found_are_read_before_one_is(tmp_path: Path) -> None:
    discovery = {"kind": "dns", "name": "vllm", "port": 8443, "scheme": "https"}
    entry = {"discovery": discovery, "tls": {"ca_file": str(tmp_path / "no.pem")}}
    with pytest.raises(CertificateError, match=r"pools\.p0\.tls.*no\.pem"):
        Keyring(settings(entry), time.time)
