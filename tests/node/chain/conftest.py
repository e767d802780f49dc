"""Whole nodes without a network: store, chain, pool and author over the real runtime, with a clock set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.author import Author, AuthoringMode
from node.chain.chain import Chain
from node.chain.clock import Clock
from node.chain.events import ImportResult
from node.chain.transactions import Transactions
from node.consensus import aura
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Keypair
from node.store.chain_store import ChainStore
from node.store.writer import InlineWriter
from node.txpool.pool import PoolLimits, TransactionPool
from pallets.chain import runtime_for
from pallets.chain_file import Authority, new_genesis
from pallets.randomness import onion_secret, onion_tip
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import ChainSpec
from runtime.header import Block, DigestItem, Header
from runtime.transition import build_genesis

SLOT_MS = 1_000
EPOCH_SLOTS = 20
START_MS = 1_700_000_000_000


ALICE, BOB, CHARLIE, DAVE = (keypair_from_uri(f"//{name}") for name in ("Alice", "Bob", "Charlie", "Dave"))
AUTHORITIES = (ALICE, BOB, CHARLIE)


def make_spec(authorities: tuple[Keypair, ...] = AUTHORITIES) -> ChainSpec:
    return new_genesis(
        name="Test",
        id="test",
        chain_type="Development",
        slot_duration_ms=SLOT_MS,
        authorities=[
            Authority(key.account_id, onion_tip(onion_secret(key.onion_seed, 0), EPOCH_SLOTS)) for key in authorities
        ],
        balances=[(key.account_id, 10**18) for key in (ALICE, BOB, CHARLIE, DAVE)],
        sudo=ALICE.account_id,
        constants={"Randomness": {"EpochSlots": EPOCH_SLOTS}},
    )


class ManualClock:
    """Time that stands until it is set."""

    def __init__(self) -> None:
        self.time_ms = START_MS

    def now_ms(self) -> int:
        return self.time_ms

    async def sleep_ms(self, duration_ms: int) -> None:
        self.time_ms += duration_ms

    def travel_to(self, time_ms: int) -> None:
        self.time_ms = time_ms


class Node:
    """One node of the test chain; it holds the keys of `keys`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        keys: tuple[Keypair, ...] = AUTHORITIES,
        spec: ChainSpec | None = None,
        mode: AuthoringMode = AuthoringMode.MANUAL,
        limits: PoolLimits | None = None,
        window_blocks: int = 256,
    ) -> None:
        chosen = spec or make_spec()
        self.runtime = runtime_for(chosen)
        self.store = ChainStore.open(path, writer=InlineWriter(), window_blocks=window_blocks)
        if self.store.is_empty:
            self.store.put_genesis(build_genesis(self.runtime, chosen))
        self.clock = clock
        self.chain = Chain(self.store, self.runtime, clock)
        self.pool = TransactionPool(limits)
        self.transactions = Transactions(self.store, self.runtime, self.pool)
        self.chain.follower = self.transactions
        self.author = Author(self.chain, self.transactions, keys, mode=mode)

    @property
    def best(self) -> Header:
        return self.chain.best

    def block(self, block_hash: bytes) -> Block:
        header, body = self.store.header(block_hash), self.store.body(block_hash)
        assert header is not None
        assert body is not None
        return Block(header, body)

    def nonce(self, account: bytes) -> int:
        with self.runtime.at(self.store.state(self.best.hash)):
            return self.runtime.system.nonce(account)

    def transfer(
        self, sender: Keypair, dest: Keypair, *, nonce: int | None = None, tip: int = 0, value: int = 1_000_000
    ) -> bytes:
        call = RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(dest.account_id), "value": value})
        return sign_extrinsic(
            self.runtime.extrinsic_codec,
            self.runtime.version,
            call,
            sender,
            nonce=self.nonce(sender.account_id) if nonce is None else nonce,
            genesis_hash=self.store.genesis_hash,
            tip=tip,
        )

    async def receive(self, block: Block) -> ImportResult:
        return await self.chain.import_block(block, "peer")

    def pairs(self, block_hash: bytes) -> dict[bytes, bytes]:
        view = self.store.state(block_hash)
        return {key: view.get(key) or b"" for key in view.keys(b"", None, 1_000_000)}


def resealed(block: Block, change: Callable[[Header], Header], key: Keypair) -> Block:
    """The block with a changed header, sealed again by `key`."""
    header = change(block.header.without_seal())
    seal = aura.seal_item(key.sign(aura.seal_message(header)))
    return Block(replace(header, digest=(*header.digest, seal)), block.extrinsics)


def with_digest(*items: DigestItem) -> Callable[[Header], Header]:
    return lambda header: replace(header, digest=items)


NodeMaker = Callable[..., Node]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_node(tmp_path: Path, clock: ManualClock) -> Iterator[NodeMaker]:
    nodes: list[Node] = []

    def make(**options: object) -> Node:
        at = options.pop("clock", clock)
        node = Node(tmp_path / f"node{len(nodes)}", at, **options)  # type: ignore[arg-type]
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.store.close()


@pytest.fixture
def node(make_node: NodeMaker) -> Node:
    return make_node()
