"""Who hosts a hypercore, over the chain's network: Kademlia provider records that lead to signed address records.

A node provides the discovery key of every core that its accounts host. Whoever looks for a core finds the node in the
table, asks it which of its accounts serve the core, and gets their address records: signed by their noise keys, with
the TCP endpoint of their replication. What is found is only dialled; the core proves itself.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from hypercore.io.swarm import DiscoveryFailed, Endpoint
from node import limits
from node.net.addresses import AddressBook, AddressRecord, InvalidRecord
from node.net.cbor import InvalidMessage, bytes_list, decode, encode, fixed_bytes
from node.net.frames import FrameStream, FrameTooLarge, PeerGone
from node.net.host import DialFailed, Host
from node.net.kademlia import Kademlia, Provider
from node.net.messages import HASH_BYTES, chain_protocol

log = logging.getLogger(__name__)

NAME = "hosts"


@dataclass(frozen=True)
class HostsRequest:
    """Which of the accounts at your node serve the core with this discovery key?"""

    discovery_key: bytes = fixed_bytes(HASH_BYTES)


@dataclass(frozen=True)
class HostsResponse:
    """Their address records."""

    records: tuple[bytes, ...] = bytes_list(limits.MAX_HOSTS_PER_ANSWER, limits.MAX_ADDRESS_RECORD_BYTES)


class HostedCores:
    """What the accounts of this node serve, told to the network, and the way to ask other nodes. Made by `start`."""

    def __init__(self, host: Host, kademlia: Kademlia, genesis_hash: bytes, address_book: AddressBook) -> None:
        self.kademlia = kademlia
        self._host = host
        self._protocol = chain_protocol(genesis_hash, NAME)
        self._address_book = address_book
        self._accounts: dict[bytes, dict[bytes, None]] = {}
        self._told_at: dict[bytes, float] = {}
        host.handle(self._protocol, self._answer, max_frame_bytes=limits.MAX_REQUEST_FRAME_BYTES)

    @classmethod
    @asynccontextmanager
    async def start(cls, host: Host, genesis_hash: bytes, address_book: AddressBook) -> AsyncIterator[HostedCores]:
        """Take part in the table and answer questions while the block of code runs."""
        async with Kademlia.start(host, genesis_hash) as kademlia:
            yield cls(host, kademlia, genesis_hash, address_book)

    def of_account(self, noise_key: bytes) -> KademliaDiscovery:
        """Discovery as one account of this node does it."""
        return KademliaDiscovery(self, noise_key)

    async def announce(self, discovery_key: bytes, noise_key: bytes) -> float:
        """Serve a core for an account; returns after how many seconds to say so again."""
        if len(self._accounts) >= limits.MAX_HOSTED_CORES and discovery_key not in self._accounts:
            raise DiscoveryFailed(f"more than {limits.MAX_HOSTED_CORES} hosted cores")
        self._accounts.setdefault(discovery_key, {})[noise_key] = None
        told_at = self._told_at.get(discovery_key)
        if told_at is not None and trio.current_time() - told_at < limits.PROVIDE_AGAIN_SECONDS / 2:
            return limits.PROVIDE_AGAIN_SECONDS / 2  # for another account of this node
        if not await self.kademlia.provide(discovery_key):
            return limits.PROVIDE_RETRY_SECONDS
        if discovery_key in self._accounts:
            self._told_at[discovery_key] = trio.current_time()
        return limits.PROVIDE_AGAIN_SECONDS

    def withdraw(self, discovery_key: bytes, noise_key: bytes) -> None:
        """An account serves a core no longer."""
        accounts = self._accounts.get(discovery_key, {})
        accounts.pop(noise_key, None)
        if not accounts:
            self._accounts.pop(discovery_key, None)
            self._told_at.pop(discovery_key, None)

    async def find(self, discovery_key: bytes) -> list[Endpoint]:
        """The TCP endpoints of the accounts that host a core, at other nodes."""
        found: dict[Endpoint, None] = {}

        async def ask(provider: Provider) -> None:
            for record in await self._hosts_at(provider, discovery_key):
                if record.hypercore is not None:
                    found[Endpoint(*record.hypercore)] = None

        async with trio.open_nursery() as nursery:
            for provider in await self.kademlia.find_providers(discovery_key):
                nursery.start_soon(ask, provider)
        return list(found)

    async def _hosts_at(self, provider: Provider, discovery_key: bytes) -> list[AddressRecord]:
        try:
            with trio.fail_after(limits.HOSTS_REQUEST_SECONDS):
                await self._connect(provider)
                size = limits.MAX_FRAME_BYTES
                async with await self._host.open_stream(
                    provider.peer_id, self._protocol, max_frame_bytes=size
                ) as stream:
                    await stream.send(encode(HostsRequest(discovery_key)))
                    response = decode(HostsResponse, await stream.receive(), size)
        except (DialFailed, PeerGone, FrameTooLarge, InvalidMessage, trio.TooSlowError) as error:
            log.debug("%s does not say who hosts a core: %s", provider.peer_id, error)
            return []
        records = []
        for data in response.records:
            try:
                record = AddressRecord.decode(data)
                self._address_book.add(record, provider.peer_id)
            except InvalidRecord as error:
                log.debug("%s passed on an address record that is wrong: %s", provider.peer_id, error)
                continue
            records.append(self._address_book.lookup(record.noise_key) or record)
        return records

    async def _connect(self, provider: Provider) -> None:
        if self._host.is_connected(provider.peer_id):
            return
        problem = DialFailed(f"no address of {provider.peer_id} is known")
        for address in provider.addresses:
            try:
                await self._host.connect(f"{address}/p2p/{provider.peer_id}")
            except DialFailed as error:
                problem = error
            else:
                return
        raise problem

    async def _answer(self, stream: FrameStream, peer_id: str) -> None:
        with trio.move_on_after(limits.HOSTS_REQUEST_SECONDS):
            try:
                request = decode(HostsRequest, await stream.receive(), limits.MAX_REQUEST_FRAME_BYTES)
            except InvalidMessage as error:
                log.debug("%s asked who hosts what, but not as agreed: %s", peer_id, error)
                return
            accounts = list(self._accounts.get(request.discovery_key, ()))
            records = [self._address_book.lookup(account) for account in accounts[: limits.MAX_HOSTS_PER_ANSWER]]
            encoded = tuple(record.encode() for record in records if record is not None)
            stream.max_frame_bytes = limits.MAX_FRAME_BYTES
            await stream.send(encode(HostsResponse(encoded)))


class KademliaDiscovery:
    """The table of the chain's nodes as a `hypercore.io.swarm.Discovery`.

    The port in `announce` is that of the account's address record, which says where the account is reached.
    """

    def __init__(self, cores: HostedCores, noise_key: bytes) -> None:
        self._cores = cores
        self._noise_key = noise_key

    async def announce(self, discovery_key: bytes, port: int) -> float:
        """Tells the nodes closest to the key, and answers whoever asks us."""
        return await self._cores.announce(discovery_key, self._noise_key)

    def withdraw(self, discovery_key: bytes, port: int) -> None:
        """Answers no more; what others remember fades."""
        self._cores.withdraw(discovery_key, self._noise_key)

    async def lookup(self, discovery_key: bytes) -> AsyncIterator[Endpoint]:
        """The endpoints of accounts at other nodes."""
        for endpoint in await self._cores.find(discovery_key):
            yield endpoint
