"""A node behind TLS: whom the client trusts, and what it says when it does not."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trustme

from node.client import open_chain
from node.client.errors import ConnectionLost, NotTrusted, RemoteError
from node.client.websocket import OPEN_TIMEOUT_SECONDS, open_websocket
from tests.node.client.served import served, wire_to

OURS = trustme.CA()
RECEIVE_BYTES = 65_536


def certificate(name: str = "127.0.0.1", authority: trustme.CA = OURS, until: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=until).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_chain_is_read_through_tls_and_again_after_a_cut(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url), wire_to(url, certificate()) as wire:
        async with open_chain(wire.url, ssl_context=trusting(OURS)) as chain:
            assert await chain.get_block_number() == 1
            await wire.cut()
            assert await chain.get_block_number() == 1
        assert wire.connections == 2


async def test_authorities_that_the_machine_trusts_are_trusted_without_a_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OURS.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    node = served(tmp_path / "node")
    async with node as (_, url), wire_to(url, certificate()) as wire, open_chain(wire.url) as chain:
        assert await chain.get_block_number() == 1


@pytest.mark.parametrize(
    ("server", "context", "reason"),
    [
        (certificate, lambda: None, "unable to get local issuer certificate"),
        (lambda: certificate(authority=trustme.CA()), lambda: trusting(OURS), "unable to get local issuer certificate"),
        (lambda: certificate(name="other.example"), lambda: trusting(OURS), "IP address mismatch"),
        (
            lambda: certificate(until=datetime(2020, 1, 1, tzinfo=UTC)),
            lambda: trusting(OURS),
            "certificate has expired",
        ),
    ],
    ids=["unknown to the machine", "another authority", "another name", "expired"],
)
async def test_a_server_that_does_not_prove_itself_is_told_nothing(
    server: Callable[[], ssl.SSLContext], context: Callable[[], ssl.SSLContext | None], reason: str
) -> None:
    heard = b""

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        nonlocal heard
        with suppress(trio.BrokenResourceError):
            heard += await stream.receive_some(RECEIVE_BYTES)

    async with trio.open_nursery() as nursery:
        (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [trio.SSLListener(plain, server())])
        with pytest.raises(NotTrusted, match=f"not trusted: .*{reason}.*; for an authority of your own set SSL"):
            async with open_chain(f"wss://127.0.0.1:{plain.socket.getsockname()[1]}", ssl_context=context()):
                pass
        nursery.cancel_scope.cancel()
    assert heard == b""


async def test_a_server_without_tls_is_told(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, url):
        with pytest.raises(ConnectionLost, match="no TLS connection to wss://127"):
            async with open_websocket(url.replace("ws://", "wss://")):
                pass


async def test_a_server_that_hangs_up_in_the_handshake_is_told() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(RECEIVE_BYTES)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with pytest.raises(ConnectionLost, match="no TLS connection to"):
            async with open_websocket(f"wss://127.0.0.1:{listener.socket.getsockname()[1]}"):
                pass
        nursery.cancel_scope.cancel()


async def test_a_server_that_never_shakes_hands_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OPEN_TIMEOUT_SECONDS == 30
    monkeypatch.setattr("node.client.websocket.OPEN_TIMEOUT_SECONDS", 0.05)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        with pytest.raises(ConnectionLost, match="no TLS handshake with"):
            async with open_websocket(f"wss://127.0.0.1:{listener.socket.getsockname()[1]}"):
                pass


async def test_a_context_for_an_open_connection_is_refused() -> None:
    with pytest.raises(RemoteError, match=r"ws://127\.0\.0\.1:1 is not encrypted: an SSL context needs a wss:// URL"):
        async with open_websocket("ws://127.0.0.1:1", trusting(OURS)):
            pass


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_what_is_secret_in_an_address_is_not_told(scheme: str) -> None:
    with pytest.raises(ConnectionLost) as raised:
        async with open_chain(f"{scheme}://name:secret@127.0.0.1:1/secret?key=secret"):
            pass
    assert f"{scheme}://127.0.0.1:1:" in str(raised.value)
    assert "secret" not in str(raised.value)
