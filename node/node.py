"""A node, assembled: store, chain, pool, author, JSON-RPC, network and the services of its provider accounts.

Everything runs in one nursery and ends together. The JSON-RPC port opens before the network, whose library takes a
second to load, so that clients connect at once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio

from node.chain.author import Author, AuthoringMode, WrongAuthorKey
from node.chain.chain import Chain
from node.chain.clock import AdjustableClock, SystemClock
from node.chain.opening import open_chain
from node.chain.transactions import Transactions
from node.client.local import LocalChain
from node.config import NodeConfig, StartRefused
from node.exceptions import first_of
from node.garbage import settle_garbage_collection
from node.kept_files import kept_seed, kept_token
from node.keys.keypair import Keypair
from node.keys.keystore import Keystore, KeystoreError
from node.metrics import metrics_page
from node.offchain.runner import offchain_runner
from node.offchain.storage import OffchainStorage
from node.rpc.backend import Backend, NodeIdentity
from node.rpc.development import Development, development_clock
from node.rpc.health import health_pages
from node.rpc.methods.every import registry_of
from node.rpc.server import RpcConfig, RpcServer, open_port
from node.txpool.pool import TransactionPool
from runtime.construct import Runtime

if TYPE_CHECKING:
    from node.finding import Finding
    from node.net.addresses import AddressRecord
    from node.net.service import Network
    from node.roles.endpoint import ServiceEndpoint
    from node.roles.provider import ProviderService
    from node.roles.sealer import SealPool
    from node.roles.sealing_board import SealingBoard

log = structlog.get_logger("node")

FIRST_PEER_SECONDS: Final = 10.0
"""A validator with bootnodes waits so long for a first peer, lest it builds on a head that the others have left."""


@dataclass
class Node:
    """A running node; made by `open_node`."""

    config: NodeConfig
    chain: Chain
    transactions: Transactions
    author: Author
    api: LocalChain
    rpc_port: int
    network: Network
    sealing: SealingBoard
    providers: list[ProviderService] = field(default_factory=list)
    endpoints: dict[bytes, ServiceEndpoint] = field(default_factory=dict)

    @property
    def rpc_url(self) -> str:
        """Where WebSocket clients connect."""
        return f"ws://{self.config.host}:{self.rpc_port}"


async def run_node(config: NodeConfig) -> None:
    """Runs a node until it is cancelled; raises StartRefused."""
    async with open_node(config) as node:
        settle_garbage_collection()
        addresses = ", ".join(node.network.host.addresses)
        log.info("node started", chain=config.spec.name, rpc=node.rpc_url, p2p=addresses, best=node.chain.best.number)
        await trio.sleep_forever()


@asynccontextmanager
async def open_node(config: NodeConfig) -> AsyncIterator[Node]:
    """A running node while the block of code runs. Raises StartRefused with one sentence."""
    async with AsyncExitStack() as stack:
        store, runtime = open_chain(config)
        stack.callback(store.close)
        clock = development_clock(store, runtime) if config.is_development else SystemClock()
        chain = Chain(store, runtime, clock)
        transactions = Transactions(store, runtime, TransactionPool())
        chain.follower = transactions
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        started = _Started()
        keystore = Keystore(config.base_path / "keystore")
        author = _author(config, keystore, chain, transactions, started)
        offchain = offchain_runner(config, chain, transactions)
        stack.callback(offchain.storage.close)
        rpc_port = await _serve_rpc(config, keystore, chain, transactions, author, offchain.storage, started, nursery)
        if config.validator is not None and not config.bootnodes:
            nursery.start_soon(author.run)
        network = await _join_network(config, chain, transactions, started, stack, nursery)
        if config.validator is not None and config.bootnodes:
            nursery.start_soon(_author_with_peers, author, network)
        nursery.start_soon(offchain.run)
        node = await _with_services(config, chain, transactions, author, rpc_port, network, stack)
        yield node


def has_market(runtime: Runtime) -> bool:
    """Whether hosting services have something to do on a chain."""
    return any(pallet.name == "DatDot" for pallet in runtime.pallets)


@dataclass
class _Started:
    """What exists only once the network has started."""

    network: Network | None = None

    @property
    def may_author(self) -> bool:
        return self.network is None or not self.network.is_major_syncing


def _author(
    config: NodeConfig, keystore: Keystore, chain: Chain, transactions: Transactions, started: _Started
) -> Author:
    try:
        keys = [config.validator, *keystore.keys("aura")] if config.validator is not None else []
    except KeystoreError as error:
        raise StartRefused(str(error)) from None
    authorities = chain.authorities(chain.store.state(chain.best.hash))
    for key in keys:
        if key.account_id not in authorities:
            log.warning("this key is not among the chain's authorities: it makes no blocks", key=key.account_id.hex())
    mode = AuthoringMode(config.blocks)

    def may_author() -> bool:
        return started.may_author

    try:
        return Author(chain, transactions, keys, mode=mode, may_author=may_author, on_bug=config.on_runtime_bug)
    except WrongAuthorKey as error:
        raise StartRefused(str(error)) from None


async def _author_with_peers(author: Author, network: Network) -> None:
    with trio.move_on_after(FIRST_PEER_SECONDS):
        while not network.peers() or network.is_major_syncing:  # noqa: ASYNC110 - two states of others, no event
            await trio.sleep(0.2)
    await author.run()


async def _serve_rpc(
    config: NodeConfig,
    keystore: Keystore,
    chain: Chain,
    transactions: Transactions,
    author: Author,
    offchain: OffchainStorage,
    started: _Started,
    nursery: trio.Nursery,
) -> int:
    try:
        listeners = await open_port(config.host, config.rpc_port)
    except OSError as error:
        raise StartRefused(
            f"the JSON-RPC port {config.rpc_port} cannot be opened ({error.strerror}): choose another with --rpc-port"
        ) from None
    identity = partial(_identity, config, started)
    development = None
    if isinstance(chain.clock, AdjustableClock) and config.validator is not None:
        development = Development(chain, transactions, author, chain.clock, config.validator)
    backend = Backend(
        chain,
        transactions,
        config.spec,
        version("datdot"),
        lambda: started.network,
        identity,
        chain.best.number,
        author=author if config.validator is not None else None,
        keystore=keystore,
        offchain=offchain,
        development=development,
    )
    registry = registry_of(backend)
    rpc = RpcConfig(
        hosts=config.rpc_hosts,
        origins=config.rpc_origins,
        token=kept_token(config.base_path / "rpc.token"),
        trusts_this_machine=config.is_development,
    )
    pages = {"/metrics": metrics_page(partial(_readings, chain, transactions, started)), **health_pages(registry)}
    nursery.start_soon(RpcServer(registry, rpc, pages).serve, listeners)
    port: int = listeners[0].socket.getsockname()[1]
    return port


def _identity(config: NodeConfig, started: _Started) -> NodeIdentity:
    from node.net.identity import peer_id_of

    if started.network is None:
        return NodeIdentity(peer_id_of(_public_of(_network_seed(config))), (), config.validator is not None)
    host = started.network.host
    return NodeIdentity(host.peer_id, tuple(host.addresses), config.validator is not None)


def _public_of(seed: bytes) -> bytes:
    from hypercore.crypto import KeyPair

    return KeyPair.from_seed(seed).public_key


def _readings(chain: Chain, transactions: Transactions, started: _Started) -> Mapping[str, tuple[str, float]]:
    status = transactions.pool.status()
    peers: Sequence[object] = started.network.peers() if started.network is not None else ()
    return {
        "block_best": ("Number of the best block.", chain.best.number),
        "block_finalized": ("Number of the block shown as final.", chain.finalized.number),
        "pool_ready_transactions": ("Transactions that may enter the next block.", status.ready),
        "pool_future_transactions": ("Transactions that wait for an earlier one.", status.future),
        "pool_ready_bytes": ("Size of the ready transactions, bytes.", status.ready_bytes),
        "peers": ("Peers with a session.", len(peers)),
    }


def _network_seed(config: NodeConfig) -> bytes:
    """The node's own identity: given, derived from the validator's key, or random and kept in the base path."""
    if config.network_seed is not None:
        return config.network_seed
    if config.validator is not None:
        return config.validator.derived_seed("node")
    return kept_seed(config.base_path / "network.key")


async def _join_network(
    config: NodeConfig,
    chain: Chain,
    transactions: Transactions,
    started: _Started,
    stack: AsyncExitStack,
    nursery: trio.Nursery,
) -> Network:
    from node.chain.for_peers import ChainForPeers
    from node.chain.gossip import announce_blocks, judge_extrinsics, pass_on_transactions
    from node.net.addresses import keep_published
    from node.net.host import InvalidPeerId, ListenFailed
    from node.net.service import Network, NetworkConfig

    for_peers = ChainForPeers(chain)
    network_config = NetworkConfig(
        seed=_network_seed(config),
        listen=(config.host, config.p2p_port),
        bootnodes=(*config.spec.bootnodes, *config.bootnodes),
        role="authority" if config.validator is not None else "full",
    )
    starting = Network.start(
        network_config,
        chain.store.genesis_hash,
        for_peers,
        for_peers,
        lambda extrinsics, _: judge_extrinsics(transactions, extrinsics),
        partial(_is_user, LocalChain(chain, transactions)),
    )
    try:
        network = await stack.enter_async_context(starting)
    except Exception as error:
        if refusal := first_of(error, (ListenFailed,)):
            raise StartRefused(f"{refusal}: choose another port with --port") from None
        if refusal := first_of(error, (InvalidPeerId,)):
            raise StartRefused(f"--bootnode: {refusal}") from None
        raise
    started.network = network
    own_address = partial(_own_address, config, network, chain.store.genesis_hash)
    network.publish_address(own_address())
    nursery.start_soon(keep_published, network, own_address)
    pass_on_transactions(transactions, network)
    nursery.start_soon(announce_blocks, chain, network)
    return network


def _is_user(api: LocalChain, noise_key: bytes) -> bool:
    return has_market(api.chain.runtime) and api.query("DatDot", "GetUserIDByNoiseKey", noise_key) is not None


def _own_address(config: NodeConfig, network: Network, genesis_hash: bytes) -> AddressRecord:
    """What tells the network that a chain node answers here, so that nodes find each other beyond the bootnodes."""
    from node.net.addresses import AddressRecord

    return AddressRecord.create(
        _network_seed(config),
        genesis_hash,
        addresses=network.host.addresses,
        sequence=time.time_ns() // 1_000_000,
        serves_chain=True,
    )


async def _with_services(
    config: NodeConfig,
    chain: Chain,
    transactions: Transactions,
    author: Author,
    rpc_port: int,
    network: Network,
    stack: AsyncExitStack,
) -> Node:
    from node.finding import Finding
    from node.roles.sealer import SealPool
    from node.roles.sealing_board import SealingBoard

    api = LocalChain(chain, transactions)
    node = Node(config, chain, transactions, author, api, rpc_port, network, SealingBoard())
    if config.providers and not has_market(chain.runtime):
        raise StartRefused("this chain has no hosting market (the pallet DatDot): there is nothing to provide")
    if config.providers:
        pool = await stack.enter_async_context(SealPool(workers=config.sealing_workers))
        reading_pool = await stack.enter_async_context(SealPool(workers=config.sealing_workers))
        finding = await stack.enter_async_context(Finding.start(config.finding, config.host))
        for account in config.providers:
            await _start_provider(node, account, pool, reading_pool, finding, stack)
    return node


async def _start_provider(
    node: Node, account: Keypair, pool: SealPool, reading_pool: SealPool, finding: Finding, stack: AsyncExitStack
) -> None:
    from node.roles.provider import ProviderConfig, ProviderService

    endpoint = await open_endpoint(node, account, stack)
    table = node.network.hosted_cores.of_account(endpoint.identity.noise_key)
    announcing = finding.announcing(endpoint.replication, endpoint.hypercore[1], [table])
    endpoint.announce = (await stack.enter_async_context(announcing)).announce_only
    config = ProviderConfig(account_directory(node.config.base_path, account.account_id))
    service = ProviderService.start(config, endpoint, node.api, pool, reading_pool, node.sealing)
    node.providers.append(await stack.enter_async_context(service))


async def open_endpoint(node: Node, account: Keypair, stack: AsyncExitStack) -> ServiceEndpoint:
    """The libp2p host and hypercore listener of an account, opened once and closed with the stack."""
    from node.net.host import ListenFailed
    from node.roles.endpoint import EndpointConfig, ServiceEndpoint
    from node.roles.identity import ProviderIdentity

    if (known := node.endpoints.get(account.account_id)) is not None:
        return known
    config = EndpointConfig(listen_host=node.config.host)
    starting = ServiceEndpoint.start(ProviderIdentity.of(account), config, node.network, node.api.genesis_hash)
    try:
        endpoint = await stack.enter_async_context(starting)
    except Exception as error:
        if refusal := first_of(error, (ListenFailed, OSError)):
            raise StartRefused(f"a service port cannot be opened: {refusal}") from None
        raise
    node.endpoints[account.account_id] = endpoint
    return endpoint


def account_directory(base_path: Path, account_id: bytes) -> Path:
    """Where the lanes and replicas of an account are kept; made if missing."""
    directory = base_path / "accounts" / account_id.hex()[:16]
    directory.mkdir(parents=True, exist_ok=True)
    return directory
