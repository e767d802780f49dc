"""Links of commands: to peers that are named (one must answer, and who goes away is dialled again) or found, and to
readers that find us.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

from hypercore.io.core import Core
from hypercore.io.lan import open_lan
from hypercore.io.replication import ConnectFailed, Replication
from hypercore.io.swarm import open_swarm
from node.cli.output import Refused
from node.config import NOWHERE, FindingConfig

if TYPE_CHECKING:
    from hypercore.io.session import Session
    from node.finding import Finding

REDIAL_SECONDS = 1.0

Address = tuple[str, int]


@asynccontextmanager
async def linked(
    replication: Replication, peers: Sequence[Address], needed: Core | None = None
) -> AsyncIterator[None]:
    """Connected to `peers` while the block of code runs.

    Raises Refused when none answers, or when all of them do and none has the core that is `needed`.
    """
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
    if needed is not None:
        await replication.hear_of(needed)
        if all(session is not None and session.has_refused(needed) for session in sessions.values()):
            raise Refused(f"{_named(sessions)} not have {needed.public_id}: check the key")
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


def _named(peers: Collection[Address]) -> str:
    names = [f"{host}:{port}" for host, port in peers]
    return f"{names[0]} does" if len(names) == 1 else f"{', '.join(names)} do"


@asynccontextmanager
async def meeting(
    replication: Replication, core: Core, peers: Sequence[Address], where: FindingConfig, *, is_needed: bool
) -> AsyncIterator[Callable[[Core], None]]:
    """Connected to `peers` and to whoever is found to serve the core; gives what looks for a further core.

    Raises Refused as `linked` does, StartRefused when the Hyperswarm bridge does not start.
    """
    async with _finding(replication, where) as find:
        find(core)
        if peers:
            async with linked(replication, peers, core if is_needed and where == NOWHERE else None):
                yield find
        else:
            yield find


@asynccontextmanager
async def _finding(replication: Replication, where: FindingConfig) -> AsyncIterator[Callable[[Core], None]]:
    from node.finding import open_bridge  # it takes a while to import, and few commands need it

    async with AsyncExitStack() as stack:
        swarm = identity = None
        if where.lan:
            lan = await stack.enter_async_context(open_lan())
            swarm = await stack.enter_async_context(open_swarm(replication, [lan]))
        if where.hyperswarm:
            identity = (await stack.enter_async_context(open_bridge(where))).read(replication)
        sought: dict[bytes, None] = {}

        def find(core: Core) -> None:
            replication.add(core)
            sought[core.discovery_key] = None
            if swarm is not None:
                swarm.find(core)
            if identity is not None:
                identity.join_only(sought)

        yield find


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
