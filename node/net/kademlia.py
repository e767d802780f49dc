"""A table of who provides which key, spread over the chain's nodes: py-libp2p's Kademlia, its quirks kept in here.

What is done differently from the library's own calls, and why:

- Its protocol id is the same everywhere; ours names the chain, so that tables of different chains never mix.
- Its table of peers stays empty after plain connections; `add_peer` fills it with the peers of sessions.
- Its lookup answers from what it once heard, for two days, and with ourselves alone when we provide; ours asks anew.
- Keys, addresses, values and messages that strangers send are bounded, and a stream that stays silent is ended.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import trio

from node import limits
from node.net.host import Host
from node.net.libp2p_compat import RenamedProtocol
from node.net.messages import chain_protocol

log = logging.getLogger(__name__)

NAME: Final = "kad"
_BLAKE2B_256_MULTIHASH: Final = bytes.fromhex("a0e40220")
"""A discovery key is a BLAKE2b-256 hash; as a multihash it is a well-formed key for other Kademlia nodes too."""


@dataclass(frozen=True)
class Provider:
    """Somebody who says that they provide a key, and where they say they are reached."""

    peer_id: str
    addresses: tuple[str, ...]


class Kademlia:
    """The part of the table that this node keeps, and its view of the rest. Made by `Kademlia.start`."""

    def __init__(self, host: Host, genesis_hash: bytes) -> None:
        from libp2p.kad_dht.common import PROTOCOL_ID
        from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
        from libp2p.records.validator import NamespacedValidator

        _bound_library()
        # A validator without namespaces refuses every value: only provider records are kept.
        nothing = NamespacedValidator({}, strict_validation=True)
        self._host = host
        chains_host = RenamedProtocol(host.library_host, PROTOCOL_ID, chain_protocol(genesis_hash, NAME))
        self._dht = KadDHT(
            chains_host, DHTMode.SERVER, validator=nothing, validator_changed=True, strict_validation=True
        )
        self._store = self._dht.provider_store
        _bound_store(self._store)
        _bound_streams(chains_host, self._dht)
        self._sending = trio.Lock()
        self._next_provide_seconds = float("-inf")

    @classmethod
    @asynccontextmanager
    async def start(cls, host: Host, genesis_hash: bytes) -> AsyncIterator[Kademlia]:
        """Take part while the block of code runs."""
        from libp2p.tools.anyio_service import background_trio_service

        kademlia = cls(host, genesis_hash)
        async with background_trio_service(kademlia._dht):
            yield kademlia

    async def add_peer(self, peer_id: str, addresses: Sequence[str]) -> None:
        """Take a node of the chain into the table; addresses that cannot be read are left out."""
        from libp2p.peer.id import ID
        from libp2p.peer.peerinfo import PeerInfo
        from multiaddr import Multiaddr

        found = []
        for address in addresses[: limits.MAX_ADDRESSES_PER_RECORD]:
            where = address.partition("/p2p/")[0]
            try:
                found += [Multiaddr(where)] if where else []
            except ValueError:
                continue
        if found:
            peer = ID.from_base58(peer_id)
            self._host.library_host.get_peerstore().add_addrs(peer, found, limits.KADEMLIA_PEER_SECONDS)
            await self._dht.routing_table.add_peer(PeerInfo(peer, found), skip_server_mode_check=True)

    async def provide(self, key: bytes) -> int:
        """Tell the nodes closest to `key` (32 bytes) that we provide it; returns how many took it.

        Calls are spaced out, because a node takes few such messages a second from one peer.
        """
        key = _BLAKE2B_256_MULTIHASH + key
        closest = await self._closest(key)
        told = 0
        async with self._sending:
            await trio.sleep_until(self._next_provide_seconds)
            for peer in closest:
                with trio.move_on_after(limits.KADEMLIA_REQUEST_SECONDS):
                    told += bool(await self._store._send_add_provider(peer, key))
            if closest:
                self._next_provide_seconds = trio.current_time() + limits.PROVIDE_INTERVAL_SECONDS
        return told

    async def find_providers(self, key: bytes) -> list[Provider]:
        """Who provides `key` (32 bytes) according to the nodes closest to it, ourselves excepted, each once."""
        key = _BLAKE2B_256_MULTIHASH + key
        answers: list[Any] = list(self._store.get_providers(key))

        async def ask(peer: Any) -> None:
            with trio.move_on_after(limits.KADEMLIA_REQUEST_SECONDS):
                found, _ = await self._store._get_providers_from_peer_with_closers(peer, key)
                answers.extend(found[: limits.MAX_PROVIDERS_PER_KEY])

        closest = await self._closest(key)
        async with trio.open_nursery() as nursery:
            for peer in closest:
                nursery.start_soon(ask, peer)
        addresses: dict[str, dict[str, None]] = {}
        for info in answers:
            places = {str(address).partition("/p2p/")[0]: None for address in info.addrs}
            addresses.setdefault(str(info.peer_id), {}).update(places)
        addresses.pop(self._host.peer_id, None)
        return [
            Provider(peer_id, tuple(places)[: limits.MAX_ADDRESSES_PER_RECORD])
            for peer_id, places in list(addresses.items())[: limits.MAX_PROVIDERS_PER_KEY]
        ]

    async def _closest(self, key: bytes) -> list[Any]:
        own = self._host.library_host.get_id()
        found = await self._dht.peer_routing.find_closest_peers_network(key, limits.KADEMLIA_CLOSEST_PEERS)
        return [peer for peer in found if peer != own]


def _bound_library() -> None:
    from libp2p.kad_dht import kad_dht, peer_routing, provider_store

    provider_store.PROVIDER_RECORD_EXPIRATION_INTERVAL = limits.PROVIDER_RECORD_SECONDS
    for module in (kad_dht, peer_routing, provider_store):
        module.MAX_DHT_MESSAGE_SIZE = limits.MAX_KADEMLIA_MESSAGE_BYTES


def _bound_store(store: Any) -> None:
    """Keep at most MAX_PROVIDED_KEYS keys; the one that was first told longest ago makes room."""
    from libp2p.peer.peerinfo import PeerInfo

    add = store.add_provider

    def add_bounded(key: bytes, provider: Any) -> None:
        if key not in store.providers and len(store.providers) >= limits.MAX_PROVIDED_KEYS:
            del store.providers[next(iter(store.providers))]
        add(key, PeerInfo(provider.peer_id, provider.addrs[: limits.MAX_ADDRESSES_PER_RECORD]))

    store.add_provider = add_bounded


def _bound_streams(host: Any, dht: Any) -> None:
    """The library waits for a request for ever and serves twelve streams at once: silent ones would use them up."""
    from libp2p.kad_dht.common import PROTOCOL_ID

    async def serve(stream: Any) -> None:
        with trio.move_on_after(limits.KADEMLIA_STREAM_SECONDS) as serving:
            await dht.handle_stream(stream)
        if serving.cancelled_caught:
            await stream.reset()

    host.set_stream_handler(PROTOCOL_ID, serve)
