"""The network of a chain node, assembled: host, sessions, gossip, sync, addresses, redialling and bans.

Everything runs in one nursery inside `Network.start`. What a node does with extrinsics and blocks comes in as
callbacks and protocols, so this package knows nothing of the chain's rules.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

import trio

from node import limits
from node.net.addresses import AddressBook, AddressRecord, InvalidRecord, IsRegistered
from node.net.cbor import InvalidMessage, decode, encode
from node.net.discovery import HostedCores
from node.net.gossip import Gossip, Kind, Verdict
from node.net.host import DialFailed, Host
from node.net.identity import InvalidPeerId, noise_key_of
from node.net.mesh import Mesh
from node.net.messages import BlockAnnounce, Handshake
from node.net.peers import Offence, PeerBook, TooManyReserved, peer_id_in
from node.net.session import Session, Sessions
from node.net.sync_protocol import BlockImporter, BlockProvider, SyncProtocol
from node.sync.envelope import InvalidEnvelope, summarize_header
from node.sync.types import BlockRef

log = logging.getLogger(__name__)

TRANSACTIONS: Final = "transactions"
BLOCKS: Final = "blocks"
ADDRESSES: Final = "addresses"
REDIAL_TICK_SECONDS: Final = 0.5

OnExtrinsics = Callable[[list[bytes], str], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True)
class NetworkConfig:
    """How a node takes part in the network.

    `seed`: 32-byte ed25519 seed of its identity. `listen`: host and TCP port, 0 for any. `bootnodes` and `reserved`:
    multiaddrs ending in `/p2p/<peer id>`, dialled for as long as the node runs. `advertised`: multiaddrs to tell others
    in place of those listened on. `mesh`: take part in the GossipSub mesh of block announcements.
    """

    seed: bytes
    listen: tuple[str, int] = ("127.0.0.1", 0)
    bootnodes: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    advertised: tuple[str, ...] = ()
    role: Literal["full", "authority"] = "full"
    mesh: bool = False


@dataclass(frozen=True)
class PeerInfo:
    """A peer with a session, as `system_peers` shows it."""

    peer_id: str
    role: str
    best_number: int
    best_hash: bytes


class Network:
    """A running network. Made by `Network.start`."""

    def __init__(
        self,
        config: NetworkConfig,
        genesis_hash: bytes,
        peer_book: PeerBook,
        host: Host,
        nursery: trio.Nursery,
        address_book: AddressBook,
        hosted_cores: HostedCores,
        provider: BlockProvider,
        importer: BlockImporter,
        on_extrinsics: OnExtrinsics,
    ) -> None:
        self.host = host
        self.address_book = address_book
        self.hosted_cores = hosted_cores
        self.peer_book = peer_book
        self.highest_announced = 0  # by the mesh; a hint of how far behind we are, nothing more
        self.waiting_extrinsics: Callable[[], Iterable[bytes]] = tuple  # asked for whenever a session begins
        self._config = config
        self._genesis_hash = genesis_hash
        self._nursery = nursery
        self._provider = provider
        self._bootnodes = {peer_id_in(address) for address in config.bootnodes}
        self._reserved = dict.fromkeys(peer_id_in(address) for address in config.reserved)
        self._mesh: Mesh | None = None
        self._dialling: set[str] = set()
        self.sessions = Sessions(host, nursery, self._handshake, self.offend, self._is_permanent)
        self._gossip = Gossip(host, genesis_hash, self._kinds(on_extrinsics), self.sessions, self.offend)
        self.sync = SyncProtocol(host, genesis_hash, provider, importer, self.sessions, self.offend)
        self.sessions.on_began = self._session_began
        self.sessions.on_ended = self._gossip.end
        self.sessions.on_refused = self._session_refused
        self.sessions.peer_tasks = [self._gossip.serve, self.sync.serve]
        host.on_connected(lambda peer_id: nursery.start_soon(self._expect_use, peer_id))

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        config: NetworkConfig,
        genesis_hash: bytes,
        provider: BlockProvider,
        importer: BlockImporter,
        on_extrinsics: OnExtrinsics,
        is_registered: IsRegistered = lambda noise_key: False,
    ) -> AsyncIterator[Network]:
        """Run the network of one chain node until the block is left.

        `on_extrinsics(extrinsics, peer_id)` judges extrinsics that are new here and returns a verdict for each.
        `is_registered(noise_key)` says whose address records are kept when strangers bring too many.
        Raises ListenFailed, and InvalidPeerId for a bootnode whose address names no peer.
        """
        peer_book = PeerBook()
        for address in (*config.bootnodes, *config.reserved):
            peer_book.add_target(address, permanent=True)
        async with AsyncExitStack() as stack:
            host = await stack.enter_async_context(Host.start(config.seed, config.listen))
            book = AddressBook(genesis_hash, is_registered)
            cores = await stack.enter_async_context(HostedCores.start(host, genesis_hash, book))
            nursery = await stack.enter_async_context(trio.open_nursery())
            network = cls(
                config, genesis_hash, peer_book, host, nursery, book, cores, provider, importer, on_extrinsics
            )
            if config.mesh:
                network._mesh = await stack.enter_async_context(Mesh.start(host, genesis_hash))
                await network._mesh.subscribe(BLOCKS, _is_announce, network._heard_of_block)
            nursery.start_soon(network.sync.run)
            nursery.start_soon(network._redial)
            try:
                yield network
            finally:
                nursery.cancel_scope.cancel()

    # ---- for the node

    @property
    def is_major_syncing(self) -> bool:
        """Whether the chain is more than a few blocks behind the best peer."""
        return self.sync.machine.is_major_syncing

    def peers(self) -> list[PeerInfo]:
        """Return the peers with a session."""
        return [
            PeerInfo(session.peer_id, session.role, session.best_number, session.best_hash)
            for session in self.sessions.live.values()
        ]

    def announce_block(self, header: bytes, block_hash: bytes, is_best: bool) -> None:
        """Tell every peer of a block that is imported here. Call it for each new best block, once."""
        announce = encode(BlockAnnounce(header, is_best))
        self._gossip.broadcast(BLOCKS, [announce])
        if self._mesh is not None and is_best:
            self._mesh.publish(BLOCKS, announce)

    def broadcast_extrinsics(self, extrinsics: Sequence[bytes]) -> None:
        """Send extrinsics of our own pool to every peer."""
        self._gossip.broadcast(TRANSACTIONS, extrinsics)

    def publish_address(self, record: AddressRecord) -> None:
        """Keep a record of a service of ours and send it to every peer. Raises InvalidRecord."""
        if self.address_book.add(record, None):
            self._gossip.broadcast(ADDRESSES, [record.encode()])

    @property
    def reserved_peers(self) -> tuple[str, ...]:
        """The ids of the reserved peers, connected or not; bootnodes are not among them."""
        return tuple(self._reserved)

    def add_reserved_peer(self, address: str) -> str:
        """Dial a peer for as long as it is reserved and keep a slot for it; returns its id.

        Raises InvalidPeerId, and TooManyReserved when `limits.MAX_RESERVED_PEERS` are reserved.
        """
        peer_id = peer_id_in(address)
        if peer_id not in self._reserved and len(self._reserved) >= limits.MAX_RESERVED_PEERS:
            raise TooManyReserved(f"{limits.MAX_RESERVED_PEERS} peers are reserved already")
        self.peer_book.add_target(address, permanent=True)
        self._reserved[peer_id] = None
        return peer_id

    def remove_reserved_peer(self, peer_id: str) -> None:
        """Treat a reserved peer like any other; its session, if there is one, goes on. Raises InvalidPeerId."""
        noise_key_of(peer_id)
        self._reserved.pop(peer_id, None)
        if peer_id not in self._bootnodes:
            self.peer_book.release(peer_id)

    def offend(self, peer_id: str, offence: Offence, detail: str) -> None:
        """Note an offence of a peer; enough of them ban it for a while, with the reason in the log."""
        log.debug("offence of %s: %s %s", peer_id, offence.sentence, detail[:200])
        if self.peer_book.offend(peer_id, offence, trio.current_time()):
            log.warning("banned %s for %d s: %s (%s)", peer_id, limits.BAN_SECONDS, offence.sentence, detail[:200])
            self._nursery.start_soon(self._ban, peer_id)

    # ---- validators

    def _kinds(self, on_extrinsics: OnExtrinsics) -> list[Kind]:
        return [
            Kind(
                TRANSACTIONS,
                on_extrinsics,
                limits.MAX_QUEUED_TRANSACTIONS,
                limits.TRANSACTIONS_PER_SECOND,
                limits.TRANSACTION_BURST,
            ),
            Kind(
                BLOCKS,
                self._judge_announces,
                limits.MAX_QUEUED_BLOCK_ANNOUNCES,
                limits.BLOCK_ANNOUNCES_PER_SECOND,
                limits.BLOCK_ANNOUNCE_BURST,
            ),
            Kind(
                ADDRESSES,
                self._judge_addresses,
                limits.MAX_QUEUED_ADDRESSES,
                limits.ADDRESSES_PER_SECOND,
                limits.ADDRESS_BURST,
            ),
        ]

    async def _judge_announces(self, items: list[bytes], peer_id: str) -> list[Verdict]:
        # Never passed on: a node announces what it has imported itself, so that whoever hears of it can fetch it there.
        return [self._judge_announce(item, peer_id) for item in items]

    def _judge_announce(self, item: bytes, peer_id: str) -> Verdict:
        try:
            announce = decode(BlockAnnounce, item)
            summary = summarize_header(announce.header)
        except (InvalidMessage, InvalidEnvelope):
            return Verdict.REJECT
        session = self.sessions.live.get(peer_id)
        if session is not None and announce.is_best:
            self.sync.announced(session, BlockRef(summary.number, summary.hash), summary.parent_hash)
        return Verdict.IGNORE

    async def _judge_addresses(self, items: list[bytes], peer_id: str) -> list[Verdict]:
        return [self._judge_address(item, peer_id) for item in items]

    def _judge_address(self, item: bytes, peer_id: str) -> Verdict:
        try:
            record = AddressRecord.decode(item)
            is_news = self.address_book.add(record, peer_id)
        except InvalidRecord:
            return Verdict.REJECT
        return Verdict.ACCEPT if is_news else Verdict.IGNORE

    def _heard_of_block(self, data: bytes) -> None:
        self.highest_announced = max(
            self.highest_announced, summarize_header(decode(BlockAnnounce, data).header).number
        )

    # ---- sessions

    def _handshake(self) -> Handshake:
        best = self._provider.best
        addresses = (self._config.advertised or self.host.addresses)[: limits.MAX_ADDRESSES_PER_RECORD]
        return Handshake(self._genesis_hash, best.number, best.hash, self._config.role, addresses)

    def _is_permanent(self, peer_id: str) -> bool:
        return peer_id in self.peer_book.permanent_peers

    def _session_began(self, session: Session) -> None:
        for address in session.addresses[:1]:
            try:
                if address.endswith(f"/p2p/{session.peer_id}"):
                    self.peer_book.add_target(address)
            except InvalidPeerId:
                continue
        self.peer_book.session_began(session.peer_id)
        self._nursery.start_soon(self.hosted_cores.kademlia.add_peer, session.peer_id, session.addresses)
        self._gossip.begin(session)
        records = self.address_book.newest(limits.MAX_ADDRESSES_SENT_ON_CONNECT)
        self._gossip.send(ADDRESSES, [record.encode() for record in records], session.peer_id)
        waiting = islice(self.waiting_extrinsics(), limits.MAX_EXTRINSICS_SENT_ON_CONNECT)
        self._gossip.send(TRANSACTIONS, list(waiting), session.peer_id)

    def _session_refused(self, peer_id: str, reason: str) -> None:
        if peer_id in self._dialling or self._is_permanent(peer_id):
            log.warning("no session with %s: %s", peer_id, reason)
        self.peer_book.postpone(peer_id, trio.current_time(), limits.OTHER_GENESIS_RETRY_SECONDS)

    async def _expect_use(self, peer_id: str) -> None:
        """Disconnect a peer that neither shook hands nor opened any stream in time."""
        await trio.sleep(limits.HANDSHAKE_TIMEOUT_SECONDS)
        if peer_id not in self.sessions.live and self.host.open_streams(peer_id) == 0:
            await self.host.disconnect(peer_id)

    async def _ban(self, peer_id: str) -> None:
        await self.host.ban(peer_id)
        self.sessions.end(peer_id)
        await trio.sleep(limits.BAN_SECONDS)
        self.host.unban(peer_id)

    # ---- redialling

    async def _redial(self) -> None:
        while True:
            self._learn_targets()
            now = trio.current_time()
            busy = {*self.sessions.live, *self._dialling, self.host.peer_id}
            enough = len(self.sessions.live) >= limits.TARGET_PEERS
            for peer_id, address in self.peer_book.due(now, busy, permanent_only=enough):
                self._dialling.add(peer_id)
                self._nursery.start_soon(self._dial, peer_id, address)
            await trio.sleep(REDIAL_TICK_SECONDS)

    def _learn_targets(self) -> None:
        if len(self.sessions.live) >= limits.TARGET_PEERS:
            return
        for record in self.address_book.newest(limits.TARGET_PEERS * 4):
            if record.serves_chain and record.addresses and record.peer_id != self.host.peer_id:
                self.peer_book.add_target(record.addresses[0])

    async def _dial(self, peer_id: str, address: str) -> None:
        try:
            await self.host.connect(address)
        except DialFailed as error:
            log.debug("%s", error)
        else:
            # The next attempt waits as after a failure unless a session comes about.
            await self.sessions.wait_for(peer_id)
        finally:
            self._dialling.discard(peer_id)
            if peer_id not in self.sessions.live:
                self.peer_book.dial_failed(peer_id, trio.current_time())


def _is_announce(data: bytes) -> bool:
    try:
        summarize_header(decode(BlockAnnounce, data).header)
    except (InvalidMessage, InvalidEnvelope):
        return False
    return True
