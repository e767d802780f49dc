"""The client: `open_chain` gives a `ChainAPI` on the chain behind a node's WebSocket."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.client.chain_api import ChainAPI
from node.client.link import Backoff
from node.client.remote import open_remote
from runtime.extrinsic import Signer

__all__ = ["ChainAPI", "open_chain"]


@asynccontextmanager
async def open_chain(
    url: str,
    *,
    signer: Signer | None = None,
    genesis_hash: bytes | None = None,
    finalized: bool = False,
    reconnect_seconds: float = 60.0,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[ChainAPI]:
    """The chain behind a node's WebSocket.

    >>> async with open_chain("ws://127.0.0.1:9944", signer=keypair_from_uri("//Alice")) as chain:
    ...     print(await chain.get_block_number())

    `genesis_hash` is the only chain that will do; without it any, and after a reconnection the same. `finalized` makes
    calls wait for finality. A node that went away is waited for `reconnect_seconds`. Behind a wss:// URL stands a
    server whose certificate `ssl_context` trusts, by default one that this machine trusts. Raises RemoteError,
    WrongChain, NotTrusted.
    """
    backoff = Backoff(give_up_seconds=reconnect_seconds)
    async with open_remote(url, genesis_hash=genesis_hash, backoff=backoff, ssl_context=ssl_context) as connection:
        yield ChainAPI(connection, signer, finalized=finalized)
