import asyncio
import contextlib
import logging
import ssl

import pytest
import trustme

from controller.agent.identity import Identity
from controller.agent.options import TOKEN_VARIABLE, AgentOptions
from controller.errors import ConfigError

OLD, NEW = "o" * 24, "n" * 24


def write_certificate(folder, authority, *, with_key=True):
    pair = authority.issue_cert("127.0.0.1")
    pair.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    if with_key:
        pair.private_key_pem.write_to_path(folder / "tls.key")


def trust(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def serial_shown(identity, authority, server_hostname="127.0.0.1"):
    """Serial number of the certificate that a new connection is shown."""
    ended = asyncio.Event()

    async def end(_, writer):
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(end, "127.0.0.1", 0, ssl=identity.tls) as server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust(authority), server_hostname=server_hostname
        )
        serial = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await ended.wait()
    return serial


def test_a_token_that_is_replaced_is_followed_and_one_that_cannot_be_used_leaves_the_old(tmp_path, caplog):
    file = tmp_path / "token"
    file.write_text(OLD)
    identity = Identity(AgentOptions(host="0.0.0.0", token_file=file), {})
    identity.refresh()
    assert (identity.token, identity.renewed, identity.refused) == (OLD, 0, 0)
    with caplog.at_level(logging.INFO):
        file.write_text("short")
        identity.refresh()
        identity.refresh()
        file.unlink()
        identity.refresh()
        assert (identity.token, identity.renewed, identity.refused) == (OLD, 0, 2)
        file.write_text(NEW)
        identity.refresh()
    assert (identity.token, identity.renewed, identity.refused) == (NEW, 1, 2)
    assert "short" not in caplog.text.replace("too short", "")
    assert NEW not in caplog.text


def test_a_token_of_the_environment_stays(tmp_path):
    identity = Identity(AgentOptions(host="0.0.0.0"), {TOKEN_VARIABLE: OLD})
    identity.refresh()
    assert (identity.token, identity.tls, identity.renewed) == (OLD, None, 0)


async def test_a_renewed_certificate_is_shown_to_new_connections(tmp_path):
    authority = trustme.CA()
    write_certificate(tmp_path, authority)
    identity = Identity(AgentOptions(tls_dir=tmp_path), {})
    first = await serial_shown(identity, authority)
    write_certificate(tmp_path, authority)
    assert await serial_shown(identity, authority) == first  # not before it was looked at
    identity.refresh()
    second = await serial_shown(identity, authority)
    assert second != first
    write_certificate(tmp_path, authority, with_key=False)  # the key is still the old one
    identity.refresh()
    assert (identity.renewed, identity.refused) == (1, 1)
    assert await serial_shown(identity, authority) == second


async def test_folders_that_are_swapped_by_a_link_are_noticed(tmp_path):
    """As Kubernetes replaces a mounted secret."""
    authority = trustme.CA()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_certificate(tmp_path / name, authority)
    link = tmp_path / "tls"
    link.symlink_to("one")
    identity = Identity(AgentOptions(tls_dir=link), {})
    first = await serial_shown(identity, authority)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(link)
    identity.refresh()
    assert await serial_shown(identity, authority) != first


def test_files_that_cannot_be_used_at_the_start_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"tls\.crt and tls\.key"):
        Identity(AgentOptions(tls_dir=tmp_path), {})
