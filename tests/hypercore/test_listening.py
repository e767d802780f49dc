"""Dialling and listening: addresses that cannot be used, and the bound on connections."""

from __future__ import annotations

import pytest
import trio

from hypercore.io.listening import ListenFailed
from hypercore.io.replication import ConnectFailed, open_replication

PATIENCE_SECONDS = 30


async def test_dialling_a_closed_port_or_a_wrong_service_fails_with_a_reason() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication() as replication, trio.open_nursery() as nursery:

            async def hang_up() -> None:
                await (await listeners[0].accept()).aclose()

            nursery.start_soon(hang_up)
            with pytest.raises(ConnectFailed, match="before its handshake"):
                await replication.connect("127.0.0.1", port)
            await listeners[0].aclose()
            with pytest.raises(ConnectFailed, match="cannot connect"):
                await replication.connect("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", -1), ("127.0.0.1", 65_536), ("192.0.2.1", 0)])
async def test_an_address_that_cannot_be_listened_on_is_named(host: str, port: int) -> None:
    async with open_replication() as replication:
        with pytest.raises(ListenFailed, match=f"cannot listen on {host}:{port}: "):
            await replication.listen(host, port)


async def test_a_port_that_is_taken_is_named() -> None:
    async with open_replication() as replication:
        port = await replication.listen()
        with pytest.raises(ListenFailed, match=f"127.0.0.1:{port}: Address already in use"):
            await replication.listen("127.0.0.1", port)


async def test_connections_above_the_bound_are_closed() -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_replication(max_connections=1) as left, open_replication() as right:
            port = await left.listen()
            await right.connect("127.0.0.1", port)
            with pytest.raises(ConnectFailed):
                await right.connect("127.0.0.1", port)
            assert len(left.sessions) == 1


async def test_an_error_of_the_program_passes_through_unwrapped() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_replication() as replication:
            await replication.listen()
            raise KeyError("mine")
