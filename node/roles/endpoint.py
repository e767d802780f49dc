"""Where one account is reached: a libp2p host under its noise key and a hypercore listener, announced together.

There is one endpoint for each account of a process; whoever works for the account, provider or sponsor, shares it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import trio

from hypercore.crypto import KeyPair
from hypercore.io.core import Core
from hypercore.io.replication import Replication, open_replication
from node.net.addresses import AddressRecord, keep_published
from node.net.host import Host
from node.roles import limits
from node.roles.identity import ProviderIdentity
from node.roles.lane_stream import AddressDirectory

Resolve = Callable[[bytes], Core | None]
Announcer = Callable[[Iterable[bytes]], None]


class ServiceNetwork(Protocol):
    """What services need of the node's network; `node.net.service.Network` is one."""

    @property
    def address_book(self) -> AddressDirectory: ...
    def publish_address(self, record: AddressRecord, /) -> None: ...


@dataclass(frozen=True)
class EndpointConfig:
    """Where to listen (port 0: any free one), and the host name that others are told, if it is another one."""

    listen_host: str = "127.0.0.1"
    libp2p_port: int = 0
    hypercore_port: int = 0
    advertised_host: str | None = None


class ServiceEndpoint:
    """One account on the network; made by `ServiceEndpoint.start`."""

    def __init__(
        self,
        identity: ProviderIdentity,
        host: Host,
        replication: Replication,
        network: ServiceNetwork,
        resolvers: list[Resolve],
    ) -> None:
        self.identity = identity
        self.host = host
        self.replication = replication
        self.network = network
        self.hypercore: tuple[str, int] = ("", 0)
        self.announce: Announcer = lambda discovery_keys: None  # has exactly these cores found from now on
        self._resolvers = resolvers

    @classmethod
    @asynccontextmanager
    async def start(
        cls, identity: ProviderIdentity, config: EndpointConfig, network: ServiceNetwork, genesis_hash: bytes
    ) -> AsyncIterator[ServiceEndpoint]:
        """Listen, and tell the network where. Raises ListenFailed or OSError when an address cannot be used."""
        resolvers: list[Resolve] = []

        def resolve(discovery: bytes) -> Core | None:
            return next((core for resolver in resolvers if (core := resolver(discovery)) is not None), None)

        async with AsyncExitStack() as stack:
            listen = (config.listen_host, config.libp2p_port)
            host = await stack.enter_async_context(Host.start(identity.noise_seed, listen))
            replication = await stack.enter_async_context(
                open_replication(
                    key_pair=KeyPair.from_seed(identity.noise_seed),
                    resolve=resolve,
                    max_connections=limits.READERS_MAX,
                )
            )
            endpoint = cls(identity, host, replication, network, resolvers)
            port = await replication.listen(config.listen_host, config.hypercore_port)
            endpoint.hypercore = (config.advertised_host or config.listen_host, port)
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(nursery.cancel_scope.cancel)
            make_record = partial(endpoint._record, config, genesis_hash)
            network.publish_address(make_record())
            nursery.start_soon(keep_published, network, make_record)
            yield endpoint

    def serve(self, resolve: Resolve) -> None:
        """Ask `resolve(discovery_key)` too when a peer wants a core."""
        self._resolvers.append(resolve)

    def _record(self, config: EndpointConfig, genesis_hash: bytes) -> AddressRecord:
        addresses = self.host.addresses
        if config.advertised_host is not None:
            port = addresses[0].split("/")[4]
            kind = "ip6" if ":" in config.advertised_host else "ip4" if _is_ip4(config.advertised_host) else "dns"
            addresses = (f"/{kind}/{config.advertised_host}/tcp/{port}/p2p/{self.host.peer_id}",)
        return AddressRecord.create(
            self.identity.noise_seed,
            genesis_hash,
            addresses=addresses,
            hypercore=self.hypercore,
            sequence=time.time_ns() // 1_000_000,
        )


def _is_ip4(name: str) -> bool:
    return name.replace(".", "").isdigit()
