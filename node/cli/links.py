"""Links of commands: to peers that are named (one must answer, and who goes away is dialled again) or found, and to
readers that find us.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from hypercore.io.core import Core
from hypercore.io.lan import open_lan
from hypercore.io.replication import ConnectFailed, Replication
from hypercore.io.swarm import Swarm, open_swarm
from node.cli.output import Refused

if TYPE_CHECKING:
    from hypercore.io.session import Session
    from node.finding import Finding

REDIAL_SECONDS = 1.0

Address = tuple[str, int]


@asynccontextmanager
async def linked(replication: Replication, peers: Sequence[Address]) -> AsyncIterator[None]:
    """Connected to `peers` while the block of code runs; raises Refused when none answers."""
    sessions: dict[Address, Session | None] = {}
    refusals = []
    for address in dict.fromkeys(peers):
        try:
            sessions[address] = await replication.connect(*address)
        except ConnectFailed as error:
            sessions[address] = None
            refusals.append(str(error))
    if refusals and len(refusals) == len(sessions):
        raise Refused(f"no peer answers: {refusals[0]}")
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for address, session in sessions.items():
            nursery.start_soon(_redial, replication, address, session)
        try:
            yield
        except Exception as problem:  # raised again below, outside of the nursery, which would wrap it in a group
            failure = problem
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _redial(replication: Replication, address: Address, session: Session | None) -> None:
    while True:
        if session is not None:
            await session.ended.wait()
        await trio.sleep(REDIAL_SECONDS)
        try:
            session = await replication.connect(*address)
        except ConnectFailed:
            session = None


@asynccontextmanager
async def found_on_lan(replication: Replication, core: Core) -> AsyncIterator[Swarm]:
    """Connected to whoever serves the core on the local network while the block of code runs."""
    async with open_lan() as lan, open_swarm(replication, [lan]) as swarm:
        swarm.find(core)
        yield swarm


@asynccontextmanager
async def announced(
    finding: Finding, replication: Replication, port: int, discovery_keys: Sequence[bytes]
) -> AsyncIterator[list[str]]:
    """Cores that our port serves are announced while the block of code runs; gives the names of the places that know.

    Of Hyperswarm the first core counts.
    """
    async with finding.announcing(replication, port) as announcing:
        announcing.announce_only(discovery_keys)
        places = ["lan"] if finding.lan is not None else []
        if await announcing.reached_hyperswarm(discovery_keys[0]):
            places.append("hyperswarm")
        yield places
