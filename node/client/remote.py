"""A chain behind a node's WebSocket: read, followed and written."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.client.chain import INCLUSION_TIMEOUT_SECONDS, BlockEvents, Receipt, Retracted
from node.client.link import Backoff
from node.client.remote_reader import DEFAULT_BACKOFF, RemoteReader
from node.client.replay import replay
from node.client.submission import Submissions
from runtime.call import RuntimeCall
from runtime.extrinsic import Signer


class RemoteChain(RemoteReader):
    """A `ChainConnection` to a node."""

    def __init__(
        self,
        url: str,
        backoff: Backoff = DEFAULT_BACKOFF,
        genesis_hash: bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(url, backoff, genesis_hash, ssl_context)
        self._submissions = Submissions(self)

    def events(
        self, from_block: int | bytes | None = None, *, finalized: bool = False
    ) -> AsyncGenerator[BlockEvents | Retracted, None]:
        """See `ChainConnection.events`."""
        return replay(self, from_block, finalized)

    async def submit(
        self,
        call: RuntimeCall,
        signer: Signer,
        *,
        tip: int = 0,
        finalized: bool = False,
        timeout_seconds: float = INCLUSION_TIMEOUT_SECONDS,
    ) -> Receipt:
        """See `ChainConnection.submit`."""
        return await self._submissions.submit(call, signer, tip, finalized, timeout_seconds)


@asynccontextmanager
async def open_remote(
    url: str,
    *,
    genesis_hash: bytes | None = None,
    backoff: Backoff = DEFAULT_BACKOFF,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[RemoteChain]:
    """A chain behind a ws:// or wss:// URL; raises RemoteError when there is none now, WrongChain for another one.

    `ssl_context` decides whom to trust behind a wss:// URL: see `open_websocket`.
    """
    chain = RemoteChain(url, backoff, genesis_hash, ssl_context)
    error: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.link.run)
        try:
            await chain.link.connection()
            yield chain
        except Exception as raised:  # out of the nursery alone, not in a group
            error = raised
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
