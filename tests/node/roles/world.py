"""A market on loopback for the tests of the services: the real runtime making blocks, real hosts, real sockets.

Blocks come from a ticker of BLOCK_SECONDS, which is the chain's clock; what waits, waits for blocks or for replies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from hypercore.crypto import KeyPair
from hypercore.io.core import Core
from hypercore.proof import create_range_proof, encode_block_sizes_proof
from node.client.chain import BlockEvents, Receipt
from node.keys.derivation import keypair_from_uri
from node.net.addresses import AddressBook, AddressRecord
from node.roles.endpoint import EndpointConfig, ServiceEndpoint
from node.roles.identity import ProviderIdentity
from node.roles.market_view import MarketView
from node.roles.provider import ProviderConfig, ProviderService
from node.roles.registration import WorkOffer, ensure_user
from node.roles.sealer import SealPool
from pallets.balances import TREASURY
from pallets.datdot.components import Components, DatasetInput, FeedInput, PlanInput, ProgramInput
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.events import Event
from runtime.extrinsic import Signer, sign_extrinsic
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain

BLOCK_SECONDS = 0.05
PATIENCE_SECONDS = 60
WEALTH = 2**60
MIB = 1 << 20
CHUNK_BYTES = 700
CONSTANTS = {
    "DatDot": {"AmendmentFollowupDelay": 600, "ResponseWindow": 100, "ChallengeDelay": 5},
    "Randomness": {"EpochSlots": 4_096},
}
SUBSCRIBER_QUEUE_BLOCKS = 4_096


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks run until the condition holds."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():
            await trio.lowlevel.checkpoint()


class LiveChain:
    """A FollowedChain in memory. `run` makes a block every BLOCK_SECONDS, `run_on_demand` one for each call."""

    def __init__(self, *names: str, constants: Mapping[str, Mapping[str, int]] = CONSTANTS) -> None:
        endowed = [(keypair_from_uri(f"//{name}").account_id, WEALTH) for name in names]
        self.chain = Chain(balances=[(account("Alice"), WEALTH), *endowed, (TREASURY, WEALTH)], constants=constants)
        self.genesis_hash = self.chain.genesis_hash
        self.finality_lag = 2
        self.events: list[Event] = []
        self._pending: list[tuple[RuntimeCall, Signer, trio.Event, list[Receipt]]] = []
        self._submitted = trio.Event()
        self._subscribers: list[trio.MemorySendChannel[BlockEvents]] = []

    @property
    def best_number(self) -> int:
        return self.chain.header.number

    @property
    def finalized_number(self) -> int:
        return max(0, self.best_number - self.finality_lag)

    def constant(self, pallet: str, name: str) -> Any:
        (spec,) = (one for one in self.chain.runtime.pallet(pallet).constants() if one.name == name)
        return spec.value

    def query(self, pallet: str, item: str, *keys: Any, at: bytes | None = None) -> Any:
        owner = self.chain.runtime.pallet(pallet)
        (attribute,) = (name for name, one in owner.storage().items() if one.name == item)
        with self.chain.runtime.at(self.chain.state):
            return getattr(owner, attribute).get(*keys)

    async def submit(self, call: RuntimeCall, signer: Signer, *, tip: int = 0) -> Receipt:
        done, receipts = trio.Event(), list[Receipt]()
        self._pending.append((call, signer, done, receipts))
        self._submitted.set()
        await done.wait()
        return receipts[0]

    async def blocks(self) -> AsyncIterator[BlockEvents]:
        send, receive = trio.open_memory_channel[BlockEvents](SUBSCRIBER_QUEUE_BLOCKS)
        self._subscribers.append(send)
        async with receive:
            async for block in receive:
                yield block

    async def run(self) -> None:
        while True:
            await trio.sleep(BLOCK_SECONDS)
            self.make_block()

    async def run_on_demand(self) -> None:
        while True:
            await self._submitted.wait()
            self._submitted = trio.Event()
            self.make_block()

    def make_block(self) -> None:
        """Make one block with every call that waits."""
        waiting, self._pending = self._pending, []
        chain, extrinsics, nonces = self.chain, [], dict[bytes, int]()
        for call, signer, _, _ in waiting:
            nonce = nonces.get(signer.account_id, chain.nonce(signer.account_id))
            nonces[signer.account_id] = nonce + 1
            extrinsics.append(self._sign(call, signer, nonce))
        executed = chain.block(*extrinsics)
        number, block_hash = executed.header.number, executed.header.hash
        events = tuple(record.event for record in executed.events)
        for index, (_, _, done, receipts) in enumerate(waiting, start=1):
            own = tuple(r.event for r in executed.events if getattr(r.phase, "index", None) == index)
            error = getattr(own[-1], "dispatch_error", None)
            receipts.append(Receipt(blake2_256(extrinsics[index - 1]), block_hash, number, index, error, own))
            done.set()
        self.events += events
        for channel in list(self._subscribers):
            try:
                channel.send_nowait(BlockEvents(number, block_hash, executed.header.parent_hash, executed.events))
            except trio.BrokenResourceError:
                self._subscribers.remove(channel)

    def _sign(self, call: RuntimeCall, signer: Signer, nonce: int) -> bytes:
        runtime = self.chain.runtime
        return sign_extrinsic(
            runtime.extrinsic_codec, runtime.version, call, signer, nonce=nonce, genesis_hash=self.genesis_hash
        )

    def of_kind(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


class LoopbackNetwork:
    """The address book that all services of a test share."""

    def __init__(self, genesis_hash: bytes) -> None:
        self.address_book = AddressBook(genesis_hash)

    def publish_address(self, record: AddressRecord) -> None:
        self.address_book.add(record, None)


@dataclass
class Market:
    """A chain that makes blocks, a sealing pool, and the services that a test starts."""

    chain: LiveChain
    pool: SealPool
    directory: Path
    network: LoopbackNetwork
    providers: dict[str, ProviderService] = field(default_factory=dict)

    @property
    def view(self) -> MarketView:
        return MarketView(self.chain)

    def identity(self, name: str) -> ProviderIdentity:
        return ProviderIdentity.of(keypair_from_uri(f"//{name}"))

    def user_id(self, name: str) -> int:
        found = self.view.user_id(self.identity(name).account.account_id)
        assert found is not None
        return found

    def name_of(self, user_id: int) -> str:
        return next(name for name in self.providers if self.user_id(name) == user_id)

    @asynccontextmanager
    async def endpoint(self, name: str) -> AsyncIterator[ServiceEndpoint]:
        start = ServiceEndpoint.start(self.identity(name), EndpointConfig(), self.network, self.chain.genesis_hash)
        async with start as endpoint:
            yield endpoint

    def config(self, name: str, **offer: int) -> ProviderConfig:
        wanted = {"storage_bytes": 8 * MIB, "hosting_slots": 8, "sealing_jobs": 2, "attesting_jobs": 2} | offer
        return ProviderConfig(self.directory / name, WorkOffer(**wanted))

    @asynccontextmanager
    async def starting_provider(self, name: str, **offer: int) -> AsyncIterator[ProviderService]:
        async with self.endpoint(name) as endpoint:
            start = ProviderService.start(self.config(name, **offer), endpoint, self.chain, self.pool, self.pool)
            async with start as service:
                yield service

    @asynccontextmanager
    async def provider(self, name: str, **offer: int) -> AsyncIterator[ProviderService]:
        async with self.starting_provider(name, **offer) as service:
            with trio.fail_after(PATIENCE_SECONDS):
                await service.ready.wait()
            self.providers[name] = service
            yield service

    async def publish(self, endpoint: ServiceEndpoint, core: Core, blocks: int = 5_000) -> int:
        """Have the endpoint's account sponsor the hosting of a core and serve it; returns the plan's contract."""
        await ensure_user(self.view, endpoint.identity)
        endpoint.replication.add(core)
        return await self.order(endpoint.identity, core, blocks)

    async def order(self, sponsor: ProviderIdentity, core: Core, blocks: int = 5_000) -> int:
        """Publish a plan for a small core; returns its contract."""
        sizes = encode_block_sizes_proof(create_range_proof(core.view(), 0, core.length - 1))
        components = Components(
            feeds=(FeedInput(core.key, core.head_proof()),),
            datasets=(DatasetInput(-1, ((0, core.length - 1),), (sizes,)),),
        )
        until_block = self.chain.best_number + blocks
        plan = PlanInput(None, until_block, (ProgramInput((-1,), (), ()),), None)
        arguments = {"plan": plan, "components": components, "deposit": 10**15}
        receipt = await self.chain.submit(RuntimeCall("DatDot", "publish_plan", arguments), sponsor.account)
        assert receipt.error is None, receipt.error
        (contract,) = [event.contract for event in receipt.events if hasattr(event, "contract")]
        return int(contract)


@asynccontextmanager
async def open_market(directory: Path, *names: str) -> AsyncIterator[Market]:
    """A market whose named accounts own something; none of them has joined yet."""
    chain = LiveChain(*names)
    async with SealPool(workers=2) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(chain.run)
        yield Market(chain, pool, directory, LoopbackNetwork(chain.genesis_hash))
        nursery.cancel_scope.cancel()


PROVIDERS = tuple(f"Provider{number}" for number in range(7))


@asynccontextmanager
async def staffed_market(directory: Path, *more: str) -> AsyncIterator[Market]:
    """A market with seven providers at work, as many as one contract needs, and other accounts that own something."""
    async with open_market(directory, *PROVIDERS, "Sponsor", *more) as market, AsyncExitStack() as stack:
        for name in PROVIDERS:
            await stack.enter_async_context(market.provider(name))
        yield market


def small_core(chunks: int, name: str = "feed") -> Core:
    """A core in memory with small chunks, no two alike."""
    core = Core.create(None, key_pair=KeyPair.from_seed(name.encode().ljust(32, b"\0")))
    core.append([bytes([number]) * (CHUNK_BYTES + number) for number in range(chunks)])
    return core
