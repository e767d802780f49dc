"""Reading a hosted core back as a stranger would: from the hosters' endpoints alone, every block, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypercore.io.core import Core
from hypercore.io.replication import ConnectFailed, Replication, ReplicationTimeout, open_replication
from hypercore.proof import SignedHead
from node.roles import limits
from node.roles.fetcher import Endpoint, FetchFailed, check_head

WINDOW_BLOCKS = 64
HOSTERS_MAX = 128


async def read_back(key: bytes, head: SignedHead, endpoints: Sequence[Endpoint]) -> bytes:
    """SHA-256 of all blocks, fetched from these endpoints together; each block is checked against the head.

    Blocks are given up again as soon as they are hashed. Raises FetchFailed when not all of them came.
    """
    core = Core.open(None, key)
    digest = hashlib.sha256()
    try:
        async with open_replication() as replication:
            await _connect(replication, endpoints)
            await replication.update(core, head.length, timeout_seconds=limits.GREETING_SECONDS)
            check_head(core, head)
            for start in range(0, head.length, WINDOW_BLOCKS):
                end = min(start + WINDOW_BLOCKS, head.length)
                await replication.download(core, start, end, timeout_seconds=limits.READ_BACK_SECONDS)
                for index in range(start, end):
                    digest.update(core.get(index))
                core.clear(start, end)
    except ReplicationTimeout as error:
        raise FetchFailed(str(error)) from error
    finally:
        core.close()
    return digest.digest()


async def _connect(replication: Replication, endpoints: Sequence[Endpoint]) -> None:
    problems = []
    for endpoint in endpoints[:HOSTERS_MAX]:
        try:
            await replication.connect(*endpoint)
        except ConnectFailed as error:
            problems.append(str(error))
    if not replication.sessions:
        raise FetchFailed(f"no hoster answers: {'; '.join(problems) or 'no address is known'}")
