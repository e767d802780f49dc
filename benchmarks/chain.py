"""How long a full block takes: a block of transfers among many accounts, split into execution, root and commit.

    python -m benchmarks.chain [--accounts 10000 100000] [--transfers 1000] [--blocks 3]

Signatures are verified once when a transaction enters the pool;
an imported block whose transactions the pool has not seen verifies them all, which `import_unseen` shows.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from benchmarks.figures import Figure, progress, show
from node.chain.author import Author, AuthoringMode
from node.chain.chain import Chain
from node.chain.transactions import Transactions
from node.keys.derivation import keypair_from_uri
from node.keys.keypair import Keypair
from node.store.chain_store import ChainStore
from node.txpool.pool import TransactionPool
from pallets.chain import runtime_for
from pallets.chain_file import Authority, new_genesis
from pallets.randomness import onion_secret, onion_tip
from runtime import transition
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.extrinsic import sign_extrinsic
from runtime.genesis import ChainSpec
from runtime.header import Block
from runtime.trie import update

SLOT_MS = 60_000
EPOCH_SLOTS = 600
SENDERS = 250
AMOUNT = 10**12


class ManualClock:
    """Time that moves only from block to block."""

    def __init__(self) -> None:
        self.time_ms = 1_700_000_000_000

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return self.time_ms

    async def sleep_ms(self, duration_ms: int) -> None:
        """Move the time."""
        self.time_ms += duration_ms


class Stopwatch:
    """Wraps functions so that the time spent in them adds up by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

        return timed

    def take_ms(self, name: str) -> float:
        """The milliseconds since the last time they were taken."""
        return round(1_000 * self.seconds.pop(name, 0.0), 1)


class TimedWriter:
    """Runs the store's writes in a thread, timed."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    async def run(self, job: Callable[[], None]) -> None:
        """Run one write."""
        await trio.to_thread.run_sync(self._stopwatch.wrap("commit", job))


class BenchmarkNode:
    """Store, chain, pool and author in a directory of their own."""

    def __init__(self, path: Path, spec: ChainSpec, clock: ManualClock, key: Keypair, stopwatch: Stopwatch) -> None:
        self.runtime = runtime_for(spec)
        self.store = ChainStore.open(path, writer=TimedWriter(stopwatch))
        self.store.put_genesis(transition.build_genesis(self.runtime, spec))
        self.chain = Chain(self.store, self.runtime, clock)
        self.transactions = Transactions(self.store, self.runtime, TransactionPool())
        self.chain.follower = self.transactions
        self.author = Author(self.chain, self.transactions, [key], mode=AuthoringMode.MANUAL)


@dataclass(frozen=True)
class BlockTimes:
    """Where the time of one block went, milliseconds."""

    whole: float
    root: float
    commit: float

    @property
    def execution(self) -> float:
        """What is neither root nor commit."""
        return self.whole - self.root - self.commit


def make_spec(key: Keypair, senders: list[Keypair], accounts: list[bytes]) -> ChainSpec:
    """A chain of one authority on which the senders and all accounts own something."""
    return new_genesis(
        name="Benchmark",
        id="benchmark",
        chain_type="Development",
        slot_duration_ms=SLOT_MS,
        authorities=[Authority(key.account_id, onion_tip(onion_secret(key.onion_seed, 0), EPOCH_SLOTS))],
        balances=[(account, 10**15) for account in (*(sender.account_id for sender in senders), *accounts)],
    )


def make_transfers(node: BenchmarkNode, senders: list[Keypair], dests: list[bytes], first_nonce: int) -> list[bytes]:
    """Signed transfers, the senders taking turns."""
    made = []
    for index, dest in enumerate(dests):
        sender = senders[index % len(senders)]
        made.append(
            sign_extrinsic(
                node.runtime.extrinsic_codec,
                node.runtime.version,
                RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(dest), "value": AMOUNT}),
                sender,
                nonce=first_nonce + index // len(senders),
                genesis_hash=node.store.genesis_hash,
            )
        )
    return made


async def measure(accounts: int, transfers: int, blocks: int) -> list[Figure]:
    """Author blocks on one node and import them on another."""
    progress(f"blocks of {transfers:,} transfers among {accounts:,} accounts")
    chance = random.Random(1)
    key = keypair_from_uri("//Alice")
    senders = [keypair_from_uri(f"//Sender{index}") for index in range(SENDERS)]
    holders = [chance.randbytes(32) for _ in range(accounts)]
    spec = make_spec(key, senders, holders)
    clock, stopwatch = ManualClock(), Stopwatch()
    vars(transition)["update"] = stopwatch.wrap("root", update)
    submitted: list[float] = []
    authored: list[BlockTimes] = []
    imported: list[BlockTimes] = []
    with tempfile.TemporaryDirectory() as directory:
        first = BenchmarkNode(Path(directory) / "first", spec, clock, key, stopwatch)
        second = BenchmarkNode(Path(directory) / "second", spec, clock, key, stopwatch)
        nonce = 0
        for _ in range(blocks):
            extrinsics = make_transfers(first, senders, chance.choices(holders, k=transfers), nonce)
            nonce += -(-transfers // SENDERS)
            begin = time.perf_counter()
            for extrinsic in extrinsics:
                first.transactions.submit(extrinsic)
            submitted.append(transfers / (time.perf_counter() - begin))
            clock.time_ms += SLOT_MS
            stopwatch.seconds.clear()
            begin = time.perf_counter()
            header = await first.author.author_block()
            authored.append(times_of(begin, stopwatch))
            assert header is not None
            block = Block(header, first.store.body(header.hash) or ())
            assert len(block.extrinsics) == transfers + 1
            begin = time.perf_counter()
            result = await second.chain.import_block(block, "benchmark")
            imported.append(times_of(begin, stopwatch))
            assert result.is_imported, result.reason
        first.store.close()
        second.store.close()
    what = f"{transfers:,} transfers, {accounts:,} accounts"
    return [
        Figure(f"chain: submitted to the pool, {what}", statistics.median(submitted), "/s"),
        *block_figures(f"author, {what}", authored),
        *block_figures(f"import unseen, {what}", imported),
    ]


def times_of(begin: float, stopwatch: Stopwatch) -> BlockTimes:
    """Split the time since `begin`."""
    whole_ms = 1_000 * (time.perf_counter() - begin)
    return BlockTimes(whole_ms, stopwatch.take_ms("root"), stopwatch.take_ms("commit"))


def block_figures(what: str, blocks: list[BlockTimes]) -> list[Figure]:
    """The medians of several blocks."""
    return [
        Figure(f"chain: {what}", statistics.median(one.whole for one in blocks), "ms"),
        *(
            Figure(f"  of this {part}", statistics.median(getattr(one, part) for one in blocks), "ms")
            for part in ("execution", "root", "commit")
        ),
    ]


def figures(accounts: tuple[int, ...] = (10_000, 100_000), transfers: int = 1_000, blocks: int = 3) -> list[Figure]:
    """Run the benchmark for several sizes of the state."""
    return [figure for count in accounts for figure in trio.run(measure, count, transfers, blocks)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, nargs="+", default=(10_000, 100_000))
    parser.add_argument("--transfers", type=int, default=1_000)
    parser.add_argument("--blocks", type=int, default=3)
    options = parser.parse_args()
    show(figures(tuple(options.accounts), options.transfers, options.blocks))
