"""How readers find the cores that this process serves: on the chain's network, the local one, and Hyperswarm."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import trio

from hypercore.io.hyperswarm import BridgeFailed, Hyperswarm, HyperswarmIdentity, open_hyperswarm
from hypercore.io.lan import LanDiscovery, interfaces_of, open_lan
from hypercore.io.replication import Replication
from hypercore.io.swarm import Discovery, DiscoveryFailed, Swarm, open_swarm
from node.config import FindingConfig, StartRefused
from node.exceptions import first_of
from node.hyperswarm import BridgeMissing, bridge_command

log = logging.getLogger(__name__)

HYPERSWARM_SECONDS = 30.0


@dataclass(frozen=True)
class Announcing:
    """Where the cores of one replication are announced."""

    swarm: Swarm | None
    identity: HyperswarmIdentity | None

    def announce_only(self, discovery_keys: Iterable[bytes]) -> None:
        """Has exactly these cores found by readers from now on."""
        keys = tuple(discovery_keys)
        if self.swarm is not None:
            self.swarm.serve_only(keys)
        if self.identity is not None:
            self.identity.join_only(keys)

    async def reached_hyperswarm(self, discovery_key: bytes) -> bool:
        """Waits, within bounds, until readers on Hyperswarm can find a core; says whether they can."""
        if self.identity is None:
            return False
        with trio.move_on_after(HYPERSWARM_SECONDS) as waiting:
            await self.identity.announced(discovery_key)
        return not waiting.cancelled_caught


class Finding:
    """The ways in which cores are announced; made by `Finding.start`."""

    def __init__(self, lan: LanDiscovery | None, hyperswarm: Hyperswarm | None) -> None:
        self.lan = lan
        self._hyperswarm = hyperswarm

    @classmethod
    @asynccontextmanager
    async def start(cls, config: FindingConfig, listen_host: str) -> AsyncIterator[Finding]:
        """Announce while the block of code runs. Raises StartRefused when the Hyperswarm bridge does not start."""
        async with AsyncExitStack() as stack:
            lan = await _local_network(listen_host, stack) if config.lan else None
            hyperswarm = await stack.enter_async_context(open_bridge(config)) if config.hyperswarm else None
            yield cls(lan, hyperswarm)

    @asynccontextmanager
    async def announcing(
        self, replication: Replication, port: int, further: Sequence[Discovery] = ()
    ) -> AsyncIterator[Announcing]:
        """Announces the cores of a replication that listens on a TCP `port`; `further` discoveries are told too."""
        identity = self._hyperswarm.serve(replication) if self._hyperswarm is not None else None
        discoveries = [*further, *([self.lan] if self.lan is not None else [])]
        if discoveries:
            async with open_swarm(replication, discoveries, port=port) as swarm:
                yield Announcing(swarm, identity)
        else:
            yield Announcing(None, identity)


async def _local_network(listen_host: str, stack: AsyncExitStack) -> LanDiscovery | None:
    try:
        return await stack.enter_async_context(open_lan(interfaces_of(listen_host)))
    except DiscoveryFailed as error:
        log.warning("the local network is not told what is served here: %s", error)
        return None


@asynccontextmanager
async def open_bridge(config: FindingConfig) -> AsyncIterator[Hyperswarm]:
    """The Hyperswarm bridge while the block of code runs; raises StartRefused when it does not start."""
    async with AsyncExitStack() as stack:
        try:
            command, directory = bridge_command()
            opening = open_hyperswarm(command, directory=directory, bootstrap=config.hyperswarm_bootstrap)
            hyperswarm = await stack.enter_async_context(opening)
        except Exception as error:
            if refusal := first_of(error, (BridgeMissing, BridgeFailed)):
                raise StartRefused(str(refusal)) from None
            raise
        yield hyperswarm
