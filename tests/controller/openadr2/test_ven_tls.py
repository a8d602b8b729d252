"""OpenADR 2.0b as it is spoken beyond one machine: TLS with certificates of both sides, and signed messages.

The server is openleadr's own; authorities and certificates are made for the test.
"""

import asyncio
import dataclasses
import logging

import pytest
from openleadr.service.vtn_service import VTNService

from controller.openadr2.specs import Ven2Spec
from controller.settings.openadr2 import Vtn2Settings
from tests.controller.openadr.test_ven import until
from tests.controller.openadr2.test_ven import Site
from tests.fakes.certificates import Authority
from tests.fakes.vtn2 import Tls, fingerprint, vtn2


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def tls(authority):
    return Tls(authority.issue("vtn"), authority, authority.issue("ven"))


@pytest.fixture(autouse=True)
def _tries_soon(monkeypatch):
    monkeypatch.setattr("controller.openadr2.ven.BACK_OFF_S", 0.05)
    monkeypatch.setattr("controller.openadr2.ven.ASK_S", 1.0)


def site_of(vtn, tls, **changes):
    """A site with the certificate that the server knows it by, signing where the server does."""
    files = {
        "certificate_file": tls.ven.certificate_file,
        "key_file": tls.ven.key_file,
        "ca_file": tls.clients.file,
        "fingerprint": tls.fingerprint if tls.is_signed else None,
    }
    return Site(vtn.url, **({"reports": False} | files | changes))


@pytest.mark.parametrize("is_signed", [True, False])
async def test_events_are_followed_answered_and_cancelled_over_tls(tls, is_signed):
    tls = dataclasses.replace(tls, is_signed=is_signed)
    async with vtn2(tls=tls) as vtn:
        vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
        site = site_of(vtn, tls)
        async with site.following():
            await until(lambda: site.limits_w() == [12_000.0])
            await until(lambda: ("cap", "optIn") in vtn.answers)
            vtn.cancel("cap")
            await until(lambda: site.limits_w() == [])


async def test_telemetry_is_told_in_signed_messages(tls):
    async with vtn2(tls=tls) as vtn:
        site = site_of(vtn, tls, reports=True)
        async with site.following():
            await until(lambda: vtn.told)
            assert any(6000.0 in values for values in vtn.told.values())


async def refuses(vtn, site):
    """Whether nothing of the server's is followed, though it was asked."""
    vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
    async with site.following():
        await asyncio.sleep(1.5)
        return site.limits_w() == [] and vtn.answers == []


async def test_a_server_of_another_authority_is_not_followed(tls, tmp_path, caplog):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    async with vtn2(tls=tls) as vtn:
        assert await refuses(vtn, site_of(vtn, tls, ca_file=other.file))
    assert any("certificate verify failed" in record.getMessage() for record in caplog.records)


async def test_a_server_whose_certificate_is_for_another_host_is_not_followed(tls, authority):
    elsewhere = dataclasses.replace(tls, own=authority.issue("elsewhere", "vtn.example"))
    async with vtn2(tls=elsewhere) as vtn:
        assert await refuses(vtn, site_of(vtn, elsewhere))


async def test_messages_signed_by_another_certificate_are_not_followed(tls, authority, caplog):
    stranger = fingerprint(authority.issue("stranger"))
    async with vtn2(tls=tls) as vtn:
        assert await refuses(vtn, site_of(vtn, tls, fingerprint=stranger))
    assert any("fingerprint was incorrect" in record.getMessage() for record in caplog.records)


async def test_messages_that_are_not_signed_are_not_followed_where_they_must_be(tls):
    async with vtn2(tls=dataclasses.replace(tls, is_signed=False)) as vtn:
        assert await refuses(vtn, site_of(vtn, tls))


async def test_a_message_that_was_changed_on_its_way_is_not_followed(tls):
    async with vtn2(tls=tls) as vtn:
        made = VTNService._create_message

        def changed(*args, **payload):
            return made(*args, **payload).replace("12.0", "99.0")

        VTNService._create_message = staticmethod(changed)
        site = site_of(vtn, tls)
        vtn.add("cap", "LOAD_DISPATCH", "setpoint", 12.0)
        async with site.following():
            await until(lambda: site.metric("registered") == 1)  # what was not changed is taken
            await asyncio.sleep(1.5)
            assert site.limits_w() == []
            VTNService._create_message = made
            await until(lambda: site.limits_w() == [12_000.0])


async def test_a_message_that_is_played_again_is_not_followed(tls, caplog):
    async with vtn2(tls=tls) as vtn:
        made, kept = VTNService._create_message, {}

        def replayed(message_type, *args, **payload):
            kept.setdefault(message_type, made(message_type, *args, **payload))
            return kept[message_type]

        VTNService._create_message = staticmethod(replayed)
        site = site_of(vtn, tls)
        async with site.following():
            await until(lambda: any("nonce was already used" in r.getMessage() for r in caplog.records))


async def test_a_ven_that_the_server_does_not_know_by_its_certificate_gets_nothing(tls, authority):
    async with vtn2(tls=tls) as vtn:
        other = authority.issue("other")
        site = site_of(vtn, tls, certificate_file=other.certificate_file, key_file=other.key_file)
        assert await refuses(vtn, site)


async def test_its_own_fingerprint_is_told_for_the_server_s_operator(tls, caplog):
    async with vtn2(tls=tls) as vtn:
        site = site_of(vtn, tls)
        with caplog.at_level(logging.INFO):
            async with site.following():
                await until(lambda: site.metric("registered") == 1)
    (told,) = [record for record in caplog.records if record.message == "certificate of the VEN"]
    assert told.fingerprint == fingerprint(tls.ven)


def test_a_fingerprint_of_the_standard_is_one_of_the_settings(tls):
    given = {
        "name": "utility",
        "url": "https://vtn.example/OpenADR2/Simple/2.0b",
        "ven_name": "site-1",
        "programmes": {"http://dr": "dr"},
        "certificate_file": tls.ven.certificate_file,
        "key_file": tls.ven.key_file,
        "ca_file": tls.clients.file,
        "vtn_fingerprint": tls.fingerprint,
    }
    spec = Vtn2Settings.model_validate(given).spec()
    assert isinstance(spec, Ven2Spec)
    assert spec.fingerprint == tls.fingerprint
